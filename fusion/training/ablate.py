"""Many trainings: experiments x seeds x folds through joblib, on this machine's cores or on a Ray cluster.

Resumable: a finished run is not trained again, a killed one goes on from its last epoch. A trial that fails is
reported with the others' results and stops none of them; a run that another process is training is left to it, and
its result taken when it is there. docs/decisions, ablate, says what happens when.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import filelock
import numpy as np
from joblib import delayed

from fusion.errors import ConfigError, RunError
from fusion.training.attempt import Board, Order, attempt
from fusion.training.backends import Backend, WorkersLostError, open_backend
from fusion.training.forecast import known_seconds
from fusion.training.runs import run_lock
from fusion.training.trials import BUSY, FAILED, Event, Outcome, Trial, plan
from fusion.training.watch import Watch

__all__ = ["Ceilings", "Event", "Listener", "Outcome", "Progress", "Samples", "Trial", "ablate", "plan"]

Progress = Callable[[float, str], None]
Listener = Callable[[Event], None]
Ceilings = Callable[[np.ndarray], dict[str, float]]
Samples = Path | Mapping[tuple[str, int], Path]

LOST = "its process was killed, perhaps for want of memory: free memory, or use fewer jobs"
_BOARDS = ".ablate-"
_WAIT_S = 1.0  # between two looks at runs that others train
_STALE_S = 7 * 24 * 3600.0  # a board this old is of an ablation that was killed


def ablate(
    samples: Samples,
    trials: Sequence[Trial],
    runs_dir: Path,
    device: str = "auto",
    jobs: int | None = None,
    progress: Progress | None = None,
    ceilings: Ceilings | None = None,
    *,
    backend: str = "local",
    listener: Listener | None = None,
) -> list[Outcome]:
    """Train what is not trained yet and return one outcome a trial, in the order of `trials`.

    Args:
        samples: the SampleSet's folder, or that of each (layout, k) which the experiments want; each process opens it
            anew, memory-mapped.
        trials: from `plan`.
        runs_dir: usually the city's `runs/`.
        device: as for `train_run`.
        jobs: trainings at a time; None = the machine's cores on a CPU, one on anything else, on Ray all it has.
        progress: called as trials end, with the share done and a line with the time left.
        ceilings: as for `train_run`; must be picklable by cloudpickle.
        backend: "local" or "ray"; Ray's machines must see `samples` and `runs_dir` under the same paths.
        listener: called with every event, epochs included, never by two threads at once.

    Raises:
        ConfigError: no such backend or device, jobs below one, no samples for an experiment, or Ray is not there.
        RunError: `runs_dir` cannot be written.
    """
    if not trials:
        return []
    folders = [_samples_of(samples, trial) for trial in trials]
    runs_dir = Path(runs_dir).resolve()
    with open_backend(backend, jobs, len(trials), device) as place:
        board = _new_board(runs_dir)
        try:
            orders = [
                Order(folder, runs_dir, device, place.threads, ceilings, board.folder, place.owner)
                for folder in folders
            ]
            known = known_seconds(path for path in runs_dir.iterdir() if not path.name.startswith("."))
            heard = _both(listener, progress)
            with Watch(trials, board, place.jobs, known, heard) as watch:
                return _Ablation(trials, orders, place, board, watch, runs_dir).run()
        finally:
            shutil.rmtree(board.folder, ignore_errors=True)


class _Ablation:
    """The rounds of one call of `ablate`."""

    def __init__(
        self,
        trials: Sequence[Trial],
        orders: Sequence[Order],
        place: Backend,
        board: Board,
        watch: Watch,
        runs_dir: Path,
    ) -> None:
        self.trials = trials
        self.orders = orders
        self.place = place
        self.board = board
        self.watch = watch
        self.runs_dir = runs_dir
        self.outcomes: dict[int, Outcome] = {}

    def run(self) -> list[Outcome]:
        """Run until every trial has ended, others' included; return the outcomes in order."""
        ready, busy = list(range(len(self.trials))), dict[int, str]()
        while ready or busy:
            if ready:
                busy |= self._round(ready)
            ready = self._released(busy)
            if busy and not ready:
                time.sleep(_WAIT_S)
        return [self.outcomes[index] for index in range(len(self.trials))]

    def _round(self, ready: list[int]) -> dict[int, str]:
        """Run trials, keep what ended, and return those that another process is training, with their run's name."""
        busy: dict[int, str] = {}
        for index, outcome in self._together(ready).items():
            if outcome.state == BUSY and outcome.run_id is not None:
                busy[index] = outcome.run_id
                self.watch.wait(index)
            else:
                self.outcomes[index] = outcome
                self.watch.end(index, outcome)
        return busy

    def _together(self, ready: list[int]) -> dict[int, Outcome]:
        """Return the trials' outcomes, whatever becomes of the workers.

        When a worker is killed, nobody knows under which trial: those that had begun are run again one by one, and
        the one whose process dies once more has failed.
        """
        found: dict[int, Outcome] = {}
        waiting, suspects = list(ready), list[int]()
        while waiting:
            try:
                found |= dict(zip(waiting, self.place.run([self._call(index) for index in waiting]), strict=True))
                break
            except WorkersLostError:
                ended, begun = self._as_told(waiting)
                found |= ended
                rest = [index for index in waiting if index not in ended]
                suspects += [index for index in rest if index in begun] or rest
                waiting = [index for index in rest if index not in suspects]
                for index in suspects:
                    self.board.wipe(index)
        for index in suspects:
            began = time.perf_counter()
            try:
                (found[index],) = self.place.run([self._call(index)], alone=True)
            except WorkersLostError:
                found[index] = Outcome(self.trials[index], None, LOST, time.perf_counter() - began, FAILED)
        return found

    def _call(self, index: int) -> tuple:
        return delayed(attempt)(index, self.trials[index], self.orders[index])

    def _as_told(self, waiting: list[int]) -> tuple[dict[int, Outcome], set[int]]:
        """Return what the board says of trials whose workers are gone: outcomes, and which had begun."""
        ended: dict[int, Outcome] = {}
        begun: set[int] = set()
        for index in waiting:
            said = self.board.read(index)
            if "outcome" in said:
                ended[index] = Outcome.from_dict(self.trials[index], said["outcome"])
            elif said:
                begun.add(index)
        return ended, begun

    def _released(self, busy: dict[int, str]) -> list[int]:
        """Take out of `busy` the trials whose run is there by now, or that nobody trains any more."""
        free = []
        for index, run_id in busy.items():
            try:
                with run_lock(self.runs_dir, run_id):
                    free.append(index)
            except filelock.Timeout:
                continue
        for index in free:
            busy.pop(index)
            self.board.wipe(index)
        return free


