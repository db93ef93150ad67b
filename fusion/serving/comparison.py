"""Finished runs of a city -> tables that compare its models; Compare, Overview and `compare --json` read them.

Only runs of one *setting* are laid side by side: one kind and number of folds, one seed, one state of the data and of
the models. Within it the test folds of an experiment are pooled; they never overlap. The tables themselves are built in
`comparison_tables`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fusion.city import City
from fusion.classes import IDS
from fusion.errors import InputError
from fusion.serving.comparison_tables import (
    BEFORE,
    average_ceilings,
    bin_reliability,
    pair,
    pair_up,
    pool,
    score_accuracy,
    score_classes,
)
from fusion.training.runs import RunRecord, load_runs, stale_reasons


@dataclass(frozen=True)
class Reported:
    """A figure that the user reported and that was not measured here."""

    en: str
    zh: str
    accuracy: float


# The user's weekly report of 14 to 27 December 2022, which names neither data set nor split (facts §1).
REPORTED = (
    Reported("Graduation-project model", "毕设模型", 0.668),
    Reported("Pretrained ViT + BiLSTM", "预训练 ViT + BiLSTM", 0.636),
    Reported("Transformer, not pretrained, + BiLSTM", "无预训练 Transformer + BiLSTM", 0.533),
)


@dataclass(frozen=True)
class Setting:
    """What runs must share to stand in one table."""

    fold_kind: str
    folds: int
    seed: int
    city_fingerprint: str
    model_version: int

    @property
    def key(self) -> str:
        """A short name that can stand in a link."""
        return f"{self.fold_kind}-{self.folds}-s{self.seed}-v{self.model_version}-{self.city_fingerprint[:8]}"


@dataclass(frozen=True)
class Comparison:
    """The models of one city and setting side by side.

    accuracy: one row an experiment, best first: experiment, modality (image, signal, fusion), accuracy, low, high, n,
        groups, macro_f1 (mean over the evaluable classes), evaluable (their number), ece_before, ece_after, folds_run
        (test folds pooled), parameters, train_s (mean of a run), shipped.
    per_class: experiment, function, f1 (NaN: not evaluable), n_true.
    paired: fusion, unimodal, modality (of the unimodal), own_stream (whether the fusion is built of it), difference,
        low, high, only_fusion, only_unimodal (cells that one alone gets right), p_value (McNemar), exact, n, groups.
    ceilings: rule, accuracy; empty where no known answer exists. The mean over the pooled test cells.
    reliability: experiment, stage (before, after), low, high, confidence, accuracy, count; bins with cells only.
    predictions: experiment -> its pooled predictions: id, group, fold, true, predicted, p_<class id>.
    stale: why these runs no longer match the city or the program; empty when they do.
    settings: every setting with runs, this one's siblings included, best first.
    problems: folder name -> why it cannot be read.
    """

    city: str
    provenance: str
    setting: Setting | None  # None: no runs at all, and every table is empty
    settings: tuple[Setting, ...]
    stale: tuple[str, ...]
    accuracy: pd.DataFrame
    per_class: pd.DataFrame
    paired: pd.DataFrame
    ceilings: pd.DataFrame
    reliability: pd.DataFrame
    predictions: dict[str, pd.DataFrame]
    problems: dict[str, str]

    @property
    def same_cells(self) -> bool:
        """Whether every experiment was tested on the same folds, so that accuracies can be read against each other."""
        return self.accuracy["folds_run"].nunique() <= 1

    def confusion(self, experiment: str) -> pd.DataFrame:
        """Return the (9,9) counts of one experiment, rows true and columns predicted, in class order.

        Raises:
            InputError: no such experiment here.
        """
        table = self._predictions(experiment)
        return pd.crosstab(table["true"], table["predicted"]).reindex(index=list(IDS), columns=list(IDS), fill_value=0)

    def mended(self, fusion: str, unimodal: str) -> pd.DataFrame:
        """Return the cells that both were tested on, and what the fusion changes.

        Returns:
            Columns id, true, fusion, unimodal (predicted functions), change (mended, broken, right or wrong with both).

        Raises:
            InputError: no such experiment here.
        """
        both = pair(self._predictions(fusion), self._predictions(unimodal))
        a, b = both["right_a"].to_numpy(), both["right_b"].to_numpy()
        change = np.select([a & ~b, ~a & b, a & b], ["mended", "broken", "right"], "wrong")
        return pd.DataFrame(
            {
                "id": both["id"],
                "true": both["true"],
                "fusion": both["predicted_a"],
                "unimodal": both["predicted_b"],
                "change": change,
            }
        )

    def headline(self) -> dict[str, Any] | None:
        """Return the best fusion, the best unimodal model and their difference; None without both on common cells."""
        if self.paired.empty:
            return None
        # Best first; only among those tested on the most folds, since a single lucky fold is no headline.
        tested = self.accuracy["n"] == self.accuracy["n"].max()
        fusion = self.accuracy[tested & (self.accuracy["modality"] == "fusion")].head(1)
        unimodal = self.accuracy[tested & (self.accuracy["modality"] != "fusion")].head(1)
        if fusion.empty or unimodal.empty:
            return None
        names = fusion["experiment"].iloc[0], unimodal["experiment"].iloc[0]
        pair = self.paired[(self.paired["fusion"] == names[0]) & (self.paired["unimodal"] == names[1])]
        return {
            "fusion": fusion.iloc[0].to_dict(),
            "unimodal": unimodal.iloc[0].to_dict(),
            "paired": pair.iloc[0].to_dict() if len(pair) else None,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the tables as JSON-safe lists of rows; unknown figures are None."""
        tables = ("accuracy", "per_class", "paired", "ceilings", "reliability")
        return {
            "city": self.city,
            "provenance": self.provenance,
            "setting": None if self.setting is None else self.setting.key,
            "settings": [setting.key for setting in self.settings],
            "stale": list(self.stale),
            "same_cells": self.same_cells,
            **{name: _rows(getattr(self, name)) for name in tables},
            "confusion": {name: self.confusion(name).to_numpy().tolist() for name in self.predictions},
            "reported_by_user": [{"name": row.en, "accuracy": row.accuracy} for row in REPORTED],
            "problems": self.problems,
        }

    def to_text(self) -> str:
        """Return the accuracy table with the ceilings below it, for a terminal."""
        if self.setting is None:
            return f"city {self.city} has no runs to compare: see `python -m fusion train --help`"
        width = max(len(name) for name in self.accuracy["experiment"])
        lines = [
            f"{row['experiment']:<{width}}  {row['accuracy']:6.1%}  [{row['low']:.1%}, {row['high']:.1%}]  "
            f"macro-F1 {row['macro_f1']:.3f} over {row['evaluable']} classes  n {row['n']:,}  folds {row['folds_run']}"
            for row in self.accuracy.to_dict("records")
        ]
        lines += [
            f"{'ceiling: ' + str(row['rule']):<{width}}  {row['accuracy']:6.1%}"
            for row in self.ceilings.to_dict("records")
        ]
        spread = f"{self.setting.folds} {self.setting.fold_kind} folds, seed {self.setting.seed}"
        notes = ["95 % intervals: block bootstrap over spatial groups"]
        notes += ["SYNTHETIC city"] if self.provenance == "synthetic" else []
        notes += ["STALE: the data or the models changed since"] if self.stale else []
        return "\n".join([f"{self.city}: {spread}; {'; '.join(notes)}", *lines])

    def _predictions(self, experiment: str) -> pd.DataFrame:
        if experiment not in self.predictions:
            have = ", ".join(self.predictions) or "none yet"
            raise InputError(f"city {self.city} has no run of {experiment!r} to compare: it has {have}")
        return self.predictions[experiment]


