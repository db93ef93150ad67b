"""One trial in whatever process it is given to, and the board on which it tells how far it is."""

import contextlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusion.errors import FusionError, RunBusyError
from fusion.samples.sampleset import SampleSet
from fusion.training.trials import BUSY, DONE, FAILED, KEPT, Outcome, Trial

STOPPED = "stopped from outside before it was done: the next ablation goes on from its last epoch"


@dataclass(frozen=True)
class Board:
    """A folder with one small file a trial: the only way from a worker to the ablation while a trial runs.

    Plain files, so that it works across processes and, on a shared file system, across machines.
    """

    folder: Path

    def write(self, index: int, **state: Any) -> None:
        """Replace what is said about a trial. A full disk silences the board; the trial itself reports it."""
        path = self.folder / f"{index}.json"
        with contextlib.suppress(OSError):
            written = path.with_suffix(".new")
            written.write_text(json.dumps(state), encoding="utf-8")
            written.replace(path)

    def read(self, index: int) -> dict[str, Any]:
        """Return what was last said about a trial, {} where nothing was."""
        try:
            content = json.loads((self.folder / f"{index}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def wipe(self, index: int) -> None:
        """Forget a trial, before it is begun again."""
        with contextlib.suppress(OSError):
            (self.folder / f"{index}.json").unlink()


@dataclass(frozen=True)
class Order:
    """What a worker must know to train a trial; all paths absolute.

    Attributes:
        samples: the SampleSet, opened anew by each worker, memory-mapped.
        runs_dir: where runs go.
        device: as for `train_run`.
        threads: for torch, on a CPU.
        ceilings: as for `train_run`.
        board: folder of the `Board`.
        owner: process that started the ablation on this machine; None on a cluster.
    """

    samples: Path
    runs_dir: Path
    device: str
    threads: int
    ceilings: Any
    board: Path
    owner: int | None


def attempt(index: int, trial: Trial, order: Order) -> Outcome:
    """Train one trial; whatever goes wrong comes back as its outcome.

    Only an interrupt of the ablation's own process is let through: that one is meant for the whole.
    """
    began = time.perf_counter()
    board = Board(order.board)
    board.write(index, share=0.0, text="", resumed=False)
    run_id: str | None = None
    folder: Path | None = None
    error: str | None = None
    state, resumed = DONE, False
    try:
        import torch

        from fusion.training.keeper import RESUME_FILE
        from fusion.training.recipe import run_name
        from fusion.training.run import train_run

        torch.set_num_threads(order.threads)
        samples = SampleSet.load(order.samples)
        run_id = run_name(samples, trial.experiment, trial.seed, trial.fold, trial.folds, trial.split)
        if (order.runs_dir / run_id).is_dir():
            state = KEPT
        resumed = (order.runs_dir / f".{run_id}.tmp" / RESUME_FILE).is_file()

        def told(share: float, text: str) -> None:
            _leave_if_orphaned(order.owner)
            board.write(index, share=share, text=text, resumed=resumed)

        folder = train_run(
            samples, trial.experiment, trial.seed, trial.fold, trial.folds, order.runs_dir, device=order.device,
            resume=True, progress=told, ceilings=order.ceilings, split=trial.split,
        )  # fmt: skip
    except RunBusyError as busy:
        state, error = BUSY, str(busy)
    except FusionError as known:
        state, error = FAILED, str(known)
    except (KeyboardInterrupt, SystemExit):
        if os.getpid() == order.owner:
            raise
        state, error = FAILED, STOPPED
    except Exception as bug:  # noqa: BLE001  one trial's bug must not cost a night of the others; it is reported
        state, error = FAILED, f"{type(bug).__name__}: {' '.join(str(bug).split())}"
    outcome = Outcome(trial, folder, error, time.perf_counter() - began, state, run_id)
    board.write(index, share=1.0, text="", resumed=resumed, outcome=outcome.to_dict())
    return outcome


def _leave_if_orphaned(owner: int | None) -> None:
    """End this worker where the ablation that started it was killed: nobody waits for its result any more."""
    if owner is not None and owner not in (os.getpid(), os.getppid()):
        # The epoch is on disk already; an exception would only bring the worker back to a queue that nobody reads.
        os._exit(1)
