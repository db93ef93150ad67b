"""The figures of Compare: what a table says is what is drawn."""

import numpy as np
import pandas as pd
import pytest

from fusion.charts.class_figures import confusion_figure, per_class_figure, reliability_figure
from fusion.charts.figures import accuracy_figure, cost_figure, paired_figure
from fusion.classes import IDS

ACCURACY = pd.DataFrame(
    {
        "experiment": ["vit+bilstm-late", "bilstm", "vit"],
        "modality": ["fusion", "signal", "image"],
        "accuracy": [0.7, 0.6, 0.5],
        "low": [0.65, 0.52, 0.47],
        "high": [0.78, 0.66, 0.52],
        "n": [100, 100, 100],
        "train_s": [30.0, 10.0, 20.0],
        "parameters": [400.0, 100.0, 300.0],
    }
)
CEILINGS = pd.DataFrame({"rule": ["image", "joint"], "accuracy": [0.62, 0.9]})
NO_CEILINGS = CEILINGS.iloc[:0]
REPORTED = [{"name": "ViT + BiLSTM", "accuracy": 0.636}]


def _trace(figure: object, name: str) -> object:
    (found,) = (trace for trace in figure.data if trace.name == name)
    return found


def test_accuracy_is_drawn_in_per_cent_with_uneven_error_bars() -> None:
    trace = _trace(accuracy_figure(ACCURACY, NO_CEILINGS, REPORTED), "Fusion")

    assert list(trace.y) == ["vit+bilstm-late"]
    assert trace.x[0] == pytest.approx(70)
    assert trace.error_x.array[0] == pytest.approx(8)
    assert trace.error_x.arrayminus[0] == pytest.approx(5)


def test_reported_figures_are_hollow_and_apart_from_the_measured() -> None:
    figure = accuracy_figure(ACCURACY, NO_CEILINGS, REPORTED)
    trace = _trace(figure, "reported by the user")

    assert trace.marker.symbol == "circle-open"
    assert trace.error_x.array is None
    assert list(figure.layout.yaxis.categoryarray)[-1] == trace.y[0] == "ViT<br>+ BiLSTM"
    (rule,) = figure.layout.shapes  # a line between the last measured row and the first reported one
    assert rule.y0 == 2.5


def test_every_ceiling_is_a_dashed_line_with_its_figure() -> None:
    figure = accuracy_figure(ACCURACY, CEILINGS, [])

    dashed = [shape.x0 for shape in figure.layout.shapes if shape.line.dash == "dash"]
    assert dashed == pytest.approx([62, 90])
    assert [note.text for note in figure.layout.annotations] == ["image 62.0", "joint rule 90.0"]


def test_a_ceiling_with_neighbours_is_dotted_and_says_so() -> None:
    near = pd.DataFrame({"rule": ["signal_near"], "accuracy": [0.7]})
    figure = accuracy_figure(ACCURACY, near, [])

    assert [shape.line.dash for shape in figure.layout.shapes] == ["dot"]
    assert figure.layout.annotations[0].text == "signal + around 70.0"


def test_the_axis_shows_everything_that_is_drawn() -> None:
    low, high = accuracy_figure(ACCURACY, CEILINGS, [{"name": "x", "accuracy": 0.05}]).layout.xaxis.range

    assert low <= 5
    assert high >= 90


def test_words_follow_the_language() -> None:
    figure = accuracy_figure(ACCURACY, CEILINGS, REPORTED, "zh")

    assert "准确率" in figure.layout.xaxis.title.text
    assert {trace.name for trace in figure.data} == {"融合", "仅影像", "仅信令", "用户自报"}


def test_a_class_that_cannot_be_judged_is_a_dash_not_a_zero() -> None:
    rows = [("vit", id_, np.nan if id_ == "airport" else 0.0, 5) for id_ in IDS]
    figure = per_class_figure(pd.DataFrame(rows, columns=["experiment", "function", "f1", "n_true"]))

    texts = [note.text for note in figure.layout.annotations]
    assert texts.count("—") == 1
    assert texts.count("0") == 8
    assert texts[IDS.index("airport")] == "—"
    assert "not evaluable" in figure.data[1].customdata[0]


def test_confusion_colours_shares_of_the_true_class_and_writes_counts() -> None:
    counts = pd.DataFrame(0, index=list(IDS), columns=list(IDS))
    counts.loc["park", "park"], counts.loc["park", "school"] = 30, 10
    figure = confusion_figure(counts)

    row, park, school = IDS.index("park"), IDS.index("park"), IDS.index("school")
    shares = figure.data[0].z
    assert shares[row][park] == pytest.approx(75)
    assert shares[row][school] == pytest.approx(25)
    assert np.isnan(shares[0]).all()  # no true cell of that class
    assert sorted(note.text for note in figure.layout.annotations) == ["10", "30"]


def test_pairs_stand_against_zero() -> None:
    paired = pd.DataFrame(
        {
            "fusion": ["vit+bilstm-late", "vit+bilstm-late"],
            "unimodal": ["vit", "bilstm"],
            "modality": ["image", "signal"],
            "difference": [0.2, -0.01],
            "low": [0.1, -0.05],
            "high": [0.3, 0.02],
            "n": [100, 100],
        }
    )
    figure = paired_figure(paired)

    assert [trace.x[0] for trace in figure.data] == pytest.approx([20, -1])
    assert list(figure.layout.yaxis.categoryarray) == ["vit+bilstm-late<br>− vit", "vit+bilstm-late<br>− bilstm"]
    assert figure.layout.shapes[0].x0 == 0


def test_reliability_has_the_diagonal_and_both_stages() -> None:
    table = pd.DataFrame(
        {"stage": ["before", "after"], "confidence": [0.9, 0.7], "accuracy": [0.6, 0.65], "count": [10, 12]}
    )
    figure = reliability_figure(table)

    assert list(figure.data[0].x) == list(figure.data[0].y) == [0, 100]
    assert (_trace(figure, "before scaling").x[0], _trace(figure, "before scaling").y[0]) == pytest.approx((90, 60))
    assert (_trace(figure, "after scaling").x[0], _trace(figure, "after scaling").y[0]) == pytest.approx((70, 65))


def test_cost_leaves_out_what_is_not_known_and_counts_in_millions() -> None:
    table = ACCURACY.assign(parameters=[4e6, 1e6, np.nan])
    figure = cost_figure(table)

    assert {trace.name for trace in figure.data} == {"Fusion", "Signal only"}
    assert (_trace(figure, "Fusion").x[0], _trace(figure, "Signal only").x[0]) == (4.0, 1.0)
    assert _trace(figure, "Fusion").textposition[0] == "top left"


def test_names_of_neighbours_in_the_cost_chart_do_not_meet() -> None:
    figure = cost_figure(ACCURACY.assign(parameters=[5e5, 5e5, 1e5], accuracy=[0.72, 0.70, 0.5]))

    assert list(_trace(figure, "Fusion").textposition) == ["top left"]
    assert list(_trace(figure, "Signal only").textposition) == ["bottom left"]
    assert list(_trace(figure, "Image only").textposition) == ["top right"]
