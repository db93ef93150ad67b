"""Trainings that are started from a page and outlive it.

A job is `python -m fusion ablate ... --json` in a session of its own, and a folder `data/<city>/jobs/<id>/`: job.json
(what was asked, the command), running.json, events.jsonl (docs: the lines of `ablate --json`), log.txt, and ended.json
with the exit code. Everything that a page shows is read from there, so a reload, another browser or a restart of the
server finds the job as it is. One job a city at a time.
"""

import contextlib
import datetime
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import filelock

from fusion.city import City, repository_root
from fusion.errors import CityError, ConfigError, RunError
from fusion.serving.job_runner import ALIVE, CANCELLED, ENDED, JOB, LOG, RUNNING, write_json
from fusion.training.trials import plan

QUEUED, RUNS, DONE, FAILED, STOPPED, LOST = "queued", "running", "done", "failed", "cancelled", "lost"
ACTIVE = (QUEUED, RUNS)
KEEP = 20  # jobs a city; their folders are small, but nobody looks at the hundredth
_START_S = 30.0  # a job that has not begun by then never will
_PATIENCE_S = 15.0  # from asking a job to end to killing it


@dataclass(frozen=True)
class Request:
    """What to train: as the arguments of `python -m fusion ablate`."""

    names: tuple[str, ...]
    seeds: int = 1
    folds: int = 3
    run_folds: int | None = None
    jobs: int | None = None
    split: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    device: str = "auto"

    def check(self) -> int:
        """Return the number of trials.

        Raises:
            ConfigError: an unknown name or option, or a number out of range.
        """
        if self.jobs is not None and self.jobs < 1:
            raise ConfigError(f"{self.jobs} runs at once: use 1 or more")
        return len(plan(self.names, range(self.seeds), self.folds, self.run_folds, self.split, self.options))

    def command(self, city: str) -> list[str]:
        """Return the command line, a list: no shell ever reads it."""
        words = [sys.executable, "-m", "fusion", "ablate", *self.names, "--city", city, "--json"]
        words += ["--seeds", str(self.seeds), "--folds", str(self.folds), "--device", self.device]
        for option, value in (("--run-folds", self.run_folds), ("--jobs", self.jobs), ("--split", self.split)):
            words += [] if value is None else [option, str(value)]
        for key, text in self.options.items():
            words += ["--set", f"{key}={text}"]
        return words


@dataclass(frozen=True)
class Job:
    """A job on disk; `started_s` in seconds since 1970."""

    id: str
    city: str
    folder: Path
    started_s: float
    request: Request


@dataclass(frozen=True)
class Status:
    """How a job stands.

    Attributes:
        state: "queued" (asked for, not begun), "running", "done", "failed", "cancelled", or "lost" (its process is
            gone and did not say how it ended: killed, or the machine was switched off).
        code: exit code; None while it runs or where it is lost.
        reason: why it failed, in one line; "" otherwise.
        ended_s: seconds since 1970; None while it runs or where it is lost.
    """

    state: str
    code: int | None = None
    reason: str = ""
    ended_s: float | None = None

    @property
    def active(self) -> bool:
        return self.state in ACTIVE


def start(city: City, request: Request) -> Job:
    """Start a job and return it as soon as it runs by itself.

    Raises:
        ConfigError: the request names what does not exist.
        CityError: the city lacks what training needs.
        RunError: a job of this city is running, or the job cannot be written or started.
    """
    request.check()
    lacks = [
        text
        for there, text in (
            (city.has_activity, "signaling"),
            (city.has_imagery, "imagery"),
            (city.has_functions, "functions"),
        )
        if not there
    ]
    if lacks:
        raise CityError(f"city {city.name} has no {' and no '.join(lacks)}: see `python -m fusion ingest --help`")
    return _spawn(city, request, request.command(city.name))


def list_jobs(city: City) -> list[Job]:
    """Return the city's jobs, the newest first; a folder that cannot be read is passed over."""
    folder = _jobs_dir(city)
    if not folder.is_dir():
        return []
    jobs = [_load(path) for path in folder.iterdir() if path.is_dir()]
    return sorted((job for job in jobs if job is not None), key=lambda job: (job.started_s, job.id), reverse=True)


def status(job: Job) -> Status:
    """Return how a job stands now."""
    return _status(job, 0.0)


def log_tail(job: Job, lines: int = 40) -> str:
    """Return the last lines of what the job wrote to stderr; "" where it wrote nothing."""
    try:
        with (job.folder / LOG).open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 400 * lines))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def cancel(job: Job, patience_s: float = _PATIENCE_S) -> Status:
    """End a job: ask its processes to end, kill those that have not after `patience_s`; return how it stands.

    Finished runs stay; those that were being trained go on from their last epoch when they are asked for again.

    Raises:
        RunError: it does not end, or its folder cannot be written.
    """
    if not status(job).active:
        return status(job)
    try:
        write_json(job.folder / CANCELLED, {"time_s": time.time()})
        if not _wait(job, ENDED, RUNNING, seconds=_START_S):
            raise RunError(f"job {job.id} has not begun and cannot be ended: try again in half a minute")
        if not (job.folder / ENDED).exists():
            _signal(job, signal.SIGTERM)
        if not _wait(job, ENDED, seconds=patience_s) and _alive(job, 0.0):
            _signal(job, signal.SIGKILL)
            write_json(job.folder / ENDED, {"code": -int(signal.SIGKILL), "time_s": time.time()})
    except OSError as error:
        raise RunError(
            f"{job.folder}: cannot be written ({error.strerror}): free the disk, then cancel again"
        ) from None
    return status(job)


