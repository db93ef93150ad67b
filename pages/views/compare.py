"""Compare's tables as they are shown and downloaded, and its findings in words. Pure."""

from collections.abc import Callable

import pandas as pd

from fusion.classes import FUNCTIONS
from fusion.serving.comparison import Comparison
from fusion.serving.contrasts import verdict
from fusion.serving.goals import CLOSES, Goal
from fusion.serving.reported import ELSEWHERE
from pages.views.formats import interval, percent, points

Translate = Callable[..., str]


def accuracy_table(comparison: Comparison) -> pd.DataFrame:
    """Return every line of the accuracy chart: measured and ceilings, told apart by the column `kind`."""
    measured = comparison.accuracy.assign(kind="measured")
    ceilings = pd.DataFrame(
        {"kind": "ceiling", "experiment": comparison.ceilings["rule"], "accuracy": comparison.ceilings["accuracy"]}
    )
    columns = ["kind", *(name for name in comparison.accuracy.columns if name not in ("transductive", "shipped"))]
    parts = [part.reindex(columns=columns).astype(object) for part in (measured, ceilings) if len(part)]
    return pd.concat(parts, ignore_index=True).infer_objects()


def reported_table(lang: str) -> pd.DataFrame:
    """Return what was reported elsewhere: name, low, high (equal for one figure), user, data, source."""
    return pd.DataFrame(
        [
            {
                "name": row.zh if lang == "zh" else row.en,
                "low": row.low,
                "high": row.high,
                "user": row.user,
                "data": row.data_zh if lang == "zh" else row.data_en,
                "source": row.source_zh if lang == "zh" else row.source_en,
            }
            for row in ELSEWHERE
        ]
    )


def contrast_table(comparison: Comparison) -> pd.DataFrame:
    """Return every declared contrast, those that were not run too, with its verdict by the corrected p-value."""
    table = comparison.contrasts
    return table.assign(verdict=[verdict(row) for row in table.to_dict("records")])


def translated(contrasts: pd.DataFrame, lang: str) -> pd.DataFrame:
    """Return contrasts as they are shown: the question in one language, first."""
    columns = [
        *("question", "a", "b", "state", "missing", "verdict", "difference", "low", "high", "p_value", "p_holm"),
        *("mcnemar_p", "mcnemar_holm", "only_a", "only_b", "accuracy_a", "accuracy_b", "difference_single"),
        *("n", "groups", "seeds_run", "folds_run"),
    ]
    return contrasts.assign(question=contrasts[lang])[columns]


def goal_words(goal: Goal, t: Translate) -> tuple[str, str, str]:
    """Return the title, the figure and the sentence of a goal."""
    if not goal.sure:
        outcome = (
            t("reached, but the interval includes the goal")
            if goal.met
            else t("missed, but the interval includes the goal")
        )
    else:
        outcome = t("reached") if goal.met else t("missed")
    if goal.key == CLOSES:
        said = t(
            "95 % interval {interval}: {fusion} ({reached}) against {against} ({start}) and the joint ceiling "
            "({ceiling}). Goal: 80 % or more; {outcome}.",
            interval=interval(goal.low, goal.high),
            fusion=goal.fusion,
            reached=percent(goal.fusion_accuracy),
            against=goal.against,
            start=percent(goal.against_accuracy),
            ceiling=percent(goal.ceiling_accuracy),
            outcome=outcome,
        )
        return t("Gap to joint ceiling closed"), percent(goal.value), said
    said = t(
        "95 % interval {interval}: {fusion} ({reached}) against the best that any late rule can reach ({ceiling}). "
        "Goal: above zero; {outcome}.",
        interval=interval(goal.low, goal.high, signed=True),
        fusion=goal.fusion,
        reached=percent(goal.fusion_accuracy),
        ceiling=percent(goal.ceiling_accuracy),
        outcome=outcome,
    )
    return t("Deep fusion − late ceiling, points"), points(goal.value), said


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
