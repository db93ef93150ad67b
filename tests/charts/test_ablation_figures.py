"""The figures of Ablation: what a table says is what is drawn."""

import numpy as np
import pandas as pd
import pytest

from fusion.charts.ablation_figures import axis_figure, difference_figure, savings_figure
from fusion.charts.robustness_figures import LINES, damage_figure, missing_figure, similarity_figure

ROWS = pd.DataFrame(
    {
        "experiment": ["a+b-bottleneck", "a+b-bottleneck-mid", "a+b-bottleneck-late"],
        "label_en": ["Lf = 0", "Lf = 2", "Lf = 4"],
        "label_zh": ["Lf = 0", "Lf = 2", "Lf = 4"],
        "modality": "fusion",
        "accuracy": [0.7, 0.75, 0.6],
        "low": [0.65, 0.72, 0.55],
        "high": [0.78, 0.8, 0.65],
        "n": 900,
        "runs": [6, 6, 3],
        "fewer": [False, False, True],
        "ordered": True,
        "reference": "a+b-bottleneck",
        "difference": [np.nan, 0.05, -0.1],
        "difference_low": [np.nan, 0.01, -0.2],
        "difference_high": [np.nan, 0.11, -0.04],
        "verdict": ["", "better", "worse"],
        "multiply_adds": [100e6, 60e6, np.nan],
        "saved": [0.0, 0.4, np.nan],
    }
)
UNIMODAL = pd.DataFrame({"experiment": ["a"], "modality": ["image"], "accuracy": [0.5]})
CEILINGS = pd.DataFrame({"rule": ["additive", "joint"], "accuracy": [0.8, 0.9]})
ROBUSTNESS = pd.DataFrame(
    [
        ("f", "none", 0.0, 0.7, 0.65, 0.75, 900),
        ("f", "image-absent", 1.0, 0.4, 0.38, 0.45, 900),
        ("f", "cloud", 0.5, 0.55, 0.5, 0.6, 900),
        ("f", "cloud", 0.25, 0.6, 0.55, 0.65, 900),
        ("f", "shift", 48.0, 0.5, 0.45, 0.55, 900),
        ("g", "none", 0.0, 0.6, 0.55, 0.65, 900),
    ],
    columns=["experiment", "condition", "strength", "accuracy", "low", "high", "n"],
)


def _trace(figure: object, name: str) -> object:
    (found,) = (trace for trace in figure.data if trace.name == name)
    return found


def test_an_axis_is_drawn_in_its_order_with_uneven_intervals() -> None:
    figure = axis_figure(ROWS, UNIMODAL, CEILINGS)
    trace = _trace(figure, "Fusion")

    assert list(figure.layout.yaxis.categoryarray) == ["Lf = 0", "Lf = 2", "Lf = 4 *"]  # the star: fewer runs
    assert list(trace.x) == pytest.approx([70, 75, 60])
    assert list(trace.error_x.array) == pytest.approx([8, 5, 5])
    assert list(trace.error_x.arrayminus) == pytest.approx([5, 3, 5])


def test_only_a_scale_is_joined_by_a_line() -> None:
    assert [trace.mode for trace in axis_figure(ROWS, UNIMODAL, CEILINGS).data] == ["lines", "markers"]
    assert [trace.mode for trace in axis_figure(ROWS.assign(ordered=False), UNIMODAL, CEILINGS).data] == ["markers"]


def test_single_modalities_and_ceilings_are_lines_with_their_figures_and_within_the_axis() -> None:
    figure = axis_figure(ROWS, UNIMODAL, CEILINGS)

    assert [(shape.x0, shape.line.dash) for shape in figure.layout.shapes] == [(50, "dot"), (80, "dash"), (90, "dash")]
    assert [note.text for note in figure.layout.annotations] == [
        "a 50.0",
        "late rule's ceiling 80.0",
        "joint ceiling 90.0",
    ]
    low, high = figure.layout.xaxis.range
    assert low < 50
    assert high > 90


def test_a_row_s_difference_stands_on_its_line_by_verdict_and_the_reference_at_zero() -> None:
    figure = difference_figure(ROWS)

    assert (_trace(figure, "reference").x[0], _trace(figure, "reference").y[0]) == (0, "Lf = 0")
    better, worse = _trace(figure, "better"), _trace(figure, "worse")
    assert (better.y[0], better.x[0], better.error_x.array[0]) == ("Lf = 2", pytest.approx(5), pytest.approx(6))
    assert (worse.y[0], worse.error_x.arrayminus[0]) == ("Lf = 4 *", pytest.approx(10))
    assert better.marker.symbol != worse.marker.symbol  # not by colour alone
    assert list(figure.layout.yaxis.categoryarray) == list(
        axis_figure(ROWS, UNIMODAL, CEILINGS).layout.yaxis.categoryarray
    )


