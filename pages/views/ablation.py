"""Ablation's tables as they are shown and downloaded, and its findings in words. Pure."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from fusion.analysis.conditions import IMAGE_ABSENT, NONE, SIGNAL_ABSENT
from fusion.serving.ablation import Ablation, AxisResult
from fusion.training.suites import AXES
from pages.views.formats import interval, percent, points

Translate = Callable[..., str]

FIRST_LINES = 5  # experiments that a chart of many shows before the reader has chosen


def overview(ablation: Ablation, titles: Mapping[str, str]) -> pd.DataFrame:
    """Return one row an axis: axis, run and declared (numbers of rows), compared, better, worse (by the intervals)."""
    rows = []
    for name, result in ablation.axes.items():
        verdicts = result.rows["verdict"]
        rows.append(
            {
                "axis": titles[name],
                "run": len(result.rows),
                "declared": len(AXES[name]),
                "compared": result.compared,
                "better": int((verdicts == "better").sum()),
                "worse": int((verdicts == "worse").sum()),
            }
        )
    return pd.DataFrame(rows)


def by_chance(ablation: Ablation) -> tuple[int, float]:
    """Return how many rows were compared over all axes, and of how many of them a 95 % interval would exclude 0 by
    chance alone.

    A pair of rows that stands on several axes counts once.
    """
    compared = [result.rows[result.rows["verdict"] != ""] for result in ablation.axes.values()]
    pairs = {pair for rows in compared for pair in zip(rows["experiment"], rows["reference"], strict=True)}
    return len(pairs), 0.05 * len(pairs)


def axis_rows(result: AxisResult, lang: str) -> pd.DataFrame:
    """Return an axis' table with one column of names in the language asked for; an empty entry was not measured."""
    label = result.rows["label_zh" if lang == "zh" else "label_en"]
    table = result.rows.drop(columns=["label_en", "label_zh", "ordered", "value"])
    table.insert(0, "row", label)
    return table


def findings(result: AxisResult, lang: str, t: Translate) -> list[str]:
    """Say what the paired intervals of an axis show: a sentence a row whose interval excludes 0, one for all others."""
    if not result.compared:
        return [t("No row could be measured against its reference row: both need runs of the same seeds and folds.")]
    names = dict(zip(result.rows["experiment"], axis_rows(result, lang)["row"], strict=True))
    said = []
    for row in result.proven.to_dict("records"):
        verdict = t("the interval lies above 0") if row["verdict"] == "better" else t("the interval lies below 0")
        said.append(
            t(
                "**{row}** against **{reference}**: {difference} points {interval}, {verdict}.",
                row=row["label_zh" if lang == "zh" else "label_en"],
                reference=names[row["reference"]],
                difference=points(row["difference"]),
                interval=interval(row["difference_low"], row["difference_high"], signed=True),
                verdict=verdict,
            )
        )
    open_rows = result.compared - len(said)
    if not said:
        if open_rows == 1:
            return [t("The interval of the one row compared holds 0.")]
        return [t("The intervals of all {n} rows compared hold 0.", n=open_rows)]
    if open_rows:
        said.append(t("The intervals of the other {n} hold 0.", n=open_rows))
    return said


def absence_findings(robustness: pd.DataFrame, experiments: Sequence[str], t: Translate) -> list[str]:
    """Say what an absent modality does to each experiment; proven is only what lies outside both intervals."""
    said = []
    words = {IMAGE_ABSENT: t("without imagery"), SIGNAL_ABSENT: t("without signaling")}
    for experiment in experiments:
        own = robustness[robustness["experiment"] == experiment].set_index("condition")
        for condition, without in words.items():
            if condition not in own.index or NONE not in own.index:
                continue
            clean, damaged = own.loc[NONE], own.loc[condition]
            if damaged["high"] < clean["low"]:
                verdict = t("a loss, the intervals lie apart")
            elif damaged["low"] > clean["high"]:
                verdict = t("a gain, the intervals lie apart")
            else:
                verdict = t("the intervals overlap")
            said.append(
                t(
                    "**{name}** {without}: {clean} → {damaged} {interval}, {verdict}.",
                    name=experiment,
                    without=without,
                    clean=percent(clean["accuracy"]),
                    damaged=percent(damaged["accuracy"]),
                    interval=interval(damaged["low"], damaged["high"]),
                    verdict=verdict,
                )
            )
    return said


def first_lines(names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Return which experiments a chart shows first: those wanted that are there, then the best of the others."""
    there = [name for name in wanted if name in names]
    return (there + [name for name in names if name not in there])[:FIRST_LINES]
