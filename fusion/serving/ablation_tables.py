"""The tables of an ablation, computed from what runs left on disk; unknown stays NaN.

Accuracies and their intervals are those of `fusion.serving.comparison`; added here is what an axis asks: each row
against its reference row on the same seeds, folds and cells, what it costs, how alike its streams are, what damage
does.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fusion.analysis.conditions import CONDITIONS
from fusion.errors import RunError, SampleError
from fusion.metrics.significance import paired_difference
from fusion.serving.ablation_axes import Place
from fusion.serving.pooling import Predictions, Runs, modality_of, pair
from fusion.training.runs import RunRecord
from fusion.training.suites import SUITES

ROBUSTNESS_FILE = "robustness.csv"
AXIS_COLUMNS = [
    *("experiment", "label_en", "label_zh", "value", "ordered", "modality", "accuracy", "low", "high", "macro_f1"),
    *("n", "groups", "seeds", "folds_run", "runs", "fewer", "declared", "parameters", "multiply_adds", "saved"),
    *(
        "reference",
        "difference",
        "difference_low",
        "difference_high",
        "common_seeds",
        "common_folds",
        "common_cells",
        "verdict",
    ),
]
SIMILARITY_COLUMNS = [
    *("experiment", "level", "cka", "cka_low", "cka_high", "cka_chance"),
    *("overlap", "overlap_low", "overlap_high", "overlap_chance", "runs"),
]
ROBUSTNESS_COLUMNS = ["experiment", "condition", "strength", "n", "accuracy", "low", "high", "macro_f1", "runs",
                      "seeds", "folds"]  # fmt: skip

_SCORES = ("accuracy", "low", "high", "macro_f1", "n", "groups", "seeds", "parameters", "multiply_adds")


def axis_table(rows: Sequence[Place], runs: Runs, accuracy: pd.DataFrame, predictions: Predictions) -> pd.DataFrame:
    """Return one row an experiment of the axis that has runs, in the axis' order.

    Args:
        rows: the places of the axis.
        runs: experiment -> its runs of one setting.
        accuracy, predictions: as of `fusion.serving.comparison.Comparison`.

    Returns:
        `AXIS_COLUMNS`: value (on the axis' scale), ordered (whether it is a scale), accuracy with low and high (95 %),
        n (test cells), seeds (their number), folds_run, runs; fewer (fewer runs than the fullest row of the axis);
        declared (row of the suite core); multiply_adds (a cell) and saved (their share saved over the reference);
        difference to the reference row with its paired interval, on common_cells cells of common_seeds seeds and
        common_folds folds; verdict: better, worse or open by that interval, "" where there is none.
    """
    scores = accuracy.set_index("experiment")
    present = [row for row in rows if row.experiment in runs and row.experiment in scores.index]
    most = max((len(runs[row.experiment]) for row in present), default=0)
    table = []
    for row in present:
        own, score = runs[row.experiment], scores.loc[row.experiment]
        table.append(
            {
                "experiment": row.experiment,
                "label_en": row.en,
                "label_zh": row.zh,
                "value": row.value,
                "ordered": not np.isnan(row.value),
                "modality": modality_of(row.experiment),
                **{name: score[name] for name in _SCORES},
                "folds_run": len({record.fold for record in own}),
                "runs": len(own),
                "fewer": len(own) < most,
                "declared": row.experiment in SUITES["core"],
                "saved": 1 - score["multiply_adds"] / scores["multiply_adds"].get(row.reference, np.nan),
                "reference": row.reference,
                **_against(row.experiment, row.reference, predictions),
            }
        )
    return pd.DataFrame(table, columns=AXIS_COLUMNS)


def similarity_table(runs: Runs) -> pd.DataFrame:
    """Return how alike the two streams are by level: `SIMILARITY_COLUMNS`, means over runs with their range.

    cka: linear CKA of the pooled test representations (Kornblith et al. 2019, arXiv 1905.00414), 0 to 1; overlap: of
    the leading input subspaces of the level's weights, 0 to 1; _chance: what unrelated ones have. NaN where not
    measured. See `fusion.training.measure.measure_similarity`.
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
                known = _known(entries, name)
                row[name] = float(np.mean(known)) if known else np.nan
                row[f"{name}_low"] = min(known, default=np.nan)
                row[f"{name}_high"] = max(known, default=np.nan)
                chance = _known(entries, f"{name}_chance")
                row[f"{name}_chance"] = float(np.mean(chance)) if chance else np.nan
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


def _known(entries: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    values = [entry.get(name) for entry in entries]
    return [float(value) for value in values if value is not None and not np.isnan(value)]


def _against(own: str, reference: str, predictions: Predictions) -> dict[str, Any]:
    """Compare a row with its reference on the seeds, folds and cells that both have, one model against one model."""
    nothing = dict.fromkeys(("difference", "difference_low", "difference_high"), np.nan)
    result: dict[str, Any] = {**nothing, "common_seeds": 0, "common_folds": 0, "common_cells": 0, "verdict": ""}
    if own == reference or reference not in predictions:
        return result
    both = pair(predictions[own], predictions[reference])
    cells = both.cells
    result |= {"common_seeds": len(both.seeds), "common_folds": len(both.folds), "common_cells": len(cells)}
    if cells.empty:
        return result
    try:
        gap = paired_difference(cells["share_a"], cells["share_b"], cells["group"])
    except SampleError:  # a single group: the difference stands, without an interval and without a verdict
        return {**result, "difference": float((cells["share_a"] - cells["share_b"]).mean())}
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
        "seeds": group["seed"].nunique(),
        "folds": len(folds),
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
    wanted = set(ROBUSTNESS_COLUMNS) - {"experiment", "runs", "seeds", "folds"}
    if missing := sorted(wanted - set(table.columns)):
        raise RunError(f"{path}: no column {', '.join(missing)}: {advice}")
    try:
        return table.astype(dict.fromkeys(wanted - {"condition"}, float))
    except ValueError as error:
        raise RunError(f"{path}: {' '.join(str(error).split())}: {advice}") from None
