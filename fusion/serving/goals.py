"""What the runs were for, in figures: how near fusion comes to the known ceilings, and what a random split flatters."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from fusion.errors import SampleError
from fusion.metrics.significance import block_bootstrap, bootstrap_statistic, unpaired_difference
from fusion.models.config import LEVELLED
from fusion.serving.pooling import Predictions, Runs, average_seeds, modality_of, pair
from fusion.training.runs import RunRecord

CLOSES, BEATS = "closes", "beats"
SHARE_TO_CLOSE = 0.8
FLATTERY_COLUMNS = [
    *("experiment", "modality", "spatial", "spatial_low", "spatial_high", "random", "random_low", "random_high"),
    *("difference", "low", "high", "spatial_n", "random_n", "spatial_trained", "random_trained"),
    *("spatial_seeds", "random_seeds", "spatial_folds", "random_folds"),
]


@dataclass(frozen=True)
class Goal:
    """One goal of the issue and what it came to.

    Attributes:
        key: "closes": share of the distance from the better unimodal model to the joint ceiling that the best fusion
            closes; "beats": accuracy of the best deep fusion minus the additive ceiling.
        target: what `value` has to reach.
        value, low, high: what was found, with its 95 % interval.
        fusion, fusion_accuracy: the experiment that is judged.
        against, against_accuracy: the better unimodal experiment ("closes"), or None and NaN.
        ceiling, ceiling_accuracy: the rule.
    """

    key: str
    target: float
    value: float
    low: float
    high: float
    fusion: str
    fusion_accuracy: float
    against: str | None
    against_accuracy: float
    ceiling: str
    ceiling_accuracy: float

    @property
    def met(self) -> bool:
        """Whether the value reaches its target; the interval says how sure that is."""
        return self.value >= self.target

    @property
    def sure(self) -> bool:
        """Whether the whole interval lies on the side of the target that `met` names."""
        return self.low >= self.target if self.met else self.high < self.target

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met, "sure": self.sure}


def measure_goals(
    accuracy: pd.DataFrame, ceilings: pd.DataFrame, runs: Runs, predictions: Predictions
) -> tuple[Goal, ...]:
    """Return the goals that can be measured: those whose ceiling and experiments are known.

    Accuracies are those of a single model on average over its seeds. Intervals come from a bootstrap over spatial
    blocks, both experiments drawn together; the ceilings, which are computed from the city's tables and not estimated,
    stay as they are. The best of several models on the same test cells is slightly flattered, and no interval says so.
    Only experiments that were tested on the most cells take part, since a single lucky fold is no goal reached.
    """
    known = dict(zip(ceilings["rule"], ceilings["accuracy"], strict=True))
    tested = list(accuracy.loc[accuracy["n"] == accuracy["n"].max(), "experiment"])  # best first
    fusions = [name for name in tested if modality_of(name) == "fusion"]
    unimodal = [name for name in tested if modality_of(name) != "fusion"]
    deep = [name for name in fusions if is_deep(runs[name][0])]
    found = []
    if "joint" in known and fusions and unimodal:
        found.append(_closes(fusions[0], unimodal[0], known["joint"], predictions))
    if "additive" in known and deep:
        found.append(_beats(deep[0], known["additive"], predictions))
    return tuple(goal for goal in found if goal is not None)


def is_deep(record: RunRecord) -> bool:
    """Tell whether a run's streams meet below the head: joint, cross or bottleneck fusion with Lf below L."""
    network = (record.run.get("config") or {}).get("network") or {}
    if network.get("fusion") not in LEVELLED:
        return False
    depths = [(network.get("vision") or {}).get("depth"), (network.get("signal") or {}).get("blocks")]
    levels = min((depth for depth in depths if depth), default=None)  # a ViT by name does not tell its depth
    return levels is None or int(network["fusion_layer"]) < levels


def measure_flattery(spatial: Runs, random: Runs, predictions: Mapping[str, Predictions]) -> pd.DataFrame:
    """Return what a random split of as many folds says of the same experiments: `FLATTERY_COLUMNS`.

    difference: random minus spatial accuracy of a single model, on average over seeds, with the interval of an unpaired
    bootstrap, in which either side's blocks are drawn on their own: the two were trained on other cells. trained: mean
    share of the labelled cells in training; a random split has no buffer, so it also trains on more, which is part of
    the difference. An experiment that lacks one side is left out.

    Args:
        spatial, random: experiment -> runs of the two settings.
        predictions: the same under "spatial" and "random", as `fusion.serving.pooling.pool` gives them.
    """
    rows = []
    for experiment in (name for name in spatial if name in random):
        sides = {kind: average_seeds(predictions[kind][experiment]) for kind in ("spatial", "random")}
        row: dict[str, Any] = {"experiment": experiment, "modality": modality_of(experiment)}
        try:
            gap = unpaired_difference(
                sides["random"]["share"], sides["random"]["group"], sides["spatial"]["share"], sides["spatial"]["group"]
            )
        except SampleError:  # a single group
            continue
        row |= {"difference": gap.difference, "low": gap.low, "high": gap.high}
        for kind, cells in sides.items():
            records = (spatial if kind == "spatial" else random)[experiment]
            row[kind] = float(cells["share"].mean())
            row[f"{kind}_low"], row[f"{kind}_high"] = block_bootstrap(cells["share"], cells["group"])
            row[f"{kind}_n"] = len(cells)
            row[f"{kind}_trained"] = _mean_share(records)
            row[f"{kind}_seeds"] = len({record.seed for record in records})
            row[f"{kind}_folds"] = ", ".join(map(str, sorted({record.fold for record in records})))
        rows.append(row)
    table = pd.DataFrame(rows, columns=FLATTERY_COLUMNS)
    return table.sort_values("spatial", ascending=False, kind="stable", ignore_index=True)


def _closes(fusion: str, unimodal: str, ceiling: float, predictions: Predictions) -> Goal | None:
    cells = pair(predictions[fusion], predictions[unimodal]).cells
    if cells["group"].nunique() < 2:
        return None
    a, b = float(cells["share_a"].mean()), float(cells["share_b"].mean())

    def share(means: np.ndarray) -> np.ndarray:
        return np.asarray((means[:, 0] - means[:, 1]) / (ceiling - means[:, 1]))

    if b >= ceiling:  # nothing is left to close
        return None
    low, high = bootstrap_statistic(cells[["share_a", "share_b"]].to_numpy(), cells["group"].to_numpy(), share)
    return Goal(CLOSES, SHARE_TO_CLOSE, (a - b) / (ceiling - b), low, high, fusion, a, unimodal, b, "joint", ceiling)


def _beats(fusion: str, ceiling: float, predictions: Predictions) -> Goal | None:
    cells = average_seeds(predictions[fusion])
    if cells["group"].nunique() < 2:
        return None
    accuracy = float(cells["share"].mean())
    low, high = block_bootstrap(cells["share"], cells["group"])
    return Goal(
        BEATS, 0.0, accuracy - ceiling, low - ceiling, high - ceiling, fusion, accuracy, None, float("nan"),
        "additive", ceiling,
    )  # fmt: skip


def _mean_share(records: Sequence[RunRecord]) -> float:
    known = [float(record.run["share_kept"]) for record in records if record.run.get("share_kept") is not None]
    return float(np.mean(known)) if known else float("nan")
