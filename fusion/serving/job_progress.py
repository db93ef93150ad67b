"""How far a job is, and what one would cost: what a page shows beside its form."""

import json
import os
import time
from dataclasses import dataclass, replace
from typing import Any

from fusion.city import City
from fusion.samples.sampleset import SampleSet
from fusion.samples.split import default_split
from fusion.serving.background import events
from fusion.serving.jobs import Job, Request
from fusion.training.experiment import PATCH_OPTION
from fusion.training.forecast import Forecast, known_seconds
from fusion.training.runs import RUN_ID, load_runs, stale_reasons
from fusion.training.trials import Trial, plan

WAITS = "queued"


@dataclass(frozen=True)
class TrialRow:
    """One trial of a job.

    Attributes:
        experiment, seed, fold, folds, split: name it.
        state: "queued", "started", "waiting" (another process trains this run), "done", "kept" or "failed".
        share: done, 0 to 1.
        accuracy, macro_f1: on its test fold; None until it has ended well.
        seconds: it took; None until it has ended.
        text: the last epoch's figures, or why it failed.
        run: the run's id; None until it has ended.
    """

    experiment: str
    seed: int
    fold: int
    folds: int
    split: str | None
    state: str = WAITS
    share: float = 0.0
    accuracy: float | None = None
    macro_f1: float | None = None
    seconds: float | None = None
    text: str = ""
    run: str | None = None


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes:
        share: done, 0 to 1.
        left_s: seconds to its end as forecast, already less those that went by since; None while nothing tells.
        ended, failed, total: trials; `total` is 0 while samples are still being extracted.
        trials: in the order in which they run.
        extracting: share of the samples extracted; None once that is over.
        seconds: the whole took; None until it has ended by itself.
    """

    share: float = 0.0
    left_s: float | None = None
    ended: int = 0
    failed: int = 0
    total: int = 0
    trials: tuple[TrialRow, ...] = ()
    extracting: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Estimate:
    """What a job would cost.

    Attributes:
        trials: in all.
        there: of them, whose run is there already and fits the city's data and this program's models.
        seconds: the others would take; None where no earlier run tells.
        guessed: experiments that no earlier run tells of: they are taken for as slow as the others on average.
    """

    trials: int
    there: int
    seconds: float | None
    guessed: tuple[str, ...] = ()


def progress(job: Job) -> Progress:
    """Read how far a job is; an empty Progress where it has told nothing yet."""
    found = Progress()
    for event in events(job):
        try:
            found = _after(found, event)
        except (KeyError, TypeError, ValueError, IndexError):  # of another version of the program
            continue
    return found


def estimate(city: City, request: Request, cores: int | None = None) -> Estimate:
    """Return what a job would cost by what earlier runs of this city took; those that ship count too.

    Args:
        city: to train on.
        request: what to train.
        cores: of this machine, where the request does not say how many runs at once.

    Raises:
        ConfigError: the request names what does not exist.
        SampleError: the samples of a city without a map cannot be read.
    """
    trials = _as_recorded(city, request)
    there = _there(city, trials)
    names = [trial.experiment.name for trial in trials if _key(trial) not in there]
    known = known_seconds(city.run_folders())
    jobs = min(request.jobs or cores or os.cpu_count() or 1, max(1, len(names)))
    left = Forecast(names, jobs, known).left_s({})
    guessed = tuple(dict.fromkeys(name for name in names if name not in known))
    return Estimate(len(trials), len(trials) - len(names), left, guessed)


def _after(before: Progress, event: dict[str, Any]) -> Progress:
    kind = event["event"]
    if kind == "samples":
        return replace(before, extracting=float(event["share"]))
    if kind == "plan":
        trials = tuple(TrialRow(**trial) for trial in event["trials"])
        return replace(before, trials=trials, total=len(trials), extracting=None)
    if kind == "summary":
        return replace(before, share=1.0, left_s=0.0, seconds=float(event["seconds"]))
    index = int(event["index"])
    row = replace(
        before.trials[index],
        state="started" if kind == "epoch" else kind,
        share=float(event["trial_share"]),
        text=str(event["text"]),
        run=event.get("run"),
        seconds=event.get("seconds"),
        accuracy=event.get("accuracy"),
        macro_f1=event.get("macro_f1"),
    )
    left = event["left_s"]
    return replace(
        before,
        trials=(*before.trials[:index], row, *before.trials[index + 1 :]),
        share=float(event["share"]),
        left_s=None if left is None else max(0.0, float(left) - max(0.0, time.time() - float(event["time_s"]))),
        ended=int(event["ended"]),
        failed=before.failed + (kind == "failed"),
    )


def _as_recorded(city: City, request: Request) -> list[Trial]:
    """Return the trials as their runs will record them: with their kind of folds, and with patches that fill chips."""
    trials = plan(request.names, range(request.seeds), request.folds, request.run_folds, request.split, request.options)
    if city.has_map:
        return [replace(trial, split=trial.split or "spatial") for trial in trials]
    samples = SampleSet.load(city.region_samples)
    fitted = {trial.experiment.name: trial.experiment for trial in trials}
    if PATCH_OPTION not in request.options:
        fitted = {name: row.fitted_to(samples.meta.chip_px) for name, row in fitted.items()}
    split = default_split(samples)
    return [replace(trial, experiment=fitted[trial.experiment.name], split=trial.split or split) for trial in trials]


def _key(trial: Trial) -> tuple:
    recipe = json.dumps(trial.experiment.to_dict(), sort_keys=True)
    return trial.experiment.name, trial.seed, trial.fold, trial.folds, trial.split, recipe


def _there(city: City, trials: list[Trial]) -> set[tuple]:
    """Return the keys of the trials whose run is among the city's own and not out of date."""
    wanted = {_key(trial) for trial in trials}
    names = {trial.experiment.name for trial in trials}
    own = [path for path in city.run_folders() if path.parent == city.runs]
    folders = [path for path in own if (known := RUN_ID.match(path.name)) and known["experiment"] in names]
    fingerprint = city.fingerprint()
    found = set()
    for record in load_runs(folders)[0]:
        if not stale_reasons(record, fingerprint):
            recipe = json.dumps(record.run.get("config"), sort_keys=True)
            found.add((record.experiment, record.seed, record.fold, record.folds, record.run["fold_kind"], recipe))
    return wanted & found
