"""Trainings that are started from a page and outlive it: `python -m fusion ablate ... --json` as background jobs.

Their folders are `data/<city>/jobs/<id>/`. One training a city at a time.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from fusion.city import City
from fusion.errors import CityError, ConfigError
from fusion.serving import background
from fusion.serving.background import (
    ACTIVE,
    DONE,
    FAILED,
    LOST,
    QUEUED,
    RUNS,
    STOPPED,
    Kind,
    Status,
    cancel,
    delete,
    log_tail,
    status,
)
from fusion.training.trials import plan

__all__ = [
    "ACTIVE", "DONE", "FAILED", "LOST", "QUEUED", "RUNS", "STOPPED",
    "Job", "Request", "Status", "cancel", "delete", "list_jobs", "log_tail", "start", "status",
]  # fmt: skip

KEEP = 20  # jobs a city; their folders are small, but nobody looks at the hundredth


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


Job: TypeAlias = background.Job[Request]


def start(city: City, request: Request) -> Job:
    """Start a training and return it as soon as it runs by itself.

    When it is cancelled, finished runs stay; those that were being trained go on from their last epoch when they are
    asked for again.

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
    if lacks and not city.can_train:
        raise CityError(f"city {city.name} has no {' and no '.join(lacks)}: see `python -m fusion ingest --help`")
    return background.start(_kind(), _jobs_dir(city), city.name, request, request.command(city.name))


def list_jobs(city: City) -> list[Job]:
    """Return the city's trainings, the newest first; a folder that cannot be read is passed over."""
    return background.list_jobs(_kind(), _jobs_dir(city))


def _kind() -> Kind[Request]:
    return Kind("training", KEEP, _read)


def _read(asked: dict[str, Any]) -> Request:
    return Request(**{**asked, "names": tuple(asked["names"])})


def _jobs_dir(city: City) -> Path:
    return city.path / "jobs"
