"""The figures of a city and of one region: local time, gaps and marks instead of zeros, the functions' own colours."""

import numpy as np
import pandas as pd
import pytest

from fusion.charts.city_figures import (
    class_figure,
    probabilities_figure,
    states_figure,
)
from fusion.charts.hourly import profile_figure, totals_figure
from fusion.city import FlaggedDate
from fusion.classes import FUNCTIONS, IDS

ZONE = "Asia/Shanghai"
HOURS = pd.date_range("2021-07-29T16:00:00Z", periods=4, freq="h")  # midnight of 30 July in Zhengzhou
PROFILE = pd.DataFrame({"hour": HOURS, "value": [5.0, np.nan, np.nan, 7.0], "state": [0, 1, 2, 0]})
FLAGS = (FlaggedDate("2021-07-30", "first cases", "首批病例"), FlaggedDate("2020-01-01", "not here", "不在此"))


def test_profile_runs_in_local_time_with_gaps() -> None:
    line = profile_figure(PROFILE, "people", ZONE).data[0]

    assert pd.Timestamp(line.x[0]) == pd.Timestamp("2021-07-30 00:00")
    assert np.isnan(line.y[1])
    assert np.isnan(line.y[2])
    assert line.connectgaps is False


def test_suppressed_hours_are_marked_and_missing_ones_are_not() -> None:
    figure = profile_figure(PROFILE, "people", ZONE)

    (marks,) = (trace for trace in figure.data if trace.name == "suppressed")
    assert [pd.Timestamp(hour) for hour in marks.x] == [pd.Timestamp("2021-07-30 01:00")]


def test_only_flagged_dates_within_the_hours_are_shaded_and_say_why() -> None:
    figure = totals_figure(pd.DataFrame({"hour": HOURS, "total": 1.0}), "people", ZONE, FLAGS, "zh")

    (shade,) = figure.layout.shapes
    assert (pd.Timestamp(shade.x0), pd.Timestamp(shade.x1)) == (pd.Timestamp("2021-07-30"), pd.Timestamp("2021-07-31"))
    assert figure.layout.annotations[0].hovertext == "首批病例"


def test_the_chosen_hour_is_marked_in_local_time() -> None:
    figure = totals_figure(pd.DataFrame({"hour": HOURS, "total": 1.0}), "people", ZONE, hour=HOURS[2])

    (mark,) = figure.layout.shapes
    assert pd.Timestamp(mark.x0) == pd.Timestamp("2021-07-30 02:00")


def test_classes_are_all_drawn_in_their_own_colours() -> None:
    bars = class_figure({"park": 3, "school": 1}).data[0]

    assert list(bars.y) == [function.en for function in FUNCTIONS]
    assert list(bars.marker.color) == [function.colour for function in FUNCTIONS]
    assert bars.x[IDS.index("park")] == 3
    assert bars.text[IDS.index("park")] == "3 · 75.0 %"
    assert bars.x[IDS.index("airport")] == 0


def test_states_add_up_to_one_bar() -> None:
    figure = states_figure({"share_valid": 0.7, "share_suppressed": 0.2, "share_missing": 0.1})

    assert [trace.x[0] for trace in figure.data] == pytest.approx([70, 20, 10])
    assert [trace.name for trace in figure.data] == ["valid 70.0 %", "suppressed 20.0 %", "missing 10.0 %"]
    assert [note.text for note in figure.layout.annotations] == ["Share of cell-hours"]


def test_probabilities_stand_side_by_side_with_the_true_class_marked() -> None:
    image = np.full(9, 0.1)
    image[2] = 0.2
    figure = probabilities_figure({"image": image, "signal": None, "fusion": np.eye(9)[4]}, true="school", lang="zh")

    assert figure.data[0].x[2] == pytest.approx(20)
    assert np.isnan(figure.data[1].x).all()
    assert figure.data[2].x[4] == pytest.approx(100)
    assert figure.data[0].y[IDS.index("school")] == "<b>学校 ✓</b>"
    titles = [note.text for note in figure.layout.annotations]
    assert titles == ["影像（%）", "信令（%）", "融合（%）", "无此训练"]