def delete(job: Job) -> None:
    """Delete the folder of a job that has ended; its runs stay.

    Raises:
        RunError: the job is running.
    """
    if status(job).active:
        raise RunError(f"job {job.id} is running: cancel it first")
    shutil.rmtree(job.folder, ignore_errors=True)


def _spawn(city: City, request: Request, command: Sequence[str]) -> Job:
    folder = _jobs_dir(city)
    try:
        folder.mkdir(exist_ok=True)
        with filelock.FileLock(folder / ".lock", timeout=0):
            _tidy(city)
            job = _write(city, folder, request, command)
            _launch(job)
    except filelock.Timeout:
        raise RunError(f"another training of {city.name} is just being started: wait for it") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError(f"{folder}: a training cannot be started there ({reason}): free the disk") from None
    return job


def _tidy(city: City) -> None:
    """Refuse where a job runs; delete all but the last ones."""
    for place, job in enumerate(list_jobs(city)):
        if _status(job, 1.0).active:
            raise RunError(f"a training of {city.name} is running (job {job.id}): wait for its end, or cancel it first")
        if place >= KEEP - 1:
            shutil.rmtree(job.folder, ignore_errors=True)


def _write(city: City, folder: Path, request: Request, command: Sequence[str]) -> Job:
    now = time.time()
    stamp = datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y%m%d-%H%M%S")
    job = Job(f"{stamp}-{secrets.token_hex(2)}", city.name, folder, now, request)
    job = Job(job.id, job.city, folder / job.id, now, request)
    job.folder.mkdir()
    content = {"id": job.id, "city": job.city, "started_s": now, "request": asdict(request), "command": list(command)}
    write_json(job.folder / JOB, content)
    return job


def _launch(job: Job) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "fusion.serving.job_runner", str(job.folder.resolve())],
        cwd=repository_root(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C in the server's terminal is not meant for it
    )
    # Somebody has to collect its exit code, or it stays in the table of processes as long as the server runs.
    threading.Thread(target=process.wait, name=f"job {job.id}", daemon=True).start()
    if not _wait(job, RUNNING, seconds=_START_S):
        raise RunError(f"job {job.id} did not begin within {_START_S:.0f} s: look at the load of this machine")


def _wait(job: Job, *names: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not any((job.folder / name).exists() for name in names):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _signal(job: Job, number: signal.Signals) -> None:
    """Signal the job's processes, all in the group of its runner; only while the runner is known to live."""
    said = _read_json(job.folder / RUNNING)
    if said is not None and _alive(job, 0.0):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(said["pid"]), number)


def _status(job: Job, patience_s: float) -> Status:
    alive = _alive(job, patience_s)
    ended = _read_json(job.folder / ENDED)  # read after the look at the lock: the runner writes it while it holds that
    cancelled = (job.folder / CANCELLED).exists()
    if ended is not None:
        code = int(ended["code"])
        if code == 0:
            return Status(DONE, code, "", float(ended["time_s"]))
        state = STOPPED if cancelled else FAILED
        return Status(state, code, "" if cancelled else _reason(job, code), float(ended["time_s"]))
    begun = (job.folder / RUNNING).exists()
    if alive or (not begun and time.time() - job.started_s < _START_S):
        return Status(RUNS if begun else QUEUED)
    return Status(STOPPED if cancelled else LOST)


def _alive(job: Job, patience_s: float) -> bool:
    """Tell whether the job's runner lives: whether somebody holds its lock.

    Another process that asks at the same moment holds it too; `patience_s` outwaits that where it matters.
    """
    if not (job.folder / ALIVE).exists():
        return False
    try:
        with filelock.FileLock(job.folder / ALIVE, timeout=patience_s):
            return False
    except filelock.Timeout:
        return True
    except OSError:
        return False


def _reason(job: Job, code: int) -> str:
    """Return the last line of the log that names an error; by the code where there is none."""
    for line in reversed(log_tail(job, 200).splitlines()):
        if line.startswith("error: "):
            return line.removeprefix("error: ")
    if code < 0:
        return f"killed by signal {-code}, perhaps for want of memory"
    return "" if code == 1 else f"exit code {code}: see the log"


def _load(folder: Path) -> Job | None:
    said = _read_json(folder / JOB)
    if said is None:
        return None
    try:
        asked: dict[str, Any] = said["request"]
        request = Request(**{**asked, "names": tuple(asked["names"])})
        return Job(str(said["id"]), str(said["city"]), folder, float(said["started_s"]), request)
    except (KeyError, TypeError, ValueError):
        return None


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _jobs_dir(city: City) -> Path:
    return city.path / "jobs"
