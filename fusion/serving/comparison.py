"""Finished runs of a city -> tables that compare its models; Compare, Overview, Ablation and `compare` read them.

Only runs of one *setting* are laid side by side: one kind and number of folds, one state of the data and of the models.
Within it the test folds of an experiment, which never overlap, are pooled, and its seeds averaged. The tables are built
in `comparison_tables`, `contrasts` and `goals`, the terminal's text in `comparison_text`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fusion.city import City
from fusion.errors import InputError
from fusion.serving.comparison_tables import (
    average_ceilings,
    bin_reliability,
    count_confusion,
    score_accuracy,
    score_classes,
)
from fusion.serving.contrasts import evaluate_contrasts, pair_up, single_difference
from fusion.serving.goals import Goal, measure_flattery, measure_goals
from fusion.serving.pooling import BEFORE, Setting, group_runs, pair, pool, setting_of
from fusion.serving.reported import ELSEWHERE, REPORTED
from fusion.training.runs import RunRecord, load_runs, stale_reasons


@dataclass(frozen=True)
class Comparison:
    """The models of one city and setting side by side.

    accuracy: one row an experiment, best first: experiment, modality (image, signal, fusion); accuracy of a single
        model, mean over its seeds, with low and high (95 %, block bootstrap); seeds (their number), seed_low and
        seed_high (the worst and the best seed; NaN for one); ensemble (accuracy of seed-averaged probabilities, which
        is another thing; NaN for one seed); balanced_accuracy and macro_f1 (over the evaluable classes), evaluable
        (their number), kappa, quantity_disagreement and allocation_disagreement, ece_before, ece_after: of the pooled
        predictions, a cell's seeds sharing its weight; n (cells), groups, folds_run, seeds_run; parameters,
        multiply_adds (a sample), latency_1_ms, latency_32_ms (a batch), train_s: means of a run; transductive (whether
        its pretraining saw the test area); shipped.
    per_class: experiment, function, f1, recall (NaN: not evaluable), n_true.
    contrasts: the declared contrasts, corrected together: see `fusion.serving.contrasts.evaluate_contrasts`.
    paired: exploration, every fusion against every unimodal model: see `fusion.serving.contrasts.pair_up`.
    flattery: random against spatial folds: see `fusion.serving.goals.measure_flattery`.
    ceilings: rule, accuracy; empty where no known answer exists. The mean over the pooled test cells.
    reliability: experiment, stage (before, after), low, high, confidence, accuracy, count; bins with cells only.
    predictions: experiment -> its pooled predictions, a row a cell and seed: id, group, seed, fold, true, predicted,
        right, p_<class id>.
    runs: experiment -> the runs that all this is made of, by seed and fold.
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
    contrasts: pd.DataFrame
    paired: pd.DataFrame
    flattery: pd.DataFrame
    ceilings: pd.DataFrame
    reliability: pd.DataFrame
    predictions: Mapping[str, pd.DataFrame]
    runs: Mapping[str, list[RunRecord]]
    problems: Mapping[str, str]

    @property
    def same_cells(self) -> bool:
        """Whether every experiment was tested on the same folds, so that accuracies can be read against each other."""
        return self.accuracy["folds_run"].nunique() <= 1

    @property
    def seeds(self) -> tuple[int, ...]:
        """Every seed that any experiment was run with."""
        return tuple(sorted({record.seed for runs in self.runs.values() for record in runs}))

    @property
    def same_seeds(self) -> bool:
        """Whether every experiment was run with the same seeds."""
        return self.accuracy["seeds_run"].nunique() <= 1

    def goals(self) -> tuple[Goal, ...]:
        """Return the goals that can be measured here, with intervals; none without known ceilings."""
        return measure_goals(self.accuracy, self.ceilings, self.runs, self.predictions)

    def confusion(self, experiment: str) -> pd.DataFrame:
        """Return the (9,9) counts of one experiment, rows true and columns predicted; with several seeds their mean.

        Raises:
            InputError: no such experiment here.
        """
        return count_confusion(self._predictions(experiment))

    def mended(self, fusion: str, unimodal: str) -> pd.DataFrame:
        """Return the cells that both were tested on, and what the fusion changes; of seed-averaged probabilities.

        Returns:
            Columns id, true, fusion, unimodal (predicted functions), change (mended, broken, right or wrong with both).

        Raises:
            InputError: no such experiment here.
        """
        both = pair(self._predictions(fusion), self._predictions(unimodal)).cells
        a, b = both["right_a"].to_numpy(dtype=bool), both["right_b"].to_numpy(dtype=bool)
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
        """Return the best fusion, the best unimodal model and their difference; None without both.

        `fusion` and `unimodal` are rows of `accuracy`; `paired` is difference, low, high of single models on their
        common seeds and cells, so that it goes with the two accuracies; None without common cells.
        """
        # Best first; only among those tested on the most folds, since a single lucky fold is no headline.
        tested = self.accuracy[self.accuracy["n"] == self.accuracy["n"].max()]
        fusion = tested[tested["modality"] == "fusion"].head(1)
        unimodal = tested[tested["modality"] != "fusion"].head(1)
        if fusion.empty or unimodal.empty:
            return None
        a, b = (self.predictions[side["experiment"].iloc[0]] for side in (fusion, unimodal))
        return {
            "fusion": fusion.iloc[0].to_dict(),
            "unimodal": unimodal.iloc[0].to_dict(),
            "paired": single_difference(a, b),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the tables as JSON-safe lists of rows; unknown figures are None."""
        tables = ("accuracy", "contrasts", "per_class", "paired", "flattery", "ceilings", "reliability")
        return {
            "city": self.city,
            "provenance": self.provenance,
            "setting": None if self.setting is None else self.setting.key,
            "settings": [setting.key for setting in self.settings],
            "seeds": list(self.seeds),
            "stale": list(self.stale),
            "same_cells": self.same_cells,
            "same_seeds": self.same_seeds,
            "goals": [_known(goal.to_dict()) for goal in self.goals()],
            **{name: [_known(row) for row in getattr(self, name).to_dict("records")] for name in tables},
            "confusion": {name: self.confusion(name).to_numpy().tolist() for name in self.predictions},
            "reported_by_user": [{"name": row.en, "accuracy": row.accuracy} for row in REPORTED],
            "reported_elsewhere": [
                {"name": row.en, "low": row.low, "high": row.high, "data": row.data_en, "source": row.source_en}
                for row in ELSEWHERE
            ],
            "problems": dict(self.problems),
        }

    def to_text(self) -> str:
        """Return the tables for a terminal: accuracy, ceilings, declared contrasts, goals, random against spatial."""
        from fusion.serving.comparison_text import write_text

        return write_text(self)

    def _predictions(self, experiment: str) -> pd.DataFrame:
        if experiment not in self.predictions:
            have = ", ".join(self.predictions) or "none yet"
            raise InputError(f"city {self.city} has no run of {experiment!r} to compare: it has {have}")
        return self.predictions[experiment]


def compare_runs(city: City, key: str | None = None) -> Comparison:
    """Lay the finished runs of a city side by side.

    Args:
        city: own and shipped runs are read.
        key: `Setting.key` of the runs to compare; by default those that match the data and the program, on spatial
            folds, and of these the most.

    Raises:
        InputError: no runs of that setting.
        RunError: a run's predictions are torn.
    """
    records, torn = load_runs(city.run_folders())
    by_setting: dict[Setting, list[RunRecord]] = {}
    for record in records:
        by_setting.setdefault(setting_of(record), []).append(record)
    fingerprint = city.fingerprint()

    def rank(setting: Setting) -> tuple[bool, bool, int, str]:
        own = by_setting[setting]
        # a random split flatters: however many its runs are, they are not what is shown first
        return bool(stale_reasons(own[0], fingerprint)), setting.fold_kind != "spatial", -len(own), setting.key

    ranked = sorted(by_setting, key=rank)
    chosen = next((one for one in ranked if key in (None, one.key)), None)
    if key is not None and chosen is None:
        have = ", ".join(one.key for one in ranked) or "none yet"
        raise InputError(f"city {city.name} has no runs of setting {key!r}: it has {have}")
    runs = group_runs(by_setting[chosen]) if chosen is not None else {}
    predictions = {name: pool(own) for name, own in runs.items()}
    per_class = score_classes(runs, predictions)
    accuracy = score_accuracy(runs, predictions, per_class)
    order = list(accuracy["experiment"])
    rank_of = {name: number for number, name in enumerate(order)}
    return Comparison(
        city=city.name,
        provenance=city.info.provenance,
        setting=chosen,
        settings=tuple(ranked),
        stale=stale_reasons(by_setting[chosen][0], fingerprint) if chosen is not None else (),
        accuracy=accuracy,
        per_class=per_class.sort_values(
            "experiment", key=lambda names: names.map(rank_of), kind="stable", ignore_index=True
        ),
        contrasts=evaluate_contrasts(predictions),
        paired=pair_up(order, runs, predictions),
        flattery=_flattery(chosen, by_setting, runs, predictions),
        ceilings=average_ceilings(record for own in runs.values() for record in own),
        reliability=bin_reliability(order, predictions),
        predictions={name: predictions[name].drop(columns=BEFORE) for name in order},
        runs={name: runs[name] for name in order},
        problems={folder.name: reason for folder, reason in torn.items()},
    )


def _flattery(
    chosen: Setting | None,
    by_setting: Mapping[Setting, list[RunRecord]],
    runs: Mapping[str, list[RunRecord]],
    predictions: Mapping[str, pd.DataFrame],
) -> pd.DataFrame:
    """Lay the chosen setting beside the one that differs only in the kind of folds, where there is one."""
    if chosen is None:
        return measure_flattery({}, {}, {})
    kinds = {"spatial": "random", "random": "spatial"}
    other_kind = kinds.get(chosen.fold_kind, "")
    other = Setting(other_kind, chosen.folds, chosen.city_fingerprint, chosen.model_version)
    if other not in by_setting:
        return measure_flattery({}, {}, {})
    others = {name: own for name, own in group_runs(by_setting[other]).items() if name in runs}
    sides = {
        chosen.fold_kind: (runs, predictions),
        other_kind: (others, {name: pool(own) for name, own in others.items()}),
    }
    return measure_flattery(sides["spatial"][0], sides["random"][0], {kind: side[1] for kind, side in sides.items()})


def _known(row: Mapping[Any, Any]) -> dict[str, Any]:
    """JSON has no NaN: what is not known is None. numpy's own numbers and truth values become Python's."""
    plain = {str(name): value.item() if isinstance(value, np.generic) else value for name, value in row.items()}
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value for name, value in plain.items()
    }
