"""The tables of a comparison, computed from the predictions that runs left on disk; nothing is taken on trust.

Intervals are block bootstraps over spatial groups, since neighbouring cells are alike (facts §4). `runs` maps an
experiment to its runs of one setting, `predictions` to their pooled test folds as `pool` returns them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fusion.classes import IDS
from fusion.errors import SampleError
from fusion.geo import grid
from fusion.metrics.calibration import ece, reliability
from fusion.metrics.significance import block_bootstrap, mcnemar, paired_difference
from fusion.training.runs import RunRecord, partners

CEILING_RULES = ("image", "image_near", "signal", "signal_near", "additive", "joint", "oracle")
PROBABILITIES = [f"p_{id_}" for id_ in IDS]
BEFORE = [f"before_{name}" for name in PROBABILITIES]

Runs = Mapping[str, Sequence[RunRecord]]
Predictions = Mapping[str, pd.DataFrame]


def modality_of(experiment: str) -> str:
    """Return `fusion`, `image` or `signal`, which an experiment's name says (design §10)."""
    if "+" in experiment:
        return "fusion"
    return "image" if experiment.split("-")[0] == "vit" else "signal"


def pool(runs: Sequence[RunRecord]) -> pd.DataFrame:
    """Stack the test folds of one experiment.

    Returns:
        id, group, fold, true, predicted, right, p_<class id> and before_p_<class id> (before temperature scaling).
    """
    parts = []
    for record in runs:
        table = record.predictions()
        if "group" not in table:
            table["group"] = grid.parents(grid.from_hex(table["id"].tolist()))
        # softmax(z / T) to the power T, renormalised, is softmax(z): what the network said before temperature scaling.
        raw = table[PROBABILITIES].to_numpy(dtype=float) ** float(record.metrics["temperature"])
        table[BEFORE] = raw / raw.sum(axis=1, keepdims=True)
        parts.append(table.assign(fold=record.fold, right=table["true"] == table["predicted"]))
    return pd.concat(parts, ignore_index=True)


def score_classes(runs: Runs, predictions: Predictions) -> pd.DataFrame:
    """Return experiment, function, f1, n_true: over the folds where the class is evaluable, NaN where there is none."""
    rows = []
    for experiment, table in predictions.items():
        excluded = {record.fold: set(record.run.get("not_evaluable") or ()) for record in runs[experiment]}
        for function in IDS:
            usable = [fold for fold, names in excluded.items() if function not in names]
            part = table[table["fold"].isin(usable)]
            true, said = part["true"] == function, part["predicted"] == function
            n_true, hits = int(true.sum()), int((true & said).sum())
            f1 = 2 * hits / (n_true + int(said.sum())) if n_true else np.nan
            rows.append((experiment, function, f1, n_true))
    return pd.DataFrame(rows, columns=["experiment", "function", "f1", "n_true"])


def score_accuracy(runs: Runs, predictions: Predictions, per_class: pd.DataFrame) -> pd.DataFrame:
    """Return one row an experiment, best first: see `fusion.serving.comparison.Comparison`."""
    rows = []
    for experiment, table in predictions.items():
        low, high = _interval(table["right"].to_numpy(dtype=float), table["group"].to_numpy())
        f1 = per_class.loc[per_class["experiment"] == experiment, "f1"]
        truth = table["true"].map(IDS.index).to_numpy()
        records = runs[experiment]
        rows.append(
            {
                "experiment": experiment,
                "modality": modality_of(experiment),
                "accuracy": float(table["right"].mean()),
                "low": low,
                "high": high,
                "n": len(table),
                "groups": int(table["group"].nunique()),
                "macro_f1": float(f1.mean()),
                "evaluable": int(f1.notna().sum()),
                "ece_before": ece(table[BEFORE].to_numpy(), truth),
                "ece_after": ece(table[PROBABILITIES].to_numpy(dtype=float), truth),
                "folds_run": ", ".join(str(record.fold) for record in records),
                "parameters": _mean(record.run.get("parameters") for record in records),
                "train_s": _mean((record.run.get("seconds") or {}).get("train") for record in records),
                "shipped": all(record.shipped for record in records),
            }
        )
    columns = list(rows[0]) if rows else _ACCURACY_COLUMNS
    return pd.DataFrame(rows, columns=columns).sort_values("accuracy", ascending=False, ignore_index=True)


