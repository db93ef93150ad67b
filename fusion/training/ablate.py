"""Many trainings: experiments x seeds x folds through joblib, each in a process of its own.

Resumable: a finished run is not trained again, a killed one goes on from its last epoch. A trial that fails is
reported with the others' results and stops none of them.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fusion.errors import ConfigError, FusionError
from fusion.samples.sampleset import SampleSet
from fusion.training.experiment import Experiment
from fusion.training.experiments import experiment_named

Progress = Callable[[float, str], None]
Ceilings = Callable[[np.ndarray], dict[str, float]]


@dataclass(frozen=True)
class Trial:
    """One training of an ablation."""

    experiment: Experiment
    seed: int
    fold: int
    folds: int

    def __str__(self) -> str:
        return f"{self.experiment.name}, seed {self.seed}, fold {self.fold} of {self.folds}"


@dataclass(frozen=True)
class Outcome:
    """What became of a trial: its run folder, or why there is none."""

    trial: Trial
    folder: Path | None
    error: str | None
    seconds: float


def plan(
    experiments: Sequence[str | Experiment], seeds: Iterable[int], folds: int, run_folds: int | None = None
) -> list[Trial]:
    """Return the trials in the order in which they run: all experiments of one seed and fold before the next.

    Args:
        experiments: names of `EXPERIMENTS`, or experiments.
        seeds: training seeds.
        folds: the partition into folds.
        run_folds: run the first so many of them only; all where None.

    Raises:
        ConfigError: an unknown experiment, or more folds to run than there are.
    """
    count = folds if run_folds is None else run_folds
    if not 1 <= count <= folds:
        raise ConfigError(f"{count} of {folds} folds: run between 1 and {folds}")
    chosen = [experiment_named(item) if isinstance(item, str) else item for item in experiments]
    return [
        Trial(experiment, seed, fold, folds)
        for fold, seed, experiment in itertools.product(range(count), seeds, chosen)
    ]


def ablate(
    samples_folder: Path,
    trials: Sequence[Trial],
    runs_dir: Path,
    device: str = "auto",
    jobs: int | None = None,
    progress: Progress | None = None,
    ceilings: Ceilings | None = None,
) -> list[Outcome]:
    """Train what is not trained yet and return one outcome a trial, in the order of `trials`.

    Args:
        samples_folder: the SampleSet; each process opens it anew, memory-mapped.
        trials: from `plan`.
        runs_dir: usually the city's `runs/`.
        device: as for `train_run`.
        jobs: trainings at a time; None = the machine's cores on a CPU, one on anything else.
        progress: called as trials end, with the share done and the time left.
        ceilings: as for `train_run`; must be picklable by cloudpickle.
    """
    from joblib import Parallel, delayed

    jobs = _jobs(device, jobs, len(trials))
    threads = max(1, (os.cpu_count() or 1) // jobs)
    calls = (
        delayed(_attempt)(index, samples_folder, trial, runs_dir, device, threads, ceilings)
        for index, trial in enumerate(trials)
    )
    results = Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)(calls)
    found = dict(_told(results, len(trials), progress))
    return [found[index] for index in range(len(trials))]


def _attempt(
    index: int,
    samples_folder: Path,
    trial: Trial,
    runs_dir: Path,
    device: str,
    threads: int,
    ceilings: Ceilings | None,
) -> tuple[int, Outcome]:
    began = time.perf_counter()
    try:
        import torch

        from fusion.training.run import train_run

        torch.set_num_threads(threads)
        folder = train_run(
            SampleSet.load(samples_folder),
            trial.experiment,
            trial.seed,
            trial.fold,
            trial.folds,
            runs_dir,
            device=device,
            resume=True,
            progress=lambda share, text: None,
            ceilings=ceilings,
        )
    except FusionError as error:
        return index, Outcome(trial, None, str(error), time.perf_counter() - began)
    except Exception as error:  # noqa: BLE001  one trial's bug must not cost a night of the others; it is reported
        text = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return index, Outcome(trial, None, text, time.perf_counter() - began)
    return index, Outcome(trial, folder, None, time.perf_counter() - began)


def _told(
    results: Iterator[tuple[int, Outcome]], total: int, progress: Progress | None
) -> Iterator[tuple[int, Outcome]]:
    began = time.perf_counter()
    trained = 0
    for done, (index, outcome) in enumerate(results, start=1):
        # Runs that were there already come back at once; counting them would promise too early an end.
        trained += outcome.seconds > 1
        if progress is not None:
            left_s = (time.perf_counter() - began) / max(trained, 1) * (total - done)
            state = "failed" if outcome.error else "done"
            progress(done / total, f"{outcome.trial} {state}; {done} of {total}, about {left_s / 60:.0f} min left")
        yield index, outcome


def _jobs(device: str, jobs: int | None, trials: int) -> int:
    if jobs is not None and jobs < 1:
        raise ConfigError(f"{jobs} jobs: use 1 or more")
    if jobs is None:
        from fusion.training.device import pick_device

        jobs = (os.cpu_count() or 1) if pick_device(device).type == "cpu" else 1
    return max(1, min(jobs, trials))
