"""Compare's tables as they are shown and downloaded, and its findings in words. Pure."""

from collections.abc import Callable

import pandas as pd

from fusion.classes import FUNCTIONS
from fusion.serving.comparison import Comparison
from fusion.serving.reported import REPORTED, Reported
from pages.views.formats import interval, p_value, points

Translate = Callable[..., str]


def reported_rows(lang: str) -> list[dict[str, object]]:
    """Return the user's own reported figures as the accuracy chart takes them."""
    return [{"name": row.zh if lang == "zh" else row.en, "accuracy": row.accuracy} for row in REPORTED]


def accuracy_table(comparison: Comparison, lang: str) -> pd.DataFrame:
    """Return every line of the accuracy chart: measured, ceilings and reported, told apart by the column `kind`."""
    measured = comparison.accuracy.assign(kind="measured")
    ceilings = pd.DataFrame(
        {
            "kind": "ceiling",
            "experiment": comparison.ceilings["rule"],
            "accuracy": comparison.ceilings["accuracy"],
        }
    )
    own = pd.DataFrame(
        [{"kind": "reported by the user", "experiment": _name(row, lang), "accuracy": row.accuracy} for row in REPORTED]
    )
    columns = [
        *("kind", "experiment", "modality", "accuracy", "low", "high", "n", "groups", "macro_f1", "evaluable"),
        *("ece_before", "ece_after", "folds_run", "parameters", "train_s"),
    ]
    parts = [part.reindex(columns=columns).astype(object) for part in (measured, ceilings, own) if len(part)]
    return pd.concat(parts, ignore_index=True).infer_objects()


def class_table(comparison: Comparison) -> pd.DataFrame:
    """Return F1 with one row an experiment and one column a class id; an empty entry is not evaluable."""
    table = comparison.per_class.pivot(index="experiment", columns="function", values="f1")
    order = list(dict.fromkeys(comparison.per_class["experiment"]))
    return table.reindex(index=order, columns=[one.id for one in FUNCTIONS]).reset_index().rename_axis(columns=None)


def not_evaluable(comparison: Comparison, lang: str) -> list[str]:
    """Return the names of the classes that no fold can judge, for any experiment."""
    unknown = comparison.per_class.groupby("function")["f1"].apply(lambda f1: f1.isna().all())
    return [(one.zh if lang == "zh" else one.en) for one in FUNCTIONS if bool(unknown.get(one.id, False))]


def confusion_table(counts: pd.DataFrame) -> pd.DataFrame:
    """Return the counts with the true class as a first column."""
    return counts.rename_axis(index="true", columns=None).reset_index()


def paired_table(paired: pd.DataFrame) -> pd.DataFrame:
    """Return the paired comparisons with the verdict of the interval: gain, loss or open."""
    verdict = pd.Series("open", index=paired.index).mask(paired["low"] > 0, "gain").mask(paired["high"] < 0, "loss")
    return paired.drop(columns=["own_stream", "exact"]).assign(
        mcnemar=["exact binomial" if exact else "chi-squared" for exact in paired["exact"]], verdict=verdict
    )


def paired_sentence(row: dict, t: Translate) -> str:
    """Say what one paired comparison found, in one sentence."""
    if row["low"] > 0:
        verdict = t("a gain beyond chance")
    elif row["high"] < 0:
        verdict = t("a loss beyond chance")
    else:
        verdict = t("no proven difference")
    return t(
        "**{fusion}** against **{unimodal}**: {difference} points {interval}, {verdict} (McNemar p {p}).",
        verdict=verdict,
        fusion=row["fusion"],
        unimodal=row["unimodal"],
        difference=points(row["difference"]),
        interval=interval(row["low"], row["high"], signed=True),
        p=p_value(row["p_value"]),
    )


def _name(row: Reported, lang: str) -> str:
    return row.zh if lang == "zh" else row.en
