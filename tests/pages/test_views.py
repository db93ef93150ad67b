"""The view models of the pages: plain tables and words, no Streamlit."""

import math

import numpy as np
import pandas as pd
import pytest

from fusion.classes import IDS
from fusion.serving.goals import Goal
from pages.views import compare, formats, predict


def test_figures_are_spelled_one_way() -> None:
    assert formats.percent(0.7506) == "75.1\u00a0%"  # a sign never stands alone on a line
    assert formats.percent(math.nan) == "–"
    assert formats.points(-0.012) == "−1.2"
    assert formats.interval(0.1, 0.2) == "[10.0, 20.0]"
    assert formats.interval(-0.01, 0.02, signed=True) == "[−1.0, +2.0]"
    assert formats.interval(math.nan, 0.2) == "–"
    assert (formats.p_value(0.0004), formats.p_value(0.0321)) == ("< 0.001", "0.032")


def test_the_span_of_hours_is_in_local_dates() -> None:
    assert formats.time_span("2021-07-23T16:00:00Z", 192, "Asia/Shanghai") == "2021-07-24 – 2021-07-31"
    assert formats.time_span("2013-10-31T23:00:00Z", 24, "Europe/Rome") == "2013-11-01"
    assert formats.time_span(None, 0, "UTC") == ""


def _said(text: str, **values: object) -> str:
    return text.format(**values)


def _goal(key: str, value: float, low: float, high: float, target: float) -> Goal:
    return Goal(key, target, value, low, high, "a+b", 0.8, "b", 0.5, "joint", 0.9)


@pytest.mark.parametrize(
    ("value", "low", "high", "outcome"),
    [
        (0.9, 0.85, 0.95, "more; reached."),
        (0.9, 0.75, 0.95, "reached, but the interval includes the goal"),
        (0.7, 0.6, 0.79, "more; missed."),
        (0.7, 0.6, 0.81, "missed, but the interval includes the goal"),
    ],
)
def test_a_goal_says_what_it_came_to_and_how_surely(value: float, low: float, high: float, outcome: str) -> None:
    title, figure, said = compare.goal_words(_goal("closes", value, low, high, 0.8), _said)

    assert outcome in said
    assert figure == f"{value:.1%}".replace("%", "\u00a0%")
    assert "joint ceiling" in title
    assert "a+b (80.0\u00a0%) against b (50.0\u00a0%)" in said


def test_a_goal_in_points_has_a_sign() -> None:
    _, figure, said = compare.goal_words(_goal("beats", -0.021, -0.05, -0.01, 0.0), _said)

    assert figure == "−2.1"
    assert "[−5.0, −1.0]" in said
    assert "missed." in said


PART = pd.Series({"a": "test", "b": "train", "c": "unlabelled"})


def _main() -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "id": ["a", "b", "c", "d"],
            "lon": 0.0,
            "lat": 0.0,
            "covered": [True, True, True, False],
            "true": ["park", "school", None, None],
            "predicted": ["park", "park", "park", None],
            "confidence": [0.9, 0.4, 0.6, np.nan],
        }
    )
    for id_ in IDS:
        table[f"p_{id_}"] = np.where(table["covered"], table["confidence"] if id_ == "park" else 0.0, np.nan)
    return table


def test_the_result_says_what_each_cell_was_to_the_run() -> None:
    table = predict.assemble(_main(), {"image": _main().assign(predicted="school")}, PART)

    assert table["part"].tolist()[:3] == ["test", "train", "unlabelled"]
    assert pd.isna(table["part"][3])
    assert table["right"].tolist() == [True, False, None, None]
    assert table["predicted_image"].tolist() == ["school"] * 4


def test_right_and_wrong_are_counted_part_by_part_test_first() -> None:
    counts = predict.by_part(predict.assemble(_main(), {}, PART))

    assert counts.to_dict("records") == [
        {"part": "test", "cells": 1, "known": 1, "right": 1},
        {"part": "train", "cells": 1, "known": 1, "right": 0},
        {"part": "unlabelled", "cells": 1, "known": 0, "right": 0},
    ]


def test_few_cells_have_no_percentage_and_more_an_interval() -> None:
    assert predict.right_words(0, 0, _said) == "–"
    assert predict.right_words(1, 1, _said) == "1 of 1"
    assert predict.right_words(19, 19, _said) == "19 of 19"
    # Wilson's interval by hand: centre 0.5, half width 1.96 * sqrt(0.25 / 20 + 1.96² / 1600) / (1 + 1.96² / 20)
    assert predict.right_words(10, 20, _said) == "10 of 20 (50.0\u00a0%, [29.9, 70.1])"


@pytest.mark.parametrize(("order", "expected"), [("given", [0, 1, 2]), ("unsure", [1, 2, 0]), ("wrong", [1, 0, 2])])
def test_cards_come_in_the_order_asked_for_covered_cells_only(order: str, expected: list[int]) -> None:
    assert list(predict.ordered(predict.assemble(_main(), {}, PART), order).index) == expected


def test_an_answer_knows_what_it_was_an_answer_to() -> None:
    asked = predict.Question("city", "data", "run", (1, 2), "auto", True)
    answer = predict.Answer(asked, pd.DataFrame(), "cpu", 1.0, {}, {})

    assert predict.changed(answer, asked) == ()
    assert predict.changed(answer, predict.Question("city", "data", "run", (1,), "cpu", False)) == ("cells",)
    assert predict.changed(answer, predict.Question("city", "new", "other", (1, 2), "auto", True)) == ("data", "run")


def test_a_download_names_city_run_and_provenance() -> None:
    asked = predict.Question("zz", "data", "vit-s0", (1,), "auto", True)
    table = predict.assemble(_main(), {}, PART)

    released = predict.release(predict.Answer(asked, table, "cpu", 1.0, {}, {}), "synthetic")

    assert list(released.columns[:4]) == ["id", "city", "provenance", "run"]
    assert set(released["provenance"]) == {"synthetic"}
    assert "city" not in table


def test_pages_of_cards() -> None:
    assert predict.page_of([5, 6, 7, 8], 2, 3) == [8]
    assert predict.page_of([5, 6, 7, 8], 1, 3) == [5, 6, 7]
