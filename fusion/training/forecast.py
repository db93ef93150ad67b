"""How long an ablation still takes. Trials differ in cost by an order of magnitude, so a mean over all misleads."""

import heapq
import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

_TRUSTED = 0.3  # of a trial: from here on its own pace alone tells, before that what its like took does too


class Forecast:
    """The time left, from what trials of the same experiment took, here or in earlier runs.

    Args:
        names: the experiment of each trial, in the order in which they run.
        jobs: trials at a time.
        known: seconds that earlier runs took, by experiment; perhaps on another machine, so only their ratios to
            each other are believed once a trial of a known experiment has ended here.
    """

    def __init__(self, names: Sequence[str], jobs: int, known: Mapping[str, float]) -> None:
        self.names = list(names)
        self.jobs = jobs
        self.known = dict(known)
        self._measured: dict[str, list[float]] = defaultdict(list)
        self._open = dict.fromkeys(range(len(self.names)))

    def end(self, index: int, seconds: float | None) -> None:
        """Note that a trial has ended; `seconds` where it was trained in full, None where it tells nothing."""
        self._open.pop(index, None)
        if seconds is not None:
            self._measured[self.names[index]].append(seconds)

    def expected_s(self, name: str) -> float | None:
        """Return the seconds that a trial of this experiment takes, None where nothing tells."""
        measured = {known: statistics.fmean(values) for known, values in self._measured.items()}
        if name in measured:
            return measured[name]
        both = [measured[other] / self.known[other] for other in measured if self.known.get(other)]
        pace = statistics.median(both) if both else 1.0
        if name in self.known:
            return pace * self.known[name]
        others = [*measured.values(), *(pace * value for key, value in self.known.items() if key not in measured)]
        return statistics.fmean(others) if others else None

    def left_s(self, running: Mapping[int, tuple[float, float]]) -> float | None:
        """Return the seconds until the last trial ends, None while nothing tells.

        Args:
            running: trial -> (seconds since it began, share done since then).
        """
        paces = {index: elapsed / share for index, (elapsed, share) in running.items() if share > 0}
        default = statistics.fmean(paces.values()) if paces else None

        def expected(index: int) -> float | None:
            found = self.expected_s(self.names[index])
            return default if found is None else found

        slots: list[float] = []
        for index, (elapsed, share) in running.items():
            whole = expected(index)
            if whole is None:
                return None
            own = paces.get(index, whole)
            trust = min(1.0, share / _TRUSTED)
            slots.append(max(0.0, trust * own + (1 - trust) * whole - elapsed))
        slots += [0.0] * (self.jobs - len(slots))
        heapq.heapify(slots)
        # Whoever is free first takes the next trial, as the workers do.
        for index in self._open:
            if index not in running:
                whole = expected(index)
                if whole is None:
                    return None
                heapq.heappush(slots, heapq.heappop(slots) + whole)
        return max(slots, default=0.0)


def known_seconds(folders: Iterable[Path]) -> dict[str, float]:
    """Return the mean seconds that finished runs took to train and predict, by experiment; torn runs are passed over.

    Args:
        folders: of finished runs.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for folder in folders:
        try:
            run = json.loads((Path(folder) / "run.json").read_text(encoding="utf-8"))
            seconds = run["seconds"]
            found[str(run["experiment"])].append(float(seconds["train"]) + float(seconds.get("predict") or 0))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return {name: statistics.fmean(values) for name, values in found.items()}
