"""Figures of the quality report: every number drawn is one of the report."""

import numpy as np

from fusion.charts.quality_figures import cells_figure, days_figure, extents_figure, hours_figure, reasons_figure
from fusion.city import FlaggedDate

HOURS = {
    "hour": ["2021-07-23T16:00:00Z", "2021-07-23T17:00:00Z"],
    "valid": [5, 3],
    "suppressed": [1, 2],
    "missing": [0, 1],
}
DAYS = [
    {"date": "2021-07-29", "score": 0.5, "ratio": 1.01, "unusual": False},
    {"date": "2021-07-30", "score": 6.5, "ratio": 0.6, "unusual": True},
    {"date": "2021-07-31", "score": None, "ratio": None, "unusual": False},
]


def test_reasons_stand_by_their_number() -> None:
    (bars,) = reasons_figure({"bad time": 2, "outside": 30}).data

    assert list(bars.y) == ["outside", "bad time"]
    assert list(bars.x) == [30, 2]


def test_few_rejects_have_whole_numbers_on_the_axis() -> None:
    assert reasons_figure({"bad time": 1}).layout.xaxis.dtick == 1
    assert reasons_figure({"bad time": 400}).layout.xaxis.dtick is None


def test_hours_are_stacked_in_the_city_s_own_time() -> None:
    figure = hours_figure(HOURS, "Asia/Shanghai", lang="zh")

    assert [trace.name for trace in figure.data] == ["有效", "被抑制", "缺失", "周末"]
    assert [list(trace.y) for trace in figure.data[:3]] == [[5, 3, 3], [1, 2, 2], [0, 1, 1]]  # the last hour has an end
    assert str(np.datetime64(figure.data[0].x[0], "h")) == "2021-07-24T00"
    assert str(np.datetime64(figure.data[0].x[-1], "h")) == "2021-07-24T02"


def test_cells_by_share() -> None:
    (bars,) = cells_figure([1, 0, 0, 0, 0, 0, 0, 0, 2, 34]).data

    assert list(bars.y)[-1] == 34
    assert (bars.x[0], bars.customdata[0]) == (5.0, "0–10 %")
    assert (bars.x[-1], bars.customdata[-1]) == (95.0, "90–100 %")


def test_unusual_days_stand_apart_and_flagged_dates_are_marked_whether_or_not_they_differ() -> None:
    figure = days_figure(DAYS, 3.5, [FlaggedDate("2021-07-31", "testing begins", "开始检测")])

    usual, unusual = figure.data
    assert (list(usual.x), list(unusual.x)) == (["2021-07-29"], ["2021-07-30"])
    assert list(unusual.y) == [6.5]
    flags = [note for note in figure.layout.annotations if note.text == "⚑"]
    assert [(note.x, note.hovertext) for note in flags] == [("2021-07-31", "testing begins")]
    assert figure.layout.shapes[0].y0 == 3.5


def test_a_day_just_like_the_usual_one_has_its_score_in_print() -> None:
    flat = {"date": "2021-07-28", "score": 0.0, "ratio": 1.0, "unusual": False}

    figure = days_figure([flat, *DAYS], 3.5, [FlaggedDate("2021-07-28", "testing begins", "开始检测")])

    assert list(figure.data[0].text) == ["0.0", ""]
    assert next(note for note in figure.layout.annotations if note.text == "⚑").yshift > 10


def test_days_that_cannot_be_compared_draw_no_bar() -> None:
    figure = days_figure([DAYS[2]], 3.5)

    assert not figure.data


def test_boxes_are_true_to_shape() -> None:
    figure = extents_figure({"signaling": (113.5, 34.6, 113.8, 34.9), "imagery": (113.5, 34.7, 113.8, 34.9)})

    assert [trace.name for trace in figure.data] == ["Imagery", "Signaling"]
    assert figure.layout.yaxis.scaleratio == np.float64(1 / np.cos(np.radians(34.775)))
    assert min(figure.data[0].y) == 34.7
