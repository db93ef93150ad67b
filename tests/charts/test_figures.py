"""The figures of Compare: what a table says is what is drawn."""

import numpy as np
import pandas as pd
import pytest

from fusion.charts.class_figures import confusion_figure, per_class_figure, reliability_figure
from fusion.charts.figures import accuracy_figure, cost_figure, reported_figure
from fusion.classes import IDS

ACCURACY = pd.DataFrame(
    {
        "experiment": ["vit+bilstm-late", "bilstm", "vit"],
        "modality": ["fusion", "signal", "image"],
        "accuracy": [0.7, 0.6, 0.5],
        "low": [0.65, 0.52, 0.47],
        "high": [0.78, 0.66, 0.52],
        "n": [100, 100, 100],
        "seeds": [2, 1, 1],
        "seed_low": [0.68, np.nan, np.nan],
        "seed_high": [0.72, np.nan, np.nan],
        "rank": [1, 2, 3],
        "multiply_adds": [90e6, 5e6, np.nan],
        "parameters": [4e6, 1e6, 3e6],
    }
)
CEILINGS = pd.DataFrame({"rule": ["image", "joint"], "accuracy": [0.62, 0.9]})
NO_CEILINGS = CEILINGS.iloc[:0]


def _trace(figure: object, name: str) -> object:
    (found,) = (trace for trace in figure.data if trace.name == name)
    return found


def test_accuracy_is_drawn_in_per_cent_with_uneven_error_bars() -> None:
    trace = _trace(accuracy_figure(ACCURACY, NO_CEILINGS), "Fusion")

    assert list(trace.y) == ["vit+bilstm<br>late"]
    assert trace.x[0] == pytest.approx(70)
    assert trace.error_x.array[0] == pytest.approx(8)
    assert trace.error_x.arrayminus[0] == pytest.approx(5)
    assert trace.customdata[0][0] == "vit+bilstm-late"  # the full name on hover


def test_the_spread_over_seeds_is_drawn_where_there_are_several() -> None:
    figure = accuracy_figure(ACCURACY, NO_CEILINGS)

    (spread,) = (trace for trace in figure.data if trace.name == "worst to best seed")
    assert list(spread.x) == pytest.approx([68, 72])
    assert list(spread.y) == ["vit+bilstm<br>late"] * 2


def test_what_others_reported_is_hollow_and_a_range_is_a_range() -> None:
    rows = pd.DataFrame(
        {"name": ["ViT + BiLSTM", "URFC"], "low": [0.636, 0.41], "high": [0.636, 0.57], "user": [True, False]}
    )
    figure = reported_figure(rows)

    own, published = _trace(figure, "this project's weekly report"), _trace(figure, "published")
    assert (list(own.x), list(own.y)) == ([63.6], ["ViT<br>+ BiLSTM"])
    assert list(published.x) == pytest.approx([41, 57])
    assert own.marker.symbol.endswith("-open")
    assert published.marker.symbol.endswith("-open")
    assert (own.error_x.array, published.error_x.array) == (None, None)
    (bar,) = (trace for trace in figure.data if trace.mode == "lines")
    assert list(bar.x) == pytest.approx([41, 57])
    assert published.customdata[0][1] == "41–57 %"
    assert "other data" in figure.layout.xaxis.title.text


def test_every_ceiling_is_a_dashed_line_with_its_figure() -> None:
    figure = accuracy_figure(ACCURACY, CEILINGS)

    dashed = [shape.x0 for shape in figure.layout.shapes if shape.line.dash == "dash"]
    assert dashed == pytest.approx([62, 90])
    assert [note.text for note in figure.layout.annotations] == ["image 62.0", "joint rule 90.0"]


def test_a_ceiling_with_neighbours_is_dotted_and_says_so() -> None:
    near = pd.DataFrame({"rule": ["signal_near"], "accuracy": [0.7]})
    figure = accuracy_figure(ACCURACY, near)

    assert [shape.line.dash for shape in figure.layout.shapes] == ["dot"]
    assert figure.layout.annotations[0].text == "signal + around 70.0"


def test_the_axis_shows_everything_that_is_drawn() -> None:
    low, high = accuracy_figure(ACCURACY, CEILINGS).layout.xaxis.range

    assert low <= 47
    assert high >= 90


def test_the_chart_grows_with_its_rows() -> None:
    dozen = pd.concat([ACCURACY.assign(experiment=ACCURACY["experiment"] + f"-{n}") for n in range(4)])

    assert accuracy_figure(dozen, NO_CEILINGS).layout.height - accuracy_figure(ACCURACY, NO_CEILINGS).layout.height == (
        pytest.approx(9 * 40)
    )


def test_words_follow_the_language() -> None:
    figure = accuracy_figure(ACCURACY, CEILINGS, "zh")

    assert "准确率" in figure.layout.xaxis.title.text
    assert {trace.name for trace in figure.data} == {"融合", "仅影像", "仅信令", "最差至最好种子"}


def test_a_class_that_cannot_be_judged_is_a_dash_not_a_zero() -> None:
    rows = [("vit", id_, np.nan if id_ == "airport" else 0.0, 5) for id_ in IDS]
    figure = per_class_figure(pd.DataFrame(rows, columns=["experiment", "function", "f1", "n_true"]))

    texts = [note.text for note in figure.layout.annotations]
    assert texts.count("—") == 1
    assert texts.count("0") == 8
    assert texts[IDS.index("airport")] == "—"
    assert "vit<br>not evaluable" in figure.data[1].customdata[0]


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
    assert "0:" not in figure.layout.xaxis.title.text


def test_a_cell_seen_by_one_seed_of_three_is_told_from_one_never_seen() -> None:
    counts = pd.DataFrame(0.0, index=list(IDS), columns=list(IDS))
    counts.loc["park", ["park", "school", "hospital"]] = [2.5, 1 / 3, 0.5]

    figure = confusion_figure(counts)

    assert sorted(note.text for note in figure.layout.annotations) == ["0", "1", "3"]
    assert "blank: never" in figure.layout.xaxis.title.text


def test_reliability_has_the_diagonal_and_both_stages() -> None:
    table = pd.DataFrame(
        {"stage": ["before", "after"], "confidence": [0.9, 0.7], "accuracy": [0.6, 0.65], "count": [10, 12]}
    )
    figure = reliability_figure(table)

    assert list(figure.data[0].x) == list(figure.data[0].y) == [0, 100]
    assert (_trace(figure, "before scaling").x[0], _trace(figure, "before scaling").y[0]) == pytest.approx((90, 60))
    assert (_trace(figure, "after scaling").x[0], _trace(figure, "after scaling").y[0]) == pytest.approx((70, 65))


def test_cost_leaves_out_what_is_not_known_and_counts_in_millions() -> None:
    figure = cost_figure(ACCURACY, "multiply_adds")

    assert {trace.name for trace in figure.data} == {"Fusion", "Signal only"}
    assert (_trace(figure, "Fusion").x[0], _trace(figure, "Signal only").x[0]) == (90.0, 5.0)
    assert figure.layout.xaxis.type == "log"
    assert list(figure.layout.xaxis.ticktext) == ["2", "5", "10", "20", "50", "100", "200"]
    assert {trace.name for trace in cost_figure(ACCURACY, "parameters").data} == {
        "Fusion", "Signal only", "Image only"
    }  # fmt: skip


def test_a_mark_of_the_cost_chart_bears_its_rank_and_names_itself_on_hover() -> None:
    trace = _trace(cost_figure(ACCURACY, "parameters"), "Signal only")

    assert trace.text[0].strip() == "2"
    assert trace.customdata[0][0] == "bilstm"
