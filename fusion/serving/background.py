"""Commands that are started from a page and outlive it: how a job is written down, started, watched and ended.

A job is one command in a session of its own and one folder: job.json (what was asked, the command), running.json,
events.jsonl (what the command writes to stdout, one JSON object a line), log.txt (stderr), and ended.json with the exit
code. Everything that a page shows is read from there, so a reload, another browser or a restart of the server finds the
job as it is. What the commands are lies in `jobs` (trainings) and `ingest_jobs`.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import filelock

from fusion.city import data_root, repository_root
from fusion.errors import RunError
from fusion.serving.job_runner import ALIVE, CANCELLED, ENDED, EVENTS, JOB, LOG, RUNNING, write_json

QUEUED, RUNS, DONE, FAILED, STOPPED, LOST = "queued", "running", "done", "failed", "cancelled", "lost"
ACTIVE = (QUEUED, RUNS)
_START_S = 30.0  # a job that has not begun by then never will
PATIENCE_S = 15.0  # from asking a job to end to killing it

R = TypeVar("R")


@dataclass(frozen=True)
class Job(Generic[R]):
    """A job on disk: `request` is what was asked (a dataclass); `started_s` in seconds since 1970."""

    id: str
    city: str
    folder: Path
    started_s: float
    request: R


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


@dataclass(frozen=True)
class Kind(Generic[R]):
    """One kind of job.

    Attributes:
        noun: what messages call it, such as "training".
        keep: how many stay on disk.
        read: makes a request of what `job.json` holds; may raise KeyError, TypeError or ValueError.
    """

    noun: str
    keep: int
    read: Callable[[dict[str, Any]], R]


def start(
    kind: Kind[R],
    folder: Path,
    city: str,
    request: R,
    command: Sequence[str],
    remove: Sequence[Path] = (),
) -> Job[R]:
    """Start a command and return its job as soon as it runs by itself; one job a city and folder at a time.

    Args:
        kind: of the job.
        folder: of the jobs; made if absent.
        city: that the job works on.
        request: a dataclass, written down as it is.
        command: a list of words: no shell ever reads it.
        remove: folders that go once the command has ended well.

    Raises:
        RunError: a job of this city is running, or the job cannot be written or started.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / ".lock", timeout=0):
            _tidy(kind, folder, city)
            job = _write(folder, city, request, command, remove)
            _launch(job)
    except filelock.Timeout:
        raise RunError(f"another {kind.noun} of {city} is just being started: wait for it") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError(f"{folder}: a {kind.noun} cannot be started there ({reason}): free the disk") from None
    return job


def list_jobs(kind: Kind[R], folder: Path) -> list[Job[R]]:
    """Return a folder's jobs, the newest first; one that cannot be read is passed over."""
    if not folder.is_dir():
        return []
    jobs = [_load(kind, path) for path in folder.iterdir() if path.is_dir()]
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


def events(job: Job) -> Iterator[dict[str, Any]]:
    """Yield what the job told so far; the last line may be half written and is then passed over."""
    try:
        text = (job.folder / EVENTS).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event


def cancel(job: Job, patience_s: float = PATIENCE_S) -> Status:
    """End a job: ask its processes to end, kill those that have not after `patience_s`; return how it stands.

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
    """Delete the folder of a job that has ended; what it made stays.

    Raises:
        RunError: the job is running.
    """
    if status(job).active:
        raise RunError(f"job {job.id} is running: cancel it first")
    shutil.rmtree(job.folder, ignore_errors=True)


def _tidy(kind: Kind[R], folder: Path, city: str) -> None:
    """Refuse where a job of the city runs; delete all but the last ones."""
    for place, job in enumerate(list_jobs(kind, folder)):
        active = _status(job, 1.0).active
        if active and job.city == city:
            raise RunError(f"a {kind.noun} of {city} is running (job {job.id}): wait for its end, or cancel it first")
        if place >= kind.keep - 1 and not active:
            shutil.rmtree(job.folder, ignore_errors=True)


def _write(folder: Path, city: str, request: R, command: Sequence[str], remove: Sequence[Path]) -> Job[R]:
    now = time.time()
    stamp = datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y%m%d-%H%M%S")
    id_ = f"{stamp}-{secrets.token_hex(2)}"
    job = Job(id_, city, folder / id_, now, request)
    job.folder.mkdir()
    content: dict[str, Any] = {"id": job.id, "city": city, "started_s": now, "request": asdict(request)}  # type: ignore[call-overload]
    content |= {"command": list(command), "remove": [str(path.resolve()) for path in remove]}
    write_json(job.folder / JOB, content)
    return job


def _launch(job: Job) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "fusion.serving.job_runner", str(job.folder.resolve())],
        cwd=repository_root(),
        # A relative FUSION_DATA is relative to where the server was started.
        env={**os.environ, "FUSION_DATA": str(data_root().resolve())},
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


def _load(kind: Kind[R], folder: Path) -> Job[R] | None:
    said = _read_json(folder / JOB)
    if said is None:
        return None
    try:
        return Job(str(said["id"]), str(said["city"]), folder, float(said["started_s"]), kind.read(said["request"]))
    except (KeyError, TypeError, ValueError):
        return None


def _read_json(path: Path) -> Mapping[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
