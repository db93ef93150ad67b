"""The tables of an ablation, computed from what runs left on disk; unknown stays NaN.

Accuracies and their intervals are those of `fusion.serving.comparison`; added here is what an axis asks: each row
against its reference row on the same seeds, folds and cells, what it costs, how alike its streams are, what damage
does.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fusion.analysis.conditions import CONDITIONS
from fusion.errors import RunError, SampleError
from fusion.geo import grid
from fusion.metrics.significance import paired_difference
from fusion.serving.ablation_axes import Place
from fusion.serving.comparison_tables import modality_of
from fusion.training.runs import RunRecord
from fusion.training.suites import SUITES

ROBUSTNESS_FILE = "robustness.csv"
AXIS_COLUMNS = [
    *("experiment", "label_en", "label_zh", "value", "ordered", "modality", "accuracy", "low", "high", "macro_f1"),
    *("n", "groups", "seeds", "folds_run", "runs", "fewer", "declared", "parameters", "multiply_adds", "saved"),
    *("reference", "difference", "difference_low", "difference_high", "common_runs", "common_cells", "verdict"),
]
SIMILARITY_COLUMNS = [
    *("experiment", "level", "cka", "cka_low", "cka_high", "overlap", "overlap_low", "overlap_high", "runs")
]
ROBUSTNESS_COLUMNS = ["experiment", "condition", "strength", "n", "accuracy", "low", "high", "macro_f1", "runs"]

Runs = Mapping[str, Sequence[RunRecord]]


class Cells:
    """Right or wrong by run, read once: axes share rows, and a row is compared on several."""

    def __init__(self) -> None:
        self._known: dict[str, pd.DataFrame] = {}

    def of(self, record: RunRecord) -> pd.DataFrame:
        """Return id, group, right (0 or 1) of one run's test cells."""
        if record.id not in self._known:
            table = record.predictions()
            if "group" not in table:
                table["group"] = grid.parents(grid.from_hex(table["id"].tolist()))
            table["right"] = (table["true"] == table["predicted"]).astype(float)
            self._known[record.id] = table[["id", "group", "right"]]
        return self._known[record.id]

    def mean(self, records: Iterable[RunRecord]) -> pd.DataFrame:
        """Return id, group, right: the share of the seeds whose run of the cell's fold is right."""
        table = pd.concat([self.of(record) for record in records], ignore_index=True)
        return table.groupby("id", as_index=False, sort=True).agg({"group": "first", "right": "mean"})


def axis_table(rows: Sequence[Place], runs: Runs, accuracy: pd.DataFrame, cells: Cells) -> pd.DataFrame:
    """Return one row an experiment of the axis that has runs, in the axis' order.

    Args:
        rows: the places of the axis.
        runs: experiment -> its runs of one setting.
        accuracy: as `fusion.serving.comparison.Comparison.accuracy`.
        cells: where right and wrong are read.

    Returns:
        `AXIS_COLUMNS`: value (on the axis' scale), ordered (whether it is a scale), accuracy with low and high (95 %),
        n (test cells), seeds (their number), folds_run, runs; fewer (fewer runs than the fullest row of the axis);
        declared (row of the suite core); multiply_adds (a cell) and saved (their share saved over the reference);
        difference to the reference row with its paired interval on common_cells cells of common_runs runs each;
        verdict: better, worse or open by that interval, "" where there is none.
    """
    scores = accuracy.set_index("experiment")
    present = [row for row in rows if row.experiment in runs and row.experiment in scores.index]
    most = max((len(runs[row.experiment]) for row in present), default=0)
    table = []
    for row in present:
        own, score = runs[row.experiment], scores.loc[row.experiment]
        cost = _cost(own, "multiply_adds")
        table.append(
            {
                "experiment": row.experiment,
                "label_en": row.en,
                "label_zh": row.zh,
                "value": row.value,
                "ordered": not np.isnan(row.value),
                "modality": modality_of(row.experiment),
                **{name: score[name] for name in ("accuracy", "low", "high", "macro_f1", "n", "groups")},
                "seeds": len({record.seed for record in own}),
                "folds_run": len({record.fold for record in own}),
                "runs": len(own),
                "fewer": len(own) < most,
                "declared": row.experiment in SUITES["core"],
                "parameters": _cost(own, "parameters"),
                "multiply_adds": cost,
                "saved": 1 - cost / _cost(runs.get(row.reference, ()), "multiply_adds"),
                "reference": row.reference,
                **_against(own, runs.get(row.reference, ()), cells, itself=row.reference == row.experiment),
            }
        )
    return pd.DataFrame(table, columns=AXIS_COLUMNS)


def similarity_table(runs: Runs) -> pd.DataFrame:
    """Return how alike the two streams are by level: `SIMILARITY_COLUMNS`, means over runs with their range.

    cka: linear CKA of the pooled test representations (Kornblith et al. 2019, arXiv 1905.00414), 0 to 1; overlap: of
    the leading input subspaces of the level's weights, 0 to 1. NaN where not measured.
    """
    rows: list[dict[str, Any]] = []
    for experiment, records in runs.items():
        by_level: dict[int, list[Mapping[str, Any]]] = {}
        for record in records:
            for entry in record.metrics.get("similarity") or ():
                by_level.setdefault(int(entry["level"]), []).append(entry)
        for level, entries in sorted(by_level.items()):
            row: dict[str, Any] = {"experiment": experiment, "level": level, "runs": len(entries)}
            for name in ("cka", "overlap"):
                known = [float(entry[name]) for entry in entries if entry.get(name) is not None]
                row[name] = float(np.mean(known)) if known else np.nan
                row[f"{name}_low"] = min(known, default=np.nan)
                row[f"{name}_high"] = max(known, default=np.nan)
            rows.append(row)
    return pd.DataFrame(rows, columns=SIMILARITY_COLUMNS)


