"""Hourly curves: gaps stay gaps, marks stand where something was withheld, days are shaded in local time."""

import numpy as np
import pandas as pd

from fusion.charts.hourly import profile_figure, totals_figure
from fusion.city import FlaggedDate

ZONE = "Asia/Shanghai"
# Friday 30 July 2021, midnight in Zhengzhou.
HOURS = pd.Series(pd.date_range("2021-07-29T16:00Z", periods=72, freq="h"))


def profile() -> pd.DataFrame:
    state = np.zeros(72, dtype="uint8")
    state[[5, 6]] = 1
    state[[10, 11, 12, 40]] = 2
    return pd.DataFrame({"hour": HOURS, "value": np.where(state == 0, 20.0, np.nan), "state": state})


def test_hours_are_the_city_s_wall_clock() -> None:
    curve = profile_figure(profile(), "people", ZONE).data[0]

    assert pd.Timestamp(curve.x[0]) == pd.Timestamp("2021-07-30 00:00")


def test_a_hidden_hour_is_neither_zero_nor_bridged() -> None:
    curve = profile_figure(profile(), "people", ZONE).data[0]

    assert np.isnan(np.asarray(curve.y, dtype=float)[[5, 6, 10, 40]]).all()
    assert curve.connectgaps is False


def test_suppressed_hours_are_marked_one_by_one() -> None:
    (marks,) = [trace for trace in profile_figure(profile(), "people", ZONE).data if trace.name == "suppressed"]

    assert [pd.Timestamp(x).hour for x in marks.x] == [5, 6]


def test_each_run_of_missing_hours_is_one_strip() -> None:
    (strip,) = [trace for trace in profile_figure(profile(), "people", ZONE, lang="zh").data if trace.name == "缺失"]

    ends = [pd.Timestamp(x) for x in strip.x if x is not None]
    assert ends == [pd.Timestamp(text) for text in ("2021-07-30 10", "2021-07-30 13", "2021-07-31 16", "2021-07-31 17")]


def test_weekends_and_flagged_dates_are_shaded_differently() -> None:
    figure = profile_figure(profile(), "people", ZONE, [FlaggedDate("2021-07-30", "why", "为何")], lang="zh")

    shades = [shape for shape in figure.layout.shapes if shape.type == "rect"]
    # Friday is flagged, Saturday and Sunday are a weekend.
    assert [pd.Timestamp(shape.x0).day for shape in shades] == [30, 31, 1]
    assert shades[0].fillcolor != shades[1].fillcolor == shades[2].fillcolor
    assert [note.hovertext for note in figure.layout.annotations if note.hovertext] == ["为何"]
    legend = {trace.name: trace.marker.color for trace in figure.data if trace.marker.symbol == "square"}
    assert legend == {"周末": shades[1].fillcolor, "⚑ 已标记日期": shades[0].fillcolor}


def test_the_current_hour_is_a_line() -> None:
    figure = profile_figure(profile(), "people", ZONE, hour=HOURS[30])

    (line,) = [shape for shape in figure.layout.shapes if shape.type == "line"]
    assert pd.Timestamp(line.x0) == pd.Timestamp("2021-07-31 06:00")


def test_an_hour_that_no_cell_reports_is_a_gap_in_the_total() -> None:
    totals = pd.DataFrame({"hour": HOURS, "total": np.where(np.arange(72) == 7, np.nan, 100.0)})

    figure = totals_figure(totals, "people", ZONE)

    assert np.isnan(np.asarray(figure.data[0].y, dtype=float)[7])
    assert figure.data[1].name == "missing"


def test_every_day_of_a_week_has_its_name() -> None:
    figure = profile_figure(profile(), "people", ZONE, lang="zh")

    assert list(figure.layout.xaxis.ticktext) == ["7/30<br>周五", "7/31<br>周六", "8/1<br>周日"]


def test_a_single_day_has_its_hours_named() -> None:
    figure = profile_figure(profile()[:24], "people", ZONE)

    assert list(figure.layout.xaxis.ticktext) == ["7/30<br>Fri", "06:00", "12:00", "18:00"]
