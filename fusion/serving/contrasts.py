"""Experiment against experiment on the same cells: the contrasts declared before the runs, and exploration apart.

The effect of a contrast is the accuracy of a minus that of b, of seed-averaged probabilities, on the seeds, folds and
cells that both have. Its interval is a paired bootstrap over spatial blocks, its p-value a sign-flip test over them
(`fusion.metrics.significance.sign_flip`), with McNemar's test beside it, which takes cells for independent (facts §4).
Both p-values are corrected together (Holm) over the declared contrasts that could be evaluated, and over nothing else.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fusion.errors import SampleError
from fusion.metrics.significance import holm, mcnemar, paired_difference, sign_flip
from fusion.serving.pooling import Pair, Predictions, Runs, modality_of, pair
from fusion.training.runs import partners
from fusion.training.suites import CONTRASTS, Contrast

CONTRAST_COLUMNS = [
    *("a", "b", "en", "zh", "state", "missing", "difference", "low", "high", "p_value", "p_holm"),
    *("mcnemar_p", "mcnemar_holm", "only_a", "only_b", "exact", "accuracy_a", "accuracy_b", "difference_single"),
    *("n", "groups", "seeds_run", "folds_run"),
]
PAIRED_COLUMNS = [
    *("fusion", "unimodal", "modality", "own_stream", "difference", "low", "high"),
    *("only_fusion", "only_unimodal", "p_value", "exact", "n", "groups"),
]
ALPHA = 0.05


def evaluate_contrasts(predictions: Predictions, contrasts: Sequence[Contrast] = CONTRASTS) -> pd.DataFrame:
    """Return one row a declared contrast, in the order of the declaration; none is left out.

    Returns:
        `CONTRAST_COLUMNS`. state: "run"; "not run" (`missing` names what has no runs); "no common cells" (nothing that
        both were tested on, or a single spatial group); figures are then NaN. p_value by sign flips, p_holm and
        mcnemar_holm corrected; only_a, only_b: cells that one alone gets right; accuracy_a, accuracy_b and difference:
        of seed-averaged probabilities; difference_single: of one model, on average over the common seeds.
    """
    rows = [_evaluate(contrast, predictions) for contrast in contrasts]
    table = pd.DataFrame(rows, columns=CONTRAST_COLUMNS)
    for p_value, corrected in (("p_value", "p_holm"), ("mcnemar_p", "mcnemar_holm")):
        table[corrected] = holm(table[p_value].to_numpy(dtype=float))
    return table


def verdict(row: Mapping[Any, Any]) -> str:
    """Return `gain`, `loss` or `open`, by the corrected p-value at 5 %; "" where a contrast was not evaluated."""
    if row["state"] != "run":
        return ""
    if row["p_holm"] > ALPHA:
        return "open"
    return "gain" if row["difference"] > 0 else "loss"


def pair_up(ranked: Sequence[str], runs: Runs, predictions: Predictions) -> pd.DataFrame:
    """Return each fusion against each unimodal experiment: exploration, in rank order, not corrected for its number.

    Returns:
        fusion, unimodal, modality (of the unimodal), own_stream (whether the fusion is built of it), difference, low,
        high, only_fusion, only_unimodal (cells that one alone gets right), p_value (McNemar), exact, n, groups; of
        seed-averaged probabilities, as contrasts are.
    """
    everything = [record for records in runs.values() for record in records]
    rows: list[dict[str, Any]] = []
    for fusion in (name for name in ranked if modality_of(name) == "fusion"):
        own = {record.experiment for record in partners(runs[fusion][0], everything).values() if record is not None}
        for unimodal in (name for name in ranked if modality_of(name) != "fusion"):
            both = pair(predictions[fusion], predictions[unimodal]).cells
            if both["group"].nunique() < 2:
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
    return pd.DataFrame(rows, columns=PAIRED_COLUMNS)


def single_difference(a: pd.DataFrame, b: pd.DataFrame) -> dict[str, float] | None:
    """Return difference, low, high of single models on average over the common seeds; None without common blocks."""
    both = pair(a, b).cells
    if both.empty:
        return None
    try:
        gap = paired_difference(both["share_a"], both["share_b"], both["group"])
    except SampleError:  # a single group
        return None
    return {"difference": gap.difference, "low": gap.low, "high": gap.high}


def _evaluate(contrast: Contrast, predictions: Predictions) -> dict[str, Any]:
    row: dict[str, Any] = {"a": contrast.a, "b": contrast.b, "en": contrast.en, "zh": contrast.zh, "missing": ""}
    missing = [name for name in (contrast.a, contrast.b) if name not in predictions]
    if missing:
        return {**row, "state": "not run", "missing": ", ".join(missing)}
    both = pair(predictions[contrast.a], predictions[contrast.b])
    if both.cells["group"].nunique() < 2:
        return {**row, "state": "no common cells"}
    return {**row, "state": "run", **_judge(both)}


def _judge(both: Pair) -> dict[str, Any]:
    cells = both.cells
    a, b = (cells[f"right_{side}"].to_numpy(dtype=float) for side in "ab")
    groups = cells["group"].to_numpy()
    gap, test = paired_difference(a, b, groups), mcnemar(a > 0, b > 0)
    return {
        "difference": gap.difference,
        "low": gap.low,
        "high": gap.high,
        "p_value": sign_flip(a - b, groups),
        "mcnemar_p": test.p_value,
        "only_a": test.only_a,
        "only_b": test.only_b,
        "exact": test.exact,
        "accuracy_a": float(a.mean()),
        "accuracy_b": float(b.mean()),
        "difference_single": float(np.mean(cells["share_a"] - cells["share_b"])),
        "n": len(cells),
        "groups": gap.groups,
        "seeds_run": ", ".join(map(str, both.seeds)),
        "folds_run": ", ".join(map(str, both.folds)),
    }