def robustness_table(runs: Runs) -> tuple[pd.DataFrame, dict[str, str]]:
    """Pool the measured robustness of runs over folds and seeds.

    Folds are disjoint cells, weighted by their number; seeds repeat the same cells and are averaged first. The files
    hold intervals, not cells, so intervals are combined: over folds as independent estimates (MOVER for a linear
    function: Zou, Huang & Zhang, Comput. Stat. Data Anal. 53(4), 2009), over seeds as wholly dependent ones, which is
    cautious.
    Only runs that measured a condition count in it, so `n` may differ between conditions.

    Returns:
        `ROBUSTNESS_COLUMNS` in the order of `fusion.analysis.conditions.CONDITIONS`, and run id -> why its file cannot
        be read.
    """
    rows: list[dict[str, Any]] = []
    problems: dict[str, str] = {}
    for experiment, records in runs.items():
        parts = []
        for record in records:
            try:
                table = _read_robustness(record)
            except RunError as error:
                problems[record.id] = str(error)
                continue
            if table is not None:
                parts.append(table.assign(seed=record.seed, fold=record.fold))
        if not parts:
            continue
        everything = pd.concat(parts, ignore_index=True)
        for (condition, strength), group in everything.groupby(["condition", "strength"], sort=False):
            rows.append({"experiment": experiment, "condition": condition, "strength": strength, **_pooled(group)})
    result = pd.DataFrame(rows, columns=ROBUSTNESS_COLUMNS)
    if len(result):
        rank = {condition.name: number for number, condition in reversed(list(enumerate(CONDITIONS)))}
        result = (
            result.assign(
                _experiment=result["experiment"].map({name: number for number, name in enumerate(runs)}),
                _condition=result["condition"].map(rank).fillna(len(rank)),
            )
            .sort_values(["_experiment", "_condition", "strength"], ignore_index=True)
            .drop(columns=["_experiment", "_condition"])
        )
    return result, problems


def _against(own: Sequence[RunRecord], other: Sequence[RunRecord], cells: Cells, itself: bool) -> dict[str, Any]:
    """Compare a row with its reference on the seeds and folds that both have."""
    nothing = {"difference": np.nan, "difference_low": np.nan, "difference_high": np.nan}
    common = {(record.seed, record.fold) for record in own} & {(record.seed, record.fold) for record in other}
    result: dict[str, Any] = {**nothing, "common_runs": len(common), "common_cells": 0, "verdict": ""}
    if itself or not common:
        return result
    a, b = (cells.mean(one for one in side if (one.seed, one.fold) in common) for side in (own, other))
    both = a.merge(b[["id", "right"]], on="id", suffixes=("_a", "_b"), validate="one_to_one")
    result["common_cells"] = len(both)
    if both.empty:
        return result
    try:
        gap = paired_difference(both["right_a"], both["right_b"], both["group"])
    except SampleError:  # a single group: the difference stands, without an interval and without a verdict
        return {**result, "difference": float((both["right_a"] - both["right_b"]).mean())}
    verdict = "better" if gap.low > 0 else "worse" if gap.high < 0 else "open"
    return {
        **result,
        "difference": gap.difference,
        "difference_low": gap.low,
        "difference_high": gap.high,
        "verdict": verdict,
    }


def _pooled(group: pd.DataFrame) -> dict[str, float | int]:
    """Pool one condition of one experiment: mean over seeds by fold, then folds weighted by their cells."""
    group = group.assign(below=group["accuracy"] - group["low"], above=group["high"] - group["accuracy"])
    folds = group.groupby("fold")[["n", "accuracy", "below", "above", "macro_f1"]].mean()
    weight = folds["n"] / folds["n"].sum()
    accuracy = float((weight * folds["accuracy"]).sum())
    return {
        "n": round(folds["n"].sum()),
        "accuracy": accuracy,
        "low": max(accuracy - float(np.sqrt(((weight * folds["below"]) ** 2).sum(skipna=False))), 0.0),
        "high": min(accuracy + float(np.sqrt(((weight * folds["above"]) ** 2).sum(skipna=False))), 1.0),
        "macro_f1": float(folds["macro_f1"].mean()),
        "runs": len(group),
    }


def _read_robustness(record: RunRecord) -> pd.DataFrame | None:
    path = record.folder / ROBUSTNESS_FILE
    if not path.is_file():
        return None
    advice = f"measure it again with `python -m fusion robustness --run {record.id}`"
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({' '.join(str(error).split())}): {advice}") from None
    wanted = set(ROBUSTNESS_COLUMNS) - {"experiment", "runs"}
    if missing := sorted(wanted - set(table.columns)):
        raise RunError(f"{path}: no column {', '.join(missing)}: {advice}")
    try:
        return table.astype(dict.fromkeys(wanted - {"condition"}, float))
    except ValueError as error:
        raise RunError(f"{path}: {' '.join(str(error).split())}: {advice}") from None


def _cost(records: Sequence[RunRecord], name: str) -> float:
    """Return the mean of a figure of run.json's cost; NaN where no run says it. Old runs name parameters only."""
    values = [(record.run.get("cost") or {}).get(name, record.run.get(name)) for record in records]
    known = [float(value) for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")
