"""The tables of a comparison, computed from the predictions that runs left on disk; nothing is taken on trust.

Intervals are block bootstraps over spatial groups, since neighbouring cells are alike (facts §4). `runs` maps an
experiment to its runs of one setting, `predictions` to what `fusion.serving.pooling.pool` makes of them. Where an
experiment has several seeds, every figure is that of a single model, on average: a cell counts once, its seeds share
its weight.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fusion.classes import IDS
from fusion.errors import SampleError
from fusion.metrics.calibration import ece, reliability
from fusion.metrics.scores import disagreement, kappa
from fusion.metrics.significance import block_bootstrap
from fusion.serving.pooling import BEFORE, PROBABILITIES, Predictions, Runs, average_seeds, cell_weights, modality_of
from fusion.training.runs import RunRecord

CEILING_RULES = ("image", "image_near", "signal", "signal_near", "additive", "joint", "oracle")
ACCURACY_COLUMNS = [
    *("experiment", "modality", "accuracy", "low", "high", "seeds", "seed_low", "seed_high", "ensemble"),
    *("balanced_accuracy", "macro_f1", "evaluable", "kappa", "quantity_disagreement", "allocation_disagreement"),
    *("ece_before", "ece_after", "n", "groups", "folds_run", "seeds_run", "parameters", "multiply_adds"),
    *("latency_1_ms", "latency_32_ms", "train_s", "transductive", "shipped"),
]


def count_confusion(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return (9,9) counts of test cells, rows true and columns predicted, in class order.

    With several seeds the mean of their counts, so that every cell counts once and the total is the number of cells.
    """
    counts = (
        predictions.assign(weight=cell_weights(predictions))
        .pivot_table(index="true", columns="predicted", values="weight", aggfunc="sum")
        .reindex(index=list(IDS), columns=list(IDS))
        .fillna(0.0)
    )
    whole = counts.round()
    return whole.astype(int) if np.allclose(counts, whole, atol=1e-9) else counts


def score_classes(runs: Runs, predictions: Predictions) -> pd.DataFrame:
    """Return experiment, function, f1, recall, n_true: over the folds where the class is evaluable.

    Of the counts of `count_confusion` on those folds; NaN where there is none. n_true: cells of the class.
    """
    rows = []
    for experiment, table in predictions.items():
        excluded: dict[int, set[str]] = {}
        for record in runs[experiment]:
            excluded.setdefault(record.fold, set()).update(record.run.get("not_evaluable") or ())
        weight = cell_weights(table)
        for function in IDS:
            usable = table["fold"].isin([fold for fold, names in excluded.items() if function not in names]).to_numpy()
            true = usable & (table["true"] == function).to_numpy()
            said = usable & (table["predicted"] == function).to_numpy()
            n_true, n_said, hits = (float(weight[chosen].sum()) for chosen in (true, said, true & said))
            scores = (2 * hits / (n_true + n_said), hits / n_true) if n_true else (np.nan, np.nan)
            rows.append((experiment, function, *scores, round(n_true)))
    return pd.DataFrame(rows, columns=["experiment", "function", "f1", "recall", "n_true"])


