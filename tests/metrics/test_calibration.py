"""Calibration with known answers."""

import numpy as np
import pytest
from scipy.special import log_softmax

from fusion.errors import SampleError
from fusion.metrics.calibration import apply_temperature, ece, fit_temperature, reliability


def _draw(count: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    """Draw logits and labels that follow exactly their softmax."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(count, 4)) * 1.5
    prob = np.exp(log_softmax(logits, axis=1))
    return logits, (prob.cumsum(axis=1) > rng.random((count, 1))).argmax(axis=1)


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_temperature_undoes_a_known_factor(factor: float) -> None:
    logits, labels = _draw()
    assert fit_temperature(log_softmax(logits * factor, axis=1), labels) == pytest.approx(factor, rel=0.02)


def test_temperature_mends_overconfidence_and_keeps_the_ranking() -> None:
    logits, labels = _draw()
    over = log_softmax(logits * 3, axis=1)
    mended = apply_temperature(over, fit_temperature(over, labels))
    assert ece(np.exp(over), labels) > 0.1
    assert ece(mended, labels) < 0.015
    np.testing.assert_array_equal(mended.argmax(axis=1), over.argmax(axis=1))


def test_two_rows_by_hand() -> None:
    # Log-odds 2 for a; right 3 times of 4, so the best odds are 3 = exp(2 / T).
    logits = np.tile([[2.0, 0.0]], (4, 1))
    assert fit_temperature(logits, [0, 0, 0, 1]) == pytest.approx(2 / np.log(3), rel=1e-4)


def test_temperature_stays_in_its_range() -> None:
    assert fit_temperature([[1.0, 0.0]] * 3, [0, 0, 0]) == pytest.approx(0.05, rel=1e-3)
    assert fit_temperature([[1.0, 0.0]] * 3, [1, 1, 1]) == pytest.approx(20, rel=1e-3)


def test_reliability_by_hand() -> None:
    prob = [[0.55, 0.45], [0.6, 0.4], [0.95, 0.05], [0.1, 0.9], [0.0, 1.0]]
    table = reliability(prob, [0, 1, 0, 1, 0], bins=5)
    np.testing.assert_allclose(table["high"], [0.2, 0.4, 0.6, 0.8, 1.0])
    np.testing.assert_array_equal(table["count"], [0, 0, 2, 0, 3])
    np.testing.assert_allclose(table["confidence"], [np.nan, np.nan, 0.575, np.nan, 0.95])
    np.testing.assert_allclose(table["accuracy"], [np.nan, np.nan, 0.5, np.nan, 2 / 3])
    assert ece(prob, [0, 1, 0, 1, 0], bins=5) == pytest.approx((2 * 0.075 + 3 * (0.95 - 2 / 3)) / 5)


def test_weights_stand_for_repeated_rows() -> None:
    prob, labels = _draw(300)
    prob, times = np.exp(log_softmax(prob, axis=1)), np.arange(300) % 4 + 1

    weighted = reliability(prob, labels, weights=times / 3)

    repeated = reliability(prob.repeat(times, axis=0), labels.repeat(times))
    for column in ("confidence", "accuracy"):
        np.testing.assert_allclose(weighted[column], repeated[column])
    np.testing.assert_allclose(3 * weighted["weight"], repeated["count"])
    np.testing.assert_array_equal(weighted["count"], reliability(prob, labels)["count"])
    assert ece(prob, labels, weights=times / 3) == pytest.approx(ece(prob.repeat(times, axis=0), labels.repeat(times)))
    assert ece(prob, labels, weights=np.full(300, 0.2)) == pytest.approx(ece(prob, labels))


def test_perfect_calibration_has_no_error() -> None:
    prob = np.tile([[0.75, 0.25]], (8, 1))
    assert ece(prob, [0, 0, 0, 1] * 2) == pytest.approx(0)


@pytest.mark.parametrize(
    ("log_prob", "labels"), [(np.zeros((0, 2)), []), (np.zeros((2, 2)), [0]), ([[-np.inf, 0.0]], [0])]
)
def test_bad_input_raises(log_prob: np.ndarray, labels: list[int]) -> None:
    with pytest.raises(SampleError):
        fit_temperature(log_prob, labels)


def test_bad_reliability_input_raises() -> None:
    with pytest.raises(SampleError, match="needed"):
        reliability(np.zeros((2, 2)), [0])
    for weights in ([1.0], [1.0, 0.0], [1.0, np.nan]):
        with pytest.raises(SampleError, match="one above 0 a label"):
            ece(np.ones((2, 2)), [0, 0], weights=weights)
    with pytest.raises(SampleError, match="above 0"):
        apply_temperature([[0.0, 1.0]], 0.0)


def test_confidence_on_an_edge_counts_below_it() -> None:
    table = reliability([[0.75, 0.25], [0.25, 0.75]], [0, 0], bins=4)
    np.testing.assert_array_equal(table["count"], [0, 0, 2, 0])


@pytest.mark.parametrize("bins", [5, 15])
def test_error_agrees_with_torchmetrics(bins: int) -> None:
    import torch

    from fusion.models import torchvision_guard  # noqa: F401  before torchmetrics

    # isort: split
    from torchmetrics.functional.classification import multiclass_calibration_error

    logits, labels = _draw(5_000)
    prob = apply_temperature(logits * 2.5, 1.0)

    expected = multiclass_calibration_error(torch.tensor(prob), torch.tensor(labels), 4, n_bins=bins, norm="l1")

    assert ece(prob, labels, bins) == pytest.approx(float(expected), abs=1e-6)