def compare_runs(city: City, key: str | None = None) -> Comparison:
    """Lay the finished runs of a city side by side.

    Args:
        city: own and shipped runs are read.
        key: `Setting.key` of the runs to compare; by default those that match the data and are the most.

    Raises:
        InputError: no runs of that setting.
        RunError: a run's predictions are torn.
    """
    records, torn = load_runs(city.run_folders())
    problems = {folder.name: reason for folder, reason in torn.items()}
    by_setting: dict[Setting, list[RunRecord]] = {}
    for record in records:
        by_setting.setdefault(_setting(record), []).append(record)
    fingerprint = city.fingerprint()
    ranked = sorted(
        by_setting,
        key=lambda one: (bool(stale_reasons(by_setting[one][0], fingerprint)), -len(by_setting[one]), one.seed),
    )
    chosen = next((one for one in ranked if key in (None, one.key)), None)
    if key is not None and chosen is None:
        have = ", ".join(one.key for one in ranked) or "none yet"
        raise InputError(f"city {city.name} has no runs of setting {key!r}: it has {have}")
    kept = _newest(by_setting[chosen]) if chosen is not None else []
    by_experiment: dict[str, list[RunRecord]] = {}
    for record in kept:
        by_experiment.setdefault(record.experiment, []).append(record)
    predictions = {name: pool(runs) for name, runs in by_experiment.items()}
    per_class = score_classes(by_experiment, predictions)
    accuracy = score_accuracy(by_experiment, predictions, per_class)
    order = {name: rank for rank, name in enumerate(accuracy["experiment"])}
    return Comparison(
        city=city.name,
        provenance=city.info.provenance,
        setting=chosen,
        settings=tuple(ranked),
        stale=stale_reasons(kept[0], fingerprint) if kept else (),
        accuracy=accuracy,
        per_class=per_class.sort_values(
            "experiment", key=lambda names: names.map(order), kind="stable", ignore_index=True
        ),
        paired=pair_up(list(accuracy["experiment"]), by_experiment, predictions),
        ceilings=average_ceilings(kept),
        reliability=bin_reliability(list(accuracy["experiment"]), predictions),
        predictions={name: predictions[name].drop(columns=BEFORE) for name in accuracy["experiment"]},
        problems=problems,
    )


def _setting(record: RunRecord) -> Setting:
    run = record.run
    return Setting(
        str(run["fold_kind"]), record.folds, record.seed, str(run["city_fingerprint"]), int(run["model_version"])
    )


def _newest(records: Sequence[RunRecord]) -> list[RunRecord]:
    """One run of each experiment and fold: the last that was started, where a configuration was changed and rerun."""
    found: dict[tuple[str, int], RunRecord] = {}
    for record in records:
        known = found.get((record.experiment, record.fold))
        if known is None or str(record.run.get("started", "")) > str(known.run.get("started", "")):
            found[record.experiment, record.fold] = record
    return sorted(found.values(), key=lambda record: (record.experiment, record.fold))


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {str(name): None if isinstance(value, float) and np.isnan(value) else value for name, value in row.items()}
        for row in table.to_dict("records")
    ]
