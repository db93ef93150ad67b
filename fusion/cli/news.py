"""What `ablate` prints while it runs: a bar or lines on stderr, and JSON lines on stdout where asked."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion.cli.console import progress_line

if TYPE_CHECKING:
    from fusion.training.trials import Event, Outcome, Trial

_EXTRACTING_S = 1.0  # between two lines about samples


class News:
    """Tell of an ablation.

    Stdout with `as_json`: one object a line, its `event` one of "samples", "plan", "started", "epoch", "waiting",
    "done", "kept", "failed", and at last "summary" (docs/data-formats: nothing but these lines goes to stdout).

    Args:
        trials: that will run.
        as_json: whether to write JSON lines to stdout; without it the summary is one plain line.
    """

    def __init__(self, trials: "Sequence[Trial]", as_json: bool) -> None:
        self.trials = trials
        self.as_json = as_json
        self._bar = progress_line("ablation") if sys.stderr.isatty() else None
        self._extracting = progress_line("samples")
        self._began = time.monotonic()
        self._said = -1e9

    def samples(self, share: float, text: str) -> None:
        """Tell how far the extraction of samples is."""
        self._extracting(share, text)
        if time.monotonic() - self._said >= _EXTRACTING_S:
            self._said = time.monotonic()
            self._line({"event": "samples", "share": round(share, 4), "text": text, "time_s": round(time.time(), 2)})

    def begin(self, runs_dir: Path) -> None:
        """Tell which trials there are, in the order of their index."""
        self._began = time.monotonic()
        trials = [trial.to_dict() for trial in self.trials]
        self._line(
            {"event": "plan", "runs_dir": str(runs_dir), "trials": trials, "time_s": round(time.time(), 2)},
        )

    def tell(self, event: "Event") -> None:
        """Tell one event of the ablation."""
        values = event.to_dict()
        self._line(values)
        left = "" if event.left_s is None else f"; {duration(event.left_s)} left"
        if self._bar is not None:
            if event.outcome is not None and event.outcome.error:
                sys.stderr.write("\n")
            self._bar(event.share, f"{event.ended} of {event.total}{left}, {event.trial}")
            if not (event.outcome is not None and event.outcome.error):
                return
        if event.outcome is not None or event.kind == "waiting":
            place = f"[{event.ended} of {event.total}] " if event.outcome is not None else ""
            sys.stderr.write(f"{place}{event.trial}: {_what(event, values)}{left}\n")
            sys.stderr.flush()

    def end(self, outcomes: "Sequence[Outcome]", runs_dir: Path) -> int:
        """Tell what came of it all; return how many trials failed."""
        failed = [outcome for outcome in outcomes if outcome.error]
        kept = sum(outcome.state == "kept" for outcome in outcomes)
        if self.as_json:
            self._line(
                {
                    "event": "summary",
                    "total": len(outcomes),
                    "done": len(outcomes) - len(failed) - kept,
                    "kept": kept,
                    "failed": [{**outcome.trial.to_dict(), "reason": outcome.error} for outcome in failed],
                    "runs_dir": str(runs_dir),
                    "seconds": round(time.monotonic() - self._began, 1),
                    "time_s": round(time.time(), 2),
                }
            )
            return len(failed)
        for outcome in failed:
            sys.stderr.write(f"failed: {outcome.trial}: {outcome.error}\n")
        sys.stdout.write(f"{len(outcomes) - len(failed)} of {len(outcomes)} runs are in {runs_dir}\n")
        return len(failed)

    def _line(self, values: dict[str, Any]) -> None:
        if self.as_json:
            sys.stdout.write(json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n")
            sys.stdout.flush()  # whoever reads a file or a pipe wants it now


def duration(seconds: float) -> str:
    """Return a time to wait in words, no more exact than a forecast can be."""
    if seconds < 60:
        return "under a minute"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min"
    return f"about {seconds / 3600:.1f} h"


def _what(event: "Event", values: dict[str, Any]) -> str:
    if event.kind in ("failed", "waiting"):
        return f"{event.kind}: {event.text}"
    scores = [
        f"{name} {values[key]:.3f}"
        for key, name in (("accuracy", "accuracy"), ("macro_f1", "macro-F1"))
        if values.get(key) is not None
    ]
    took = [f"{values['seconds']:.0f} s"] if event.kind == "done" else ["was there already"]
    return ", ".join([event.kind, *scores, *took])