def _samples_of(samples: Samples, trial: Trial) -> Path:
    if isinstance(samples, Path):
        return samples.resolve()
    experiment = trial.experiment
    try:
        return Path(samples[experiment.layout, experiment.k]).resolve()
    except KeyError:
        raise ConfigError(
            f"{experiment.name} wants samples of layout {experiment.layout!r} and k {experiment.k}, and there are "
            "none: extract them first"
        ) from None


def _new_board(runs_dir: Path) -> Board:
    """Make a board beside the runs, and clear away those of ablations that were killed long ago."""
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        for old in runs_dir.glob(f"{_BOARDS}*"):
            if time.time() - old.stat().st_mtime > _STALE_S:
                shutil.rmtree(old, ignore_errors=True)
        return Board(Path(tempfile.mkdtemp(prefix=_BOARDS, dir=runs_dir)))
    except OSError as error:
        raise RunError(
            f"{runs_dir}: cannot be written ({error.strerror}): free the disk or change its rights"
        ) from None


def _both(listener: Listener | None, progress: Progress | None) -> Listener:
    def heard(event: Event) -> None:
        if listener is not None:
            listener(event)
        if progress is not None and event.outcome is not None:
            left = "" if event.left_s is None else f", about {event.left_s / 60:.0f} min left"
            progress(event.ended / event.total, f"{event.trial} {event.kind}; {event.ended} of {event.total}{left}")

    return heard
