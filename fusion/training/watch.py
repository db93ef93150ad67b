"""The ear of an ablation: reads the board while the trials run, and tells what is new."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from fusion.training.attempt import Board
from fusion.training.forecast import Forecast
from fusion.training.trials import BUSY, DONE, Event, Outcome, Trial

_LOOK_S = 0.5


@dataclass
class _Heard:
    """What is known of one trial; times are this process's own, for machines' clocks differ."""

    began: float | None = None  # when it was first seen running
    share: float = 0.0
    resumed: bool = False
    first: tuple[float, float] | None = None  # of a resumed run: when its first share was seen, and that share
    waits: bool = False
    ended: bool = False


class Watch:
    """A thread that reads the board and calls `listener`, one event at a time.

    Args:
        trials: of the ablation.
        board: that the workers write.
        jobs: trials at a time.
        known: seconds that earlier runs took, by experiment.
        listener: called with each event; what it raises is raised again at the end of the ablation.
    """

    def __init__(
        self,
        trials: Sequence[Trial],
        board: Board,
        jobs: int,
        known: Mapping[str, float],
        listener: Callable[[Event], None],
    ) -> None:
        self.trials = trials
        self.board = board
        self.listener = listener
        self.forecast = Forecast([trial.experiment.name for trial in trials], jobs, known)
        self._heard = [_Heard() for _ in trials]
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._trouble: Exception | None = None
        self._thread = threading.Thread(target=self._listen, name="ablation", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if kind is None and self._trouble is not None:
            raise self._trouble

    def end(self, index: int, outcome: Outcome) -> None:
        """Tell that a trial has ended, if nobody has yet."""
        with self._lock:
            heard = self._heard[index]
            if heard.ended:
                return
            heard.ended, heard.share = True, 1.0
            # A resumed run or one that was there says nothing of what a whole one takes.
            whole = outcome.state == DONE and not self.board.read(index).get("resumed", False)
            self.forecast.end(index, outcome.seconds if whole else None)
            self._tell(outcome.state, index, outcome.error or "", outcome)

    def wait(self, index: int) -> None:
        """Tell that a trial's run is being trained by another process; it has not ended."""
        with self._lock:
            if not self._heard[index].waits:
                self._heard[index] = _Heard(waits=True)
                self._tell("waiting", index, "another process is training this run")

    def _listen(self) -> None:
        while not self._over.wait(_LOOK_S):
            for index, heard in enumerate(self._heard):
                if not heard.ended:
                    self._look(index)

    def _look(self, index: int) -> None:
        said = self.board.read(index)
        with self._lock:
            heard = self._heard[index]
            if not said or heard.ended:
                return
            if "outcome" in said:
                outcome = Outcome.from_dict(self.trials[index], said["outcome"])
                if outcome.state == BUSY:
                    self.wait(index)
                else:
                    self.end(index, outcome)
                return
            now, share = time.monotonic(), float(said["share"])
            if heard.began is None:
                heard.began, heard.waits = now, False
                self._tell("started", index)
            if share > heard.share:
                if said.get("resumed"):
                    heard.first = heard.first or (now, share)
                heard.share = share
                self._tell("epoch", index, str(said["text"]))

    def _tell(self, kind: str, index: int, text: str = "", outcome: Outcome | None = None) -> None:
        event = Event(
            kind=kind,
            index=index,
            trial=self.trials[index],
            trial_share=self._heard[index].share,
            share=sum(heard.share for heard in self._heard) / len(self._heard),
            left_s=self.forecast.left_s(self._running()),
            ended=sum(heard.ended for heard in self._heard),
            total=len(self._heard),
            text=text,
            outcome=outcome,
        )
        if self._trouble is not None:
            return
        try:
            self.listener(event)
        except Exception as error:  # noqa: BLE001  a closed pipe must not end the trainings; it is raised at the end
            self._trouble = error

    def _running(self) -> dict[int, tuple[float, float]]:
        """Return trial -> (seconds, share done in them) of those that run.

        A run that goes on from its fifth epoch has done that half in no time: its pace is counted from the first share
        that was seen, over what was left then.
        """
        now = time.monotonic()
        running = {}
        for index, heard in enumerate(self._heard):
            if heard.began is None or heard.ended:
                continue
            elapsed, share = now - heard.began, heard.share
            if heard.first is not None and heard.first[1] < 1:
                elapsed, share = now - heard.first[0], (share - heard.first[1]) / (1 - heard.first[1])
            running[index] = (elapsed, share)
        return running