def score_accuracy(runs: Runs, predictions: Predictions, per_class: pd.DataFrame) -> pd.DataFrame:
    """Return `ACCURACY_COLUMNS`, one row an experiment, best first: see `fusion.serving.comparison.Comparison`."""
    rows = []
    for experiment, table in predictions.items():
        cells, records = average_seeds(table), runs[experiment]
        low, high = _interval(cells["share"].to_numpy(), cells["group"].to_numpy())
        scores = per_class[per_class["experiment"] == experiment]
        truth, weights = table["true"].map(IDS.index).to_numpy(), cell_weights(table)
        counts = count_confusion(table)
        quantity, allocation = disagreement(counts)
        chance_corrected = kappa(counts)
        rows.append(
            {
                "experiment": experiment,
                "modality": modality_of(experiment),
                "accuracy": float(cells["share"].mean()),
                "low": low,
                "high": high,
                **_seeds(table, cells),
                "balanced_accuracy": float(scores["recall"].mean()),
                "macro_f1": float(scores["f1"].mean()),
                "evaluable": int(scores["f1"].notna().sum()),
                "kappa": np.nan if chance_corrected is None else chance_corrected,
                "quantity_disagreement": quantity,
                "allocation_disagreement": allocation,
                "ece_before": ece(table[BEFORE].to_numpy(), truth, weights=weights),
                "ece_after": ece(table[PROBABILITIES].to_numpy(dtype=float), truth, weights=weights),
                "n": len(cells),
                "groups": int(cells["group"].nunique()),
                "folds_run": ", ".join(map(str, sorted({record.fold for record in records}))),
                **_costs(records),
                "transductive": any((record.run.get("pretrained") or {}).get("transductive") for record in records),
                "shipped": all(record.shipped for record in records),
            }
        )
    table = pd.DataFrame(rows, columns=ACCURACY_COLUMNS)
    return table.sort_values("accuracy", ascending=False, kind="stable", ignore_index=True)


def average_ceilings(records: Iterable[RunRecord]) -> pd.DataFrame:
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
    """Return the bins of confidence that have cells, by experiment and stage (before, after temperature scaling).

    Every prediction of every seed counts: `count` is cells times seeds. In `confidence` and `accuracy` a cell's seeds
    share its weight.
    """
    parts = []
    for experiment in ranked:
        table = predictions[experiment]
        truth, weights = table["true"].map(IDS.index).to_numpy(), cell_weights(table)
        for stage, columns in (("before", BEFORE), ("after", PROBABILITIES)):
            bins = pd.DataFrame(reliability(table[columns].to_numpy(dtype=float), truth, weights=weights))
            parts.append(bins[bins["count"] > 0].assign(experiment=experiment, stage=stage))
    columns = ["experiment", "stage", "low", "high", "confidence", "accuracy", "count"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _seeds(table: pd.DataFrame, cells: pd.DataFrame) -> dict[str, Any]:
    """The spread over seeds: of those that were run on all of the experiment's folds, since folds differ."""
    folds = table.groupby("seed")["fold"].nunique()
    complete = folds.index[folds == table["fold"].nunique()]
    by_seed = table[table["seed"].isin(complete)].groupby("seed")["right"].mean()
    several = len(by_seed) > 1
    return {
        "seeds": len(folds),
        "seed_low": float(by_seed.min()) if several else np.nan,
        "seed_high": float(by_seed.max()) if several else np.nan,
        "ensemble": float(cells["right"].mean()) if len(folds) > 1 else np.nan,
        "seeds_run": ", ".join(map(str, folds.index)),
    }


def _costs(records: Sequence[RunRecord]) -> dict[str, float]:
    """Means over runs; NaN where none says it (runs of older versions know parameters and time only)."""
    costs: list[Mapping[str, Any]] = [record.run.get("cost") or {} for record in records]
    latencies = [cost.get("latency_ms") or {} for cost in costs]
    return {
        "parameters": _mean(
            cost.get("parameters", record.run.get("parameters")) for cost, record in zip(costs, records, strict=True)
        ),
        "multiply_adds": _mean(cost.get("multiply_adds") for cost in costs),
        "latency_1_ms": _mean(latency.get("1") for latency in latencies),
        "latency_32_ms": _mean(latency.get("32") for latency in latencies),
        "train_s": _mean((record.run.get("seconds") or {}).get("train") for record in records),
    }


def _interval(values: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    try:
        return block_bootstrap(values, groups)
    except SampleError:  # a single group: the accuracy stands, without an interval
        return float("nan"), float("nan")


def _mean(values: Iterable[float | None]) -> float:
    known = [float(value) for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")