def test_a_row_that_could_not_be_compared_is_not_drawn_at_zero() -> None:
    figure = difference_figure(ROWS.assign(difference=np.nan, verdict=""))

    assert [trace.name for trace in figure.data] == ["reference"]


def test_rows_of_several_streams_break_their_names_after_the_stream() -> None:
    rows = ROWS.assign(label_en=["A: none", "A: share", "B: none"], label_zh=["A：无", "A：共享", "B：无"])

    assert axis_figure(rows, UNIMODAL, CEILINGS).layout.yaxis.categoryarray[0] == "A:<br>none"
    assert axis_figure(rows, UNIMODAL, CEILINGS, "zh").layout.yaxis.categoryarray[1] == "A：<br>共享"


def test_savings_leave_out_what_is_not_measured() -> None:
    (trace,) = savings_figure(ROWS).data

    assert list(trace.x) == pytest.approx([0, 40])
    assert list(trace.y) == pytest.approx([70, 75])
    assert list(trace.customdata[:, 2]) == pytest.approx([100, 60])  # millions


def test_similarity_has_a_line_an_experiment_with_the_range_of_its_runs() -> None:
    table = pd.DataFrame(
        {
            "experiment": ["f", "f", "g"],
            "level": [2, 1, 1],
            "cka": [0.6, 0.3, 0.9],
            "cka_low": [0.5, 0.2, 0.9],
            "cka_high": [0.8, 0.3, 0.9],
            "cka_chance": [0.1, 0.05, 0.15],
            "overlap": [0.1, 0.2, np.nan],
            "overlap_low": [0.1, 0.2, np.nan],
            "overlap_high": [0.1, 0.2, np.nan],
            "overlap_chance": np.nan,
            "runs": [6, 6, 1],
        }
    )
    line = _trace(similarity_figure(table, "cka"), "f")

    assert list(np.round(line.x)) == [1, 2]
    assert list(line.y) == pytest.approx([0.3, 0.6])
    assert list(line.error_y.array) == pytest.approx([0.0, 0.2])
    assert list(line.error_y.arrayminus) == pytest.approx([0.1, 0.1])
    chance = _trace(similarity_figure(table, "cka"), "unrelated (chance)")
    assert (list(chance.x), list(chance.y)) == ([1, 2], pytest.approx([0.1, 0.1]))  # level 1: the mean of f and g
    assert [trace.name for trace in similarity_figure(table, "overlap").data] == ["f"]  # g has none, nor has chance


def test_more_lines_than_colours_still_differ() -> None:
    names = [f"f{number}" for number in range(len(LINES) + 2)]
    table = pd.DataFrame({"experiment": names, "level": 1, "cka": 0.5, "cka_low": 0.5, "cka_high": 0.5, "runs": 1})
    table["cka_chance"] = np.nan

    looks = {(line.line.color, line.line.dash, line.marker.symbol) for line in similarity_figure(table, "cka").data}

    assert len(looks) == len(names)


def test_damage_starts_at_the_clean_row_and_grows() -> None:
    figure = damage_figure(ROBUSTNESS, "cloud", "Share under cloud, %", share=True)
    (line,) = figure.data  # g was not measured under cloud

    assert list(line.x) == pytest.approx([0, 25, 50])
    assert list(line.y) == pytest.approx([70, 60, 55])
    assert list(line.error_y.array) == pytest.approx([5, 5, 5])
    assert figure.layout.xaxis.title.text == "Share under cloud, %"


def test_metres_are_not_shares() -> None:
    (line,) = damage_figure(ROBUSTNESS, "shift", "m", share=False).data

    assert list(line.x) == pytest.approx([0, 48])


def test_an_absent_modality_stands_beside_the_whole_and_the_unmeasured_is_left_blank() -> None:
    figure = missing_figure(ROBUSTNESS, ["f", "g"])
    whole, absent = _trace(figure, "undamaged"), _trace(figure, "no image")

    assert list(whole.x) == pytest.approx([70, 60])
    assert absent.x[0] == pytest.approx(40)
    assert np.isnan(absent.x[1])
    assert absent.error_x.array[0] == pytest.approx(5)
    assert {trace.name for trace in figure.data} == {"undamaged", "no image"}  # no one was measured without signaling
    assert whole.marker.pattern.shape != absent.marker.pattern.shape  # not by colour alone


def test_words_follow_the_language() -> None:
    assert "准确率" in axis_figure(ROWS, UNIMODAL, CEILINGS, "zh").layout.xaxis.title.text
    assert {trace.name for trace in difference_figure(ROWS, "zh").data} == {"参照", "更好", "更差"}
    assert "完整输入" in {trace.name for trace in missing_figure(ROBUSTNESS, ["f"], "zh").data}
