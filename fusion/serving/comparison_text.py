"""A comparison as a terminal shows it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fusion.serving.contrasts import verdict
from fusion.serving.goals import CLOSES, Goal

if TYPE_CHECKING:
    from fusion.serving.comparison import Comparison

_UNKNOWN = "-"


def write_text(comparison: "Comparison") -> str:
    """Return accuracy, ceilings, declared contrasts, goals and random against spatial as aligned lines."""
    if comparison.setting is None:
        return f"city {comparison.city} has no runs to compare: see `python -m fusion train --help`"
    parts = [[_headline(comparison)], _accuracy(comparison), _ceilings(comparison), _contrasts(comparison)]
    parts += [_goals(comparison.goals()), _flattery(comparison)]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _headline(comparison: "Comparison") -> str:
    setting = comparison.setting
    assert setting is not None
    seeds = ", ".join(map(str, comparison.seeds))
    notes = [f"{setting.folds} {setting.fold_kind} folds", f"seed{'s' * (len(comparison.seeds) > 1)} {seeds}"]
    notes += ["95 % intervals: block bootstrap over spatial groups"]
    notes += ["SYNTHETIC city"] if comparison.provenance == "synthetic" else []
    notes += ["RANDOM folds: neighbours in training flatter"] if setting.fold_kind == "random" else []
    notes += ["STALE: the data or the models changed since"] if comparison.stale else []
    notes += [] if comparison.same_cells else ["not every experiment ran on the same folds"]
    notes += [] if comparison.same_seeds else ["not every experiment ran with the same seeds"]
    return f"{comparison.city}: {'; '.join(notes)}"


def _accuracy(comparison: "Comparison") -> list[str]:
    header = ["experiment", "accuracy", "95 %", "seeds", "worst to best", "ensemble", "balanced", "macro-F1", "kappa"]
    header += ["quantity", "allocation", "ECE before", "after", "parameters", "mult-adds", "n", "folds"]
    rows = []
    for row in comparison.accuracy.to_dict("records"):
        spread = f"{row['seed_low']:.1%} to {row['seed_high']:.1%}" if row["seed_low"] == row["seed_low"] else _UNKNOWN
        rows.append(
            [
                *(row["experiment"], _percent(row["accuracy"]), _interval(row["low"], row["high"]), row["seeds_run"]),
                *(spread, _percent(row["ensemble"]), _percent(row["balanced_accuracy"])),
                *(f"{row['macro_f1']:.3f} of {row['evaluable']}", _number(row["kappa"])),
                *(_percent(row["quantity_disagreement"]), _percent(row["allocation_disagreement"])),
                *(_percent(row["ece_before"]), _percent(row["ece_after"])),
                *(_million(row["parameters"]), _million(row["multiply_adds"]), f"{row['n']:,}", row["folds_run"]),
            ]
        )
    return _align(header, rows)


def _ceilings(comparison: "Comparison") -> list[str]:
    rows = [[f"ceiling: {row['rule']}", _percent(row["accuracy"])] for row in comparison.ceilings.to_dict("records")]
    return _align(["known ceilings", "accuracy"], rows) if rows else []


def _contrasts(comparison: "Comparison") -> list[str]:
    table = comparison.contrasts
    header = ["declared contrast (a minus b)", "points", "95 %", "p (Holm)", "McNemar (Holm)", "", "a", "b"]
    rows = []
    for row in table.to_dict("records"):
        if row["state"] == "run":
            figures = [_points(row["difference"]), _interval(row["low"], row["high"], signed=True)]
            figures += [_p(row["p_holm"]), _p(row["mcnemar_holm"]), verdict(row)]
        else:
            figures = ["", "", "", "", str(row["state"])]
        rows.append([row["en"], *figures, row["a"], row["b"]])
    evaluated = int((table["state"] == "run").sum())
    note = (
        "of seed-averaged probabilities on common seeds, folds and cells; p by sign flips over spatial groups; McNemar "
        f"takes cells for independent; both Holm-corrected over the {evaluated} of {len(table)} declared that were run"
    )
    return [*_align(header, rows), f"  ({note})"]


def _goals(goals: Sequence[Goal]) -> list[str]:
    lines = []
    for goal in goals:
        found = "met" if goal.met else "missed"
        found += "" if goal.sure else ", not surely"
        if goal.key == CLOSES:
            lines.append(
                f"goal: {goal.fusion} closes {_percent(goal.value)} [{goal.low:.1%}, {goal.high:.1%}] of the distance "
                f"from {goal.against} ({_percent(goal.against_accuracy)}) to the joint ceiling "
                f"({_percent(goal.ceiling_accuracy)}); wanted {goal.target:.0%}: {found}"
            )
        else:
            lines.append(
                f"goal: {goal.fusion} minus the additive ceiling ({_percent(goal.ceiling_accuracy)}): "
                f"{_points(goal.value)} points {_interval(goal.low, goal.high, signed=True)}; wanted above 0: {found}"
            )
    return lines


def _flattery(comparison: "Comparison") -> list[str]:
    header = ["random against spatial folds", "spatial", "95 %", "random", "95 %", "flatters by", "95 %, unpaired"]
    rows = [
        [
            row["experiment"],
            *(_percent(row["spatial"]), _interval(row["spatial_low"], row["spatial_high"])),
            *(_percent(row["random"]), _interval(row["random_low"], row["random_high"])),
            *(_points(row["difference"]), _interval(row["low"], row["high"], signed=True)),
        ]
        for row in comparison.flattery.to_dict("records")
    ]
    return _align(header, rows) if rows else []


def _align(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    lines = [[str(value) for value in line] for line in (header, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def _percent(share: float) -> str:
    return _UNKNOWN if np.isnan(share) else f"{share:.1%}"


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"


def _interval(low: float, high: float, signed: bool = False) -> str:
    if np.isnan(low) or np.isnan(high):
        return _UNKNOWN
    return f"[{_points(low)}, {_points(high)}]" if signed else f"[{100 * low:.1f}, {100 * high:.1f}]"


def _number(value: float) -> str:
    return _UNKNOWN if np.isnan(value) else f"{value:.3f}"


def _million(value: float) -> str:
    return _UNKNOWN if np.isnan(value) else f"{value / 1e6:.2f} M"


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"
