"""Ingests that are started from a page: `python -m fusion ingest ...` as background jobs.

Their folders are `data/.jobs/<id>/`, beside the cities: a city may not be there before its first ingest ends. One a
city at a time; the city's own lock keeps out writers that were started elsewhere, and says so in one line.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

from fusion.city import check_name
from fusion.errors import InputError
from fusion.ingest.options import SignalingOptions
from fusion.serving import background, uploads
from fusion.serving.background import Kind

SIGNALING, DEVICES, MILAN, IMAGERY, FUNCTIONS, URFC, DEMO = (
    "signaling", "devices", "milan", "imagery", "functions", "urfc", "demo",
)  # fmt: skip
KINDS = (SIGNALING, DEVICES, MILAN, IMAGERY, FUNCTIONS, URFC)
PRESETS = {SIGNALING: "daas", DEVICES: "devices", MILAN: "milan"}
KEEP = 30  # jobs of all cities
JOBS = ".jobs"
_COMMANDS = {IMAGERY: ("ingest", "imagery"), FUNCTIONS: ("ingest", "functions"), URFC: ("ingest", "urfc")}
# Fields of SignalingOptions that the command line names otherwise.
NAMES = {"values": "value", "min_counts": "min_count"}


@dataclass(frozen=True)
class IngestRequest:
    """What to bring in.

    Attributes:
        kind: one of `KINDS`, or `demo`, which builds the synthetic city again.
        files: paths on the server.
        names: of the files as the user knows them.
        options: words of the command line, such as ("--datum", "gcj02").
        token: of the upload that the files came with; it goes once they are in.
    """

    kind: str
    files: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    token: str | None = None

    def command(self, city: str) -> list[str]:
        """Return the command line, a list: no shell ever reads it.

        Raises:
            InputError: the kind is unknown.
        """
        words = [sys.executable, "-m", "fusion", "--progress", "json"]
        if self.kind == DEMO:
            return [*words, "demo", "--city", city, "--force", *self.options]
        if self.kind in PRESETS:
            head: Sequence[str] = ("ingest", "signaling")
            tail = ["--preset", PRESETS[self.kind]]
        elif self.kind in _COMMANDS:
            head, tail = _COMMANDS[self.kind], []
        else:
            raise InputError(f"unknown kind of data {self.kind!r}: use one of {', '.join(KINDS)}")
        return [*words, *head, *self.files, "--city", city, *tail, *self.options]


Job: TypeAlias = background.Job[IngestRequest]


@dataclass(frozen=True)
class Progress:
    """How far an ingest is: share done, 0 to 1, and the step that it is at ("" before the first)."""

    share: float = 0.0
    step: str = ""


def signaling_words(options: SignalingOptions) -> tuple[str, ...]:
    """Spell options as the command line takes them; the preset is not among them."""
    words: list[str] = []
    for one in fields(options):
        value = getattr(options, one.name)
        name = f"--{NAMES.get(one.name, one.name).replace('_', '-')}"
        if one.name == "preset" or value is None or value == one.default:
            continue
        if value is True:
            words.append(name)
        elif isinstance(value, tuple):
            for item in value:
                words += [name, f"{item[0]}={item[1]}" if isinstance(item, tuple) else str(item)]
        else:
            words += [name, str(value)]
    return tuple(words)


def start(root: Path, city: str, request: IngestRequest) -> Job:
    """Start an ingest and return it as soon as it runs by itself.

    Args:
        root: the data folder.
        city: name of the city, which need not be there.
        request: what to bring in.

    Raises:
        InputError: the city's name, the kind or a file is none, or no file was named.
        RunError: an ingest of this city is running, or the job cannot be written or started.
    """
    check_name(city)
    if request.kind != DEMO and not request.files:
        raise InputError("no file was chosen: upload one, or choose among those on the server")
    for path in request.files:
        if not Path(path).exists():
            raise InputError(f"{Path(path).name} is no longer there: upload it again")
    remove = [uploads.upload_folder(root, request.token)] if request.token else []
    return background.start(_KIND, root / JOBS, city, request, request.command(city), remove)


def list_jobs(root: Path) -> list[Job]:
    """Return the ingests of all cities, the newest first."""
    return background.list_jobs(_KIND, root / JOBS)


def progress(job: Job) -> Progress:
    """Return how far a job is by what it told last."""
    found = Progress()
    for event in background.events(job):
        if event.get("event") == "progress":
            try:
                found = Progress(min(1.0, max(0.0, float(event["share"]))), str(event["text"]))
            except (KeyError, TypeError, ValueError):  # of another version of the program
                continue
    return found


def busy_tokens(root: Path) -> set[str]:
    """Return the tokens of the uploads that a running ingest reads."""
    return {job.request.token for job in list_jobs(root) if job.request.token and background.status(job).active}


def _read(asked: Mapping[str, Any]) -> IngestRequest:
    lists = {name: tuple(asked[name]) for name in ("files", "names", "options")}
    return IngestRequest(kind=str(asked["kind"]), token=asked["token"], **lists)


_KIND = Kind("data import", KEEP, _read)
