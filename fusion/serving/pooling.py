"""Runs of one setting -> predictions that can be laid side by side: folds stacked, seeds averaged, experiments paired.

Two things are averaged over seeds, and they are not the same. The *share* of seeds that are right about a cell is what
one model of that kind can be expected to do: accuracies are means of it. The *seed-averaged* prediction is the class
with the largest mean probability: an ensemble, usually better than its members. Contrasts judge that one, since what
chance made of a single seed is out of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fusion.classes import IDS
from fusion.geo import grid
from fusion.training.runs import RunRecord

PROBABILITIES = [f"p_{id_}" for id_ in IDS]
BEFORE = [f"before_{name}" for name in PROBABILITIES]

Runs = Mapping[str, Sequence[RunRecord]]
Predictions = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Setting:
    """What runs must share to stand in one table; seeds and folds of an experiment are pooled within it."""

    fold_kind: str
    folds: int
    city_fingerprint: str
    model_version: int

    @property
    def key(self) -> str:
        """A short name that can stand in a link."""
        return f"{self.fold_kind}-{self.folds}-v{self.model_version}-{self.city_fingerprint[:8]}"


@dataclass(frozen=True)
class Pair:
    """Two experiments on the cells, seeds and folds that both have.

    cells: id, group, true, and for each side predicted_a, right_a (of the seed-averaged probabilities) and share_a
        (share of seeds that are right).
    seeds, folds: what both have; folds that not every common seed has are there all the same.
    """

    cells: pd.DataFrame
    seeds: tuple[int, ...]
    folds: tuple[int, ...]


def setting_of(record: RunRecord) -> Setting:
    """Return the setting of a run."""
    run = record.run
    return Setting(str(run["fold_kind"]), record.folds, str(run["city_fingerprint"]), int(run["model_version"]))


def modality_of(experiment: str) -> str:
    """Return `fusion`, `image` or `signal`, which an experiment's name says (design §10)."""
    if "+" in experiment:
        return "fusion"
    return "image" if experiment.split("-")[0] == "vit" else "signal"


def group_runs(records: Iterable[RunRecord]) -> dict[str, list[RunRecord]]:
    """Return experiment -> its runs by seed and fold; of several the last that was started.

    Runs of an older configuration under the same name are left out: they are another model.
    """
    found: dict[str, dict[tuple[int, int], RunRecord]] = {}
    latest: dict[str, object] = {}
    for record in sorted(records, key=_started, reverse=True):
        config = record.run.get("config")
        if latest.setdefault(record.experiment, config) == config:
            found.setdefault(record.experiment, {}).setdefault((record.seed, record.fold), record)
    return {name: [runs[key] for key in sorted(runs)] for name, runs in sorted(found.items())}


def pool(runs: Sequence[RunRecord]) -> pd.DataFrame:
    """Stack the test folds of the seeds of one experiment; a cell has a row a seed.

    Returns:
        id, group, seed, fold, true, predicted, right, p_<class id>, and before_p_<class id> before temperature scaling.
    """
    parts = []
    for record in runs:
        table = record.predictions()
        if "group" not in table:
            table["group"] = grid.parents(grid.from_hex(table["id"].tolist()))
        # softmax(z / T) to the power T, renormalised, is softmax(z): what the network said before temperature scaling.
        raw = table[PROBABILITIES].to_numpy(dtype=float) ** float(record.metrics["temperature"])
        table[BEFORE] = raw / raw.sum(axis=1, keepdims=True)
        parts.append(table.assign(seed=record.seed, fold=record.fold, right=table["true"] == table["predicted"]))
    return pd.concat(parts, ignore_index=True)


def average_seeds(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return one row a cell of predictions as `pool` gives them.

    Returns:
        id, group, fold, true, seeds (their number), share (of the seeds that are right), p_<class id> (mean over
        seeds), predicted and right (of the mean probabilities), in the order of ids.
    """
    cells = predictions.groupby("id", sort=True)
    columns = {"group": "first", "fold": "first", "true": "first", "predicted": "first", "right": "mean"}
    table = cells.agg({**columns, **dict.fromkeys(PROBABILITIES, "mean")})
    table = table.rename(columns={"right": "share"}).assign(seeds=cells.size())
    if (table["seeds"] > 1).any():  # a single seed's own word stands as it was given
        table["predicted"] = np.asarray(IDS, dtype=object)[table[PROBABILITIES].to_numpy(dtype=float).argmax(axis=1)]
    table["right"] = table["true"] == table["predicted"]
    return table.reset_index()


def pair(a: pd.DataFrame, b: pd.DataFrame) -> Pair:
    """Lay two experiments' predictions, as `pool` gives them, side by side: only what both have of seeds and folds."""
    common = sorted(_parts(a) & _parts(b))
    sides = []
    for table in (a, b):
        kept = pd.MultiIndex.from_frame(table[["seed", "fold"]]).isin(common)
        sides.append(average_seeds(table[kept]))
    cells = sides[0][["id", "group", "true", "predicted", "right", "share"]].merge(
        sides[1][["id", "predicted", "right", "share"]], on="id", suffixes=("_a", "_b"), validate="one_to_one"
    )
    return Pair(cells, *(tuple(sorted({key[place] for key in common})) for place in (0, 1)))


def cell_weights(predictions: pd.DataFrame) -> np.ndarray:
    """Return the weight of each row, 1 / seeds of its cell, so that every cell counts once."""
    return 1.0 / predictions.groupby("id")["id"].transform("size").to_numpy(dtype=float)


def _parts(table: pd.DataFrame) -> set[tuple[int, int]]:
    return set(table[["seed", "fold"]].drop_duplicates().itertuples(index=False, name=None))


def _started(record: RunRecord) -> str:
    return str(record.run.get("started", ""))