_ACCURACY_COLUMNS = [
    *("experiment", "modality", "accuracy", "low", "high", "n", "groups", "macro_f1", "evaluable"),
    *("ece_before", "ece_after", "folds_run", "parameters", "train_s", "shipped"),
]
_PAIRED_COLUMNS = [
    *("fusion", "unimodal", "modality", "own_stream", "difference", "low", "high"),
    *("only_fusion", "only_unimodal", "p_value", "exact", "n", "groups"),
]


def pair_up(ranked: Sequence[str], runs: Runs, predictions: Predictions) -> pd.DataFrame:
    """Return each fusion against each unimodal experiment on the cells that both were tested on, in rank order."""
    everything = [record for records in runs.values() for record in records]
    rows: list[dict[str, Any]] = []
    for fusion in (name for name in ranked if modality_of(name) == "fusion"):
        own = {record.experiment for record in partners(runs[fusion][0], everything).values() if record is not None}
        for unimodal in (name for name in ranked if modality_of(name) != "fusion"):
            both = pair(predictions[fusion], predictions[unimodal])
            if both.empty or both["group"].nunique() < 2:
                continue
            a, b = both["right_a"].to_numpy(), both["right_b"].to_numpy()
            gap, test = paired_difference(a, b, both["group"].to_numpy()), mcnemar(a, b)
            rows.append(
                {
                    "fusion": fusion,
                    "unimodal": unimodal,
                    "modality": modality_of(unimodal),
                    "own_stream": unimodal in own,
                    "difference": gap.difference,
                    "low": gap.low,
                    "high": gap.high,
                    "only_fusion": test.only_a,
                    "only_unimodal": test.only_b,
                    "p_value": test.p_value,
                    "exact": test.exact,
                    "n": len(both),
                    "groups": gap.groups,
                }
            )
    return pd.DataFrame(rows, columns=_PAIRED_COLUMNS)


def pair(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Return the cells that two experiments were both tested on, with `_a` and `_b` columns."""
    return a[["id", "group", "true", "predicted", "right"]].merge(
        b[["id", "predicted", "right"]], on="id", suffixes=("_a", "_b"), validate="one_to_one"
    )


def average_ceilings(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Return rule, accuracy: the mean over the pooled test cells; each fold counts once, by its cells."""
    folds = {record.fold: record.metrics for record in records if record.metrics.get("ceilings")}
    rows = []
    for rule in CEILING_RULES:
        known = [
            (metrics["ceilings"][rule], metrics["n_test"]) for metrics in folds.values() if rule in metrics["ceilings"]
        ]
        if known:
            values, weights = zip(*known, strict=True)
            rows.append((rule, float(np.average(values, weights=weights))))
    return pd.DataFrame(rows, columns=["rule", "accuracy"])


def bin_reliability(ranked: Sequence[str], predictions: Predictions) -> pd.DataFrame:
    """Return the bins of confidence that have cells, by experiment and stage (before, after temperature scaling)."""
    parts = []
    for experiment in ranked:
        table = predictions[experiment]
        truth = table["true"].map(IDS.index).to_numpy()
        for stage, columns in (("before", BEFORE), ("after", PROBABILITIES)):
            bins = pd.DataFrame(reliability(table[columns].to_numpy(dtype=float), truth))
            parts.append(bins[bins["count"] > 0].assign(experiment=experiment, stage=stage))
    columns = ["experiment", "stage", "low", "high", "confidence", "accuracy", "count"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _interval(values: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    try:
        return block_bootstrap(values, groups)
    except SampleError:  # a single group: the accuracy stands, without an interval
        return float("nan"), float("nan")


def _mean(values: Iterable[float | None]) -> float:
    known = [float(value) for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")
