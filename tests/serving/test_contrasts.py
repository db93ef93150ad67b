"""Declared contrasts on predictions written by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from fusion.serving.contrasts import evaluate_contrasts, pair_up, verdict
from fusion.serving.pooling import Predictions, pool
from fusion.training.suites import CONTRASTS, Contrast
from tests.serving.made_runs import make_run, predictions_of

CELLS = 40
GROUPS = np.repeat(np.arange(10), 4)
TRUE = ["park"] * CELLS


def _said(right: int) -> list[str]:
    """Right in the first so many cells."""
    return ["park"] * right + ["school"] * (CELLS - right)


@pytest.fixture
def predictions(tmp_path: Path) -> Predictions:
    """a is right in 32 cells with both seeds, b in 24 and 16, c in 30; c has only seed 0."""
    rights = {"a": (32, 32), "b": (24, 16), "c": (30,)}
    return {
        name: pool(
            [
                make_run(tmp_path, name, predictions_of(_said(right), TRUE, GROUPS), seed=seed)
                for seed, right in enumerate(by_seed)
            ]
        )
        for name, by_seed in rights.items()
    }


def test_at_most_twelve_are_declared_and_each_once() -> None:
    assert len(CONTRASTS) <= 12
    assert len({frozenset((one.a, one.b)) for one in CONTRASTS}) == len(CONTRASTS)


def test_figures_by_hand(predictions: Predictions) -> None:
    row = evaluate_contrasts(predictions, [Contrast("a", "b", "?", "？")]).iloc[0]

    # Where b's seeds differ (cells 16 to 23) park and school have the same mean; school, first in order, is said.
    right_b = 16
    assert row["difference"] == pytest.approx((32 - right_b) / CELLS)
    assert (row["accuracy_a"], row["accuracy_b"]) == pytest.approx((0.8, right_b / CELLS))
    assert row["difference_single"] == pytest.approx(0.8 - (24 + 16) / 2 / CELLS)
    assert (row["only_a"], row["only_b"]) == (32 - right_b, 0)
    assert row["mcnemar_p"] == pytest.approx(binomtest(0, 32 - right_b).pvalue)
    # Blocks that differ all lean one way: of 2^k flips two are as far from zero.
    assert row["p_value"] == pytest.approx(2 / 2 ** ((32 - right_b) // 4))
    assert (row["n"], row["groups"], row["seeds_run"], row["folds_run"]) == (CELLS, 10, "0, 1", "0")
    assert row["low"] <= row["difference"] <= row["high"]


def test_only_common_seeds_are_compared(predictions: Predictions) -> None:
    row = evaluate_contrasts(predictions, [Contrast("c", "b", "?", "？")]).iloc[0]

    assert row["seeds_run"] == "0"
    assert row["difference"] == row["difference_single"] == pytest.approx((30 - 24) / CELLS)


def test_what_was_not_run_stays_in_the_table_and_out_of_the_correction(predictions: Predictions) -> None:
    declared = [
        Contrast("a", "b", "first", "一"),
        Contrast("a", "nowhere", "second", "二"),
        Contrast("a", "c", "third", "三"),
    ]

    table = evaluate_contrasts(predictions, declared)

    assert table["en"].tolist() == ["first", "second", "third"]
    assert table["state"].tolist() == ["run", "not run", "run"]
    assert table["missing"].tolist() == ["", "nowhere", ""]
    raw = table["p_value"].tolist()
    assert raw[0] < raw[2]
    # Holm over two, not three
    assert table["p_holm"].tolist() == pytest.approx([2 * raw[0], np.nan, max(2 * raw[0], raw[2])], nan_ok=True)
    assert table["mcnemar_holm"][0] == pytest.approx(min(2 * table["mcnemar_p"][0], 1))


def test_cells_of_one_group_are_no_test(tmp_path: Path) -> None:
    made = {name: pool([make_run(tmp_path, name, predictions_of(_said(20), TRUE, [1] * CELLS))]) for name in ("a", "b")}

    assert evaluate_contrasts(made, [Contrast("a", "b", "?", "？")])["state"].tolist() == ["no common cells"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"state": "run", "p_holm": 0.01, "difference": 0.1}, "gain"),
        ({"state": "run", "p_holm": 0.01, "difference": -0.1}, "loss"),
        ({"state": "run", "p_holm": 0.06, "difference": 0.1}, "open"),
        ({"state": "not run", "p_holm": np.nan, "difference": np.nan}, ""),
    ],
)
def test_verdict_follows_the_corrected_p_value(row: dict, said: str) -> None:
    assert verdict(row) == said


def test_exploration_has_every_fusion_against_every_single_stream(tmp_path: Path) -> None:
    runs = {
        name: [make_run(tmp_path, name, predictions_of(_said(right), TRUE, GROUPS))]
        for name, right in {"vit+bilstm-late": 32, "bilstm": 20, "vit": 10}.items()
    }
    table = pair_up(list(runs), runs, {name: pool(own) for name, own in runs.items()})

    expected = pd.DataFrame({"unimodal": ["bilstm", "vit"], "difference": [0.3, 0.55], "own_stream": [True, True]})
    pd.testing.assert_frame_equal(table[list(expected)], expected)
