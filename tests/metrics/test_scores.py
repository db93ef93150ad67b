"""Scores worked by hand and against scikit-learn."""

import json

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, f1_score

from fusion.classes import IDS
from fusion.errors import SampleError
from fusion.metrics.scores import disagreement, evaluate, kappa


def _prob(predicted: list[int] | np.ndarray, classes: int = 9) -> np.ndarray:
    return np.eye(classes)[predicted] * 0.5 + 0.5 / classes


def test_three_classes_by_hand() -> None:
    # truth a a a b b c; predicted a a b b c c
    scores = evaluate([0, 0, 0, 1, 1, 2], _prob([0, 0, 1, 1, 2, 2], 3), classes=("a", "b", "c"))
    assert scores["confusion"] == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert scores["overall_accuracy"] == pytest.approx(4 / 6)
    assert scores["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert scores["per_class_f1"] == pytest.approx({"a": 4 / 5, "b": 1 / 2, "c": 2 / 3})
    assert scores["macro_f1"] == pytest.approx((4 / 5 + 1 / 2 + 2 / 3) / 3)
    # Chance agreement (3*2 + 2*2 + 1*2) / 36 = 1/3.
    assert scores["kappa"] == pytest.approx((2 / 3 - 1 / 3) / (2 / 3))
    # Totals 3, 2, 1 against 2, 2, 2: quantity (1 + 0 + 1) / 2 / 6; the rest of the error, 2/6, is allocation.
    assert scores["quantity_disagreement"] == pytest.approx(1 / 6)
    assert scores["allocation_disagreement"] == pytest.approx(1 / 6)
    assert scores["not_evaluable"] == []
    assert scores["n_test"] == 6


def test_random_predictions_agree_with_sklearn() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 9, 500), rng.integers(0, 9, 500)
    scores = evaluate(truth, _prob(predicted))
    assert scores["macro_f1"] == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert scores["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, predicted))
    assert scores["kappa"] == pytest.approx(cohen_kappa_score(truth, predicted))
    assert list(scores["per_class_f1"].values()) == pytest.approx(f1_score(truth, predicted, average=None).tolist())
    total = scores["quantity_disagreement"] + scores["allocation_disagreement"]
    assert total == pytest.approx(1 - scores["overall_accuracy"])


def test_classes_that_cannot_be_judged_are_left_out_and_named() -> None:
    # c is absent from the truth (yet predicted once), d has test cells but no training cells.
    scores = evaluate([0, 0, 1, 3], _prob([0, 2, 1, 0], 4), not_evaluable=["d"], classes=("a", "b", "c", "d"))
    assert scores["not_evaluable"] == ["c", "d"]
    assert scores["per_class_f1"] == {"a": 0.5, "b": 1.0, "c": None, "d": None}
    assert scores["macro_f1"] == 0.75
    assert scores["balanced_accuracy"] == 0.75
    assert scores["overall_accuracy"] == 0.5  # every cell counts here


def test_nothing_evaluable_has_no_average() -> None:
    scores = evaluate([0], _prob([0], 2), not_evaluable=["a"], classes=("a", "b"))
    assert scores["macro_f1"] is None
    assert scores["balanced_accuracy"] is None
    assert scores["overall_accuracy"] == 1.0


def test_one_class_has_no_kappa() -> None:
    assert evaluate([0, 0], _prob([0, 0]))["kappa"] is None
    assert kappa([[5, 0], [0, 5]]) == pytest.approx(1.0)
    assert kappa([[25, 25], [25, 25]]) == pytest.approx(0.0)


def test_disagreement_tells_totals_from_places() -> None:
    assert disagreement([[5, 5], [5, 5]]) == pytest.approx((0.0, 0.5))  # right totals, wrong places
    assert disagreement([[5, 5], [0, 10]]) == pytest.approx((0.25, 0.0))  # wrong totals only


def test_scores_are_safe_for_json() -> None:
    scores = evaluate([0, 1, 2], _prob([0, 1, 1]))
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores
    assert list(scores["per_class_f1"]) == list(IDS)


@pytest.mark.parametrize(
    ("truth", "prob", "words"),
    [([], np.zeros((0, 9)), "needed"), ([0, 1], np.ones((1, 9)), "needed"), ([0], np.ones((1, 3)), "needed"),
     ([-1], np.ones((1, 9)), "labelled cells only"), ([9], np.ones((1, 9)), "labelled cells only"),
     ([0], np.full((1, 9), np.nan), "not finite")],
)  # fmt: skip
def test_bad_input_raises(truth: list[int], prob: np.ndarray, words: str) -> None:
    with pytest.raises(SampleError, match=words):
        evaluate(truth, prob)


def test_unknown_class_raises() -> None:
    with pytest.raises(SampleError, match="castle"):
        evaluate([0], np.ones((1, 9)), not_evaluable=["castle"])
