"""Differences as they are drawn, and the short names that rows bear."""

import pandas as pd
import pytest

from fusion.charts.names import short_names, wrap_words
from fusion.charts.paired_figures import contrast_figure, flattery_figure, paired_figure
from fusion.training.experiments import EXPERIMENTS
from fusion.training.suites import CONTRASTS

CONTRAST_ROWS = pd.DataFrame(
    {
        "a": ["a+b", "c"],
        "b": ["b", "b"],
        "en": ["Does fusion help?", "Does c?"],
        "zh": ["融合有益吗？", "c 呢？"],
        "difference": [0.1, -0.02],
        "low": [0.05, -0.06],
        "high": [0.14, 0.02],
        "p_holm": [0.004, 0.4],
        "n": [100, 100],
        "verdict": ["gain", "open"],
    }
)


def _trace(figure: object, name: str) -> object:
    (found,) = (trace for trace in figure.data if trace.name == name)
    return found


def test_declared_contrasts_stand_against_zero_in_their_order() -> None:
    figure = contrast_figure(CONTRAST_ROWS)

    assert [label.partition("<br>")[::2] for label in figure.layout.yaxis.categoryarray] == [
        ("Does fusion help?", "<span style='font-size:10px'>a+b<br>− b</span>"),
        ("Does c?", "<span style='font-size:10px'>c<br>− b</span>"),
    ]
    better = _trace(figure, "better")
    assert (better.x[0], better.error_x.array[0], better.error_x.arrayminus[0]) == pytest.approx((10, 4, 5))
    assert list(better.customdata[0]) == ["a+b", "b", 5.0, pytest.approx(14), 0.004, 100]
    assert figure.layout.shapes[0].x0 == 0


def test_what_is_proven_differs_in_more_than_colour() -> None:
    figure = contrast_figure(CONTRAST_ROWS)

    assert _trace(figure, "better").marker.symbol != _trace(figure, "not proven after Holm").marker.symbol
    assert {trace.name for trace in contrast_figure(CONTRAST_ROWS, "zh").data} == {"更好", "Holm 校正后不显著"}


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


def test_both_kinds_of_folds_stand_on_one_line() -> None:
    table = pd.DataFrame(
        {
            "experiment": ["vit"],
            **{"spatial": [0.5], "spatial_low": [0.45], "spatial_high": [0.56]},
            **{"random": [0.7], "random_low": [0.66], "random_high": [0.73]},
            **{"difference": [0.2], "low": [0.13], "high": [0.26]},
        }
    )
    figure = flattery_figure(table)

    spatial, random = _trace(figure, "spatial folds"), _trace(figure, "random folds")
    assert (spatial.x[0], random.x[0]) == pytest.approx((50, 70))
    assert (spatial.error_x.array[0], random.error_x.arrayminus[0]) == pytest.approx((6, 4))
    assert "+20.0 [+13.0, +26.0]" in random.customdata[0]


def test_short_names_are_two_lines_and_all_different() -> None:
    short = short_names(EXPERIMENTS)

    assert short["vit-pretrained+convlstm-bottleneck-mid"] == "vit-pre+convlstm<br>bottleneck-mid"
    assert short["vit-pretrained+trans-blstm-2-bottleneck-apart"] == "vit-pre+trans-blstm-2<br>bottleneck-apart"
    assert short["trans-blstm-2"] == "trans-blstm-2"
    assert len(set(short.values())) == len(EXPERIMENTS)
    assert max(len(line) for name in short.values() for line in name.split("<br>")) <= 25


def test_names_that_would_be_alike_stay_whole() -> None:
    assert short_names(["vit-pre", "vit-pretrained"]) == {"vit-pre": "vit-pre", "vit-pretrained": "vit-pretrained"}


def test_questions_are_broken_between_words() -> None:
    assert wrap_words("Does meeting level by level beat concatenation?") == (
        "Does meeting level by level<br>beat concatenation?"
    )
    assert wrap_words("TRANS-BLSTM 是否优于 ConvLSTM？") == "TRANS-BLSTM 是否优于<br>ConvLSTM？"
    for contrast in CONTRASTS:
        assert wrap_words(contrast.zh).replace("<br>", "").replace(" ", "") == contrast.zh.replace(" ", "")
