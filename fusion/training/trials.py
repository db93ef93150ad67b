"""What an ablation trains, and what becomes of it: trials, their plan, outcomes and events. No torch here."""

import itertools
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fusion.errors import ConfigError
from fusion.samples.split import KINDS
from fusion.training.experiment import Experiment
from fusion.training.suites import suite_rows

DONE, KEPT, FAILED, BUSY = "done", "kept", "failed", "busy"


@dataclass(frozen=True)
class Trial:
    """One training of an ablation; `split` is the kind of folds, None the samples' own default."""

    experiment: Experiment
    seed: int
    fold: int
    folds: int
    split: str | None = None

    def __str__(self) -> str:
        kind = f" {self.split}" if self.split else ""
        return f"{self.experiment.name}, seed {self.seed}, fold {self.fold} of {self.folds}{kind}"

    def to_dict(self) -> dict[str, Any]:
        """Return what names the trial as plain values."""
        return {
            "experiment": self.experiment.name,
            "seed": self.seed,
            "fold": self.fold,
            "folds": self.folds,
            "split": self.split,
        }


@dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    Attributes:
        trial: the trial.
        folder: its run, None where there is none.
        error: why there is none, in one line.
        seconds: wall time of the attempt.
        state: "done" (trained now), "kept" (the run was there already, or another process made it meanwhile),
            "failed", or "busy" (another process is training it; an ablation never ends with this one).
        run_id: the run's name, None where the samples could not even be read.
    """

    trial: Trial
    folder: Path | None
    error: str | None
    seconds: float
    state: str = DONE
    run_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return all but the trial as plain values."""
        folder = None if self.folder is None else str(self.folder)
        return {
            "folder": folder,
            "error": self.error,
            "seconds": round(self.seconds, 3),
            "state": self.state,
            "run_id": self.run_id,
        }

    @classmethod
    def from_dict(cls, trial: Trial, values: Mapping[str, Any]) -> "Outcome":
        """Return what `to_dict` wrote of this trial."""
        folder = None if values["folder"] is None else Path(values["folder"])
        return cls(trial, folder, values["error"], float(values["seconds"]), values["state"], values["run_id"])


@dataclass(frozen=True)
class Event:
    """One piece of news from an ablation.

    Attributes:
        kind: "started", "epoch", "done", "kept", "failed" or "waiting" (another process is training this run).
        index: of the trial in the plan.
        trial: the trial.
        trial_share: how far the trial is, 0 to 1.
        share: how far the ablation is, 0 to 1: trials count alike.
        left_s: seconds until all is done, None while nothing tells.
        ended, total: trials.
        text: the epoch's figures, or why the trial failed.
        outcome: of a trial that has ended.
        time_s: seconds since 1970.
    """

    kind: str
    index: int
    trial: Trial
    trial_share: float
    share: float
    left_s: float | None
    ended: int
    total: int
    text: str = ""
    outcome: Outcome | None = None
    time_s: float = field(default_factory=time.time)

    def to_dict(self) -> dict[str, Any]:
        """Return the event as plain values, the scores of a finished run beside it."""
        values: dict[str, Any] = {
            "event": self.kind,
            "index": self.index,
            "trial": self.trial.to_dict(),
            "trial_share": round(self.trial_share, 4),
            "share": round(self.share, 4),
            "left_s": None if self.left_s is None else round(self.left_s, 1),
            "ended": self.ended,
            "total": self.total,
            "text": self.text,
            "time_s": round(self.time_s, 2),
        }
        if self.outcome is not None:
            values |= {"run": self.outcome.run_id, "seconds": round(self.outcome.seconds, 1), **scores_of(self.outcome)}
        return values


def plan(
    experiments: Sequence[str | Experiment],
    seeds: Iterable[int],
    folds: int,
    run_folds: int | None = None,
    split: str | None = None,
    options: Mapping[str, str] | None = None,
) -> list[Trial]:
    """Return the trials in the order in which they run: all experiments of one seed and fold before the next.

    Args:
        experiments: names of suites and of `EXPERIMENTS`, or experiments; what is named twice is trained once.
        seeds: training seeds.
        folds: the partition into folds.
        run_folds: run the first so many of them only; all where None.
        split: kind of folds, "spatial" or "random"; None: the samples' own default.
        options: as of `Experiment.with_options`, changed in every experiment.

    Raises:
        ConfigError: an unknown name, option or kind of folds, no seed, or more folds to run than there are.
    """
    count = folds if run_folds is None else run_folds
    if folds < 2:
        raise ConfigError(f"{folds} folds: use 2 or more, one to test on and others to train on")
    if not 1 <= count <= folds:
        raise ConfigError(f"{count} of {folds} folds: run between 1 and {folds}")
    if split is not None and split not in KINDS:
        raise ConfigError(f"split {split!r} is unknown: use {' or '.join(KINDS)}")
    numbers = list(dict.fromkeys(seeds))
    if not numbers:
        raise ConfigError("no seed to train with: use 1 seed or more")
    if not experiments:
        raise ConfigError("no experiment to train: name suites or experiments")
    rows = {row.name: row for row in _rows(experiments, options or {})}
    return [
        Trial(experiment, seed, fold, folds, split)
        for fold, seed, experiment in itertools.product(range(count), numbers, rows.values())
    ]


def scores_of(outcome: Outcome) -> dict[str, float | None]:
    """Return a finished run's test scores, {"accuracy": .., "macro_f1": ..}; None where there is none to read."""
    none: dict[str, float | None] = {"accuracy": None, "macro_f1": None}
    if outcome.folder is None:
        return none
    try:
        metrics = json.loads((outcome.folder / "metrics.json").read_text(encoding="utf-8"))
        return {"accuracy": float(metrics["overall_accuracy"]), "macro_f1": float(metrics["macro_f1"])}
    except (OSError, ValueError, KeyError, TypeError):  # deleted meanwhile, or torn: whoever reads the run says so
        return none


def _rows(experiments: Sequence[str | Experiment], options: Mapping[str, str]) -> list[Experiment]:
    from fusion.training.experiments import EXPERIMENTS

    rows: list[Experiment] = []
    for item in experiments:
        rows += [item] if isinstance(item, Experiment) else [EXPERIMENTS[name] for name in suite_rows([item])]
    return [row.with_options(options) for row in rows]
