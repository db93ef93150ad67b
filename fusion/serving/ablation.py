"""The ablation of a city: what each option changes, axis by axis, with intervals. The Ablation page reads it.

Only runs of one setting stand together, as in `fusion.serving.comparison`, from which accuracies come.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from fusion.city import City
from fusion.serving.ablation_axes import places
from fusion.serving.ablation_tables import axis_table, robustness_table, similarity_table
from fusion.serving.comparison import Comparison, compare_runs
from fusion.serving.pooling import Setting, modality_of
from fusion.training.suites import AXES

# Of the ceilings, those that the goals name: what late fusion cannot pass, and what no rule of a site's own can.
SHOWN_CEILINGS = ("additive", "joint")


@dataclass(frozen=True)
class AxisResult:
    """One axis: `rows` that have runs, as `fusion.serving.ablation_tables.axis_table`; `missing`: declared, not run."""

    name: str
    rows: pd.DataFrame
    missing: tuple[str, ...]

    @property
    def proven(self) -> pd.DataFrame:
        """Rows whose paired interval excludes no difference."""
        return self.rows[self.rows["verdict"].isin(["better", "worse"])]

    @property
    def compared(self) -> int:
        """Number of rows that could be measured against their reference row with an interval."""
        return int(self.rows["verdict"].ne("").sum())


@dataclass(frozen=True)
class Ablation:
    """The ablation of one city and setting.

    seeds: every seed that any row was run with.
    axes: name -> its rows, every axis of `AXES` in order, those without runs too.
    unimodal: experiment, modality, accuracy, low, high: the best image and the best signal row, as reference lines.
    ceilings: rule, accuracy: what the best late rule and the best joint rule reach; empty without a known answer.
    similarity: `fusion.serving.ablation_tables.similarity_table`.
    robustness: `fusion.serving.ablation_tables.robustness_table`.
    problems: run or folder -> why it cannot be read.
    """

    city: str
    provenance: str
    setting: Setting | None  # None: no runs at all
    settings: tuple[Setting, ...]
    stale: tuple[str, ...]
    seeds: tuple[int, ...]
    axes: Mapping[str, AxisResult]
    unimodal: pd.DataFrame
    ceilings: pd.DataFrame
    similarity: pd.DataFrame
    robustness: pd.DataFrame
    problems: Mapping[str, str]

    def command(self, axis: str) -> str:
        """Return the command that trains what an axis lacks, on the seeds and folds of the runs that are here."""
        names = " ".join(self.axes[axis].missing or AXES[axis])
        folds = self.setting.folds if self.setting is not None else 3
        seeds = max(self.seeds, default=1) + 1
        split = f" --split {self.setting.fold_kind}" if self.setting and self.setting.fold_kind != "spatial" else ""
        return f"python -m fusion ablate {names} --city {self.city} --seeds {seeds} --folds {folds}{split}"


def ablation_of(city: City, key: str | None = None, comparison: Comparison | None = None) -> Ablation:
    """Lay the ablation of a city out, axis by axis.

    Args:
        city: own and shipped runs are read.
        key: `Setting.key` of the runs, as of `compare_runs`.
        comparison: what `compare_runs(city, key)` returned, where that is already known.

    Raises:
        InputError: no runs of that setting.
        RunError: a run's predictions are torn.
    """
    comparison = comparison if comparison is not None else compare_runs(city, key)
    ranked = {name: comparison.runs[name] for name in comparison.accuracy["experiment"]}
    configs = {name: records[0].run.get("config") or {} for name, records in ranked.items()}
    axes = {}
    for name, declared in AXES.items():
        rows = axis_table(places(name, configs), ranked, comparison.accuracy, comparison.predictions)
        there = set(rows["experiment"])
        axes[name] = AxisResult(name, rows, tuple(row for row in declared if row not in there))
    robustness, torn = robustness_table(ranked)
    ceilings = comparison.ceilings
    return Ablation(
        city=city.name,
        provenance=city.info.provenance,
        setting=comparison.setting,
        settings=comparison.settings,
        stale=comparison.stale,
        seeds=comparison.seeds,
        axes=axes,
        unimodal=_best_unimodal(comparison.accuracy),
        ceilings=ceilings[ceilings["rule"].isin(SHOWN_CEILINGS)].reset_index(drop=True),
        similarity=similarity_table({name: own for name, own in ranked.items() if modality_of(name) == "fusion"}),
        robustness=robustness,
        problems={**comparison.problems, **torn},
    )


def _best_unimodal(accuracy: pd.DataFrame) -> pd.DataFrame:
    """Return the best image row and the best signal row among those tested on the most cells."""
    columns = ["experiment", "modality", "accuracy", "low", "high"]
    full = accuracy[(accuracy["n"] == accuracy["n"].max()) & (accuracy["modality"] != "fusion")]
    return full.drop_duplicates("modality")[columns].reset_index(drop=True)
