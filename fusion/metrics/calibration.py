"""Whether 70 % confidence is right 70 % of the time, and the one-number correction that mends it.

Guo, Pleiss, Sun & Weinberger, On Calibration of Modern Neural Networks, ICML 2017, arXiv 1706.04599.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from fusion.errors import SampleError

BINS = 15
_TEMPERATURES = (0.05, 20.0)


def fit_temperature(log_prob: ArrayLike, y_true: ArrayLike) -> float:
    """Return the temperature that minimises the negative log-likelihood, between 0.05 and 20.

    Fit on the validation fold, never on test.

    Args:
        log_prob: (N,classes) log-probabilities or logits.
        y_true: (N,) class indices.

    Raises:
        SampleError: no rows, or a true class that a finite log-probability does not cover.
    """
    logits, truth = np.asarray(log_prob, dtype=np.float64), np.asarray(y_true, dtype=np.int64)
    if logits.ndim != 2 or logits.shape[0] != len(truth) or not len(truth):
        raise SampleError(f"log-probabilities {logits.shape} for {truth.shape} labels: (N,classes) and (N,) are needed")
    rows = np.arange(len(truth))
    if not np.isfinite(logits[rows, truth]).all():
        raise SampleError("a true class has probability 0, no temperature mends that: give clipped log-probabilities")

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature), axis=1)[rows, truth].mean())

    found = minimize_scalar(loss, bounds=np.log(_TEMPERATURES), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def apply_temperature(log_prob: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """Return softmax(log_prob / temperature), (N,classes)."""
    if not temperature > 0:
        raise SampleError(f"temperature {temperature}: it must be above 0")
    return np.asarray(softmax(np.asarray(log_prob, dtype=np.float64) / temperature, axis=1))


def reliability(
    prob: ArrayLike, y_true: ArrayLike, bins: int = BINS, weights: ArrayLike | None = None
) -> dict[str, NDArray[np.float64]]:
    """Tabulate confidence against accuracy.

    Args:
        prob: (N,classes) probabilities.
        y_true: (N,) class indices.
        bins: number of equal bins of confidence over 0 to 1, each open below and closed above.
        weights: (N,) what each row counts for, above 0; all alike by default.

    Returns:
        Columns of length `bins`: low, high, count (rows), weight (the sum of theirs), confidence (weighted mean),
        accuracy; the last two NaN in an empty bin.

    Raises:
        SampleError: no rows, shapes that do not fit, or a weight that is not above 0.
    """
    probability, truth = np.asarray(prob, dtype=np.float64), np.asarray(y_true, dtype=np.int64)
    if probability.ndim != 2 or probability.shape[0] != len(truth) or not len(truth):
        raise SampleError(f"probabilities {probability.shape} for {truth.shape} labels: (N,classes) and (N,) needed")
    share = np.ones(len(truth)) if weights is None else np.asarray(weights, dtype=np.float64)
    if share.shape != truth.shape or not (share > 0).all():
        raise SampleError(f"weights {share.shape} for {truth.shape} labels: one above 0 a label is needed")
    confidence = probability.max(axis=1)
    right = probability.argmax(axis=1) == truth
    edges = np.linspace(0, 1, bins + 1)
    at = (np.searchsorted(edges, confidence, side="left") - 1).clip(0, bins - 1)
    weight = np.bincount(at, share, bins).astype(np.float64)
    known = np.where(weight > 0, weight, np.nan)
    return {
        "low": edges[:-1],
        "high": edges[1:],
        "count": np.bincount(at, minlength=bins).astype(np.float64),
        "weight": weight,
        "confidence": np.bincount(at, share * confidence, bins) / known,
        "accuracy": np.bincount(at, share * right, bins) / known,
    }


def ece(prob: ArrayLike, y_true: ArrayLike, bins: int = BINS, weights: ArrayLike | None = None) -> float:
    """Return the expected calibration error: |accuracy - confidence| averaged over the bins' members.

    Args and Raises: as of `reliability`.
    """
    table = reliability(prob, y_true, bins, weights)
    filled = table["count"] > 0
    gap = np.abs(table["accuracy"][filled] - table["confidence"][filled])
    return float((gap * table["weight"][filled]).sum() / table["weight"].sum())
