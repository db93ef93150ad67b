"""Scores of one set of predictions, as a map is judged (facts §4)."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import confusion_matrix, f1_score, recall_score

from fusion.classes import IDS
from fusion.errors import SampleError


def evaluate(
    y_true: ArrayLike, prob: ArrayLike, not_evaluable: Iterable[str] = (), classes: Sequence[str] = IDS
) -> dict[str, Any]:
    """Score probabilities against the truth.

    Args:
        y_true: (N,) class indices.
        prob: (N,classes) probabilities; the largest is the prediction.
        not_evaluable: ids of classes that cannot be judged here (no training cells); those absent from `y_true` are
            added. They are left out of the averages over classes and their F1 is None.
        classes: the ids, in the order of the columns.

    Returns:
        n_test, overall_accuracy, balanced_accuracy (mean recall) and macro_f1 over the evaluable classes,
        per_class_f1 {id: F1 or None}, not_evaluable (ids, in class order), confusion (list of rows: true by
        predicted), kappa (None where chance agreement is 1), quantity_disagreement, allocation_disagreement. JSON-safe.

    Raises:
        SampleError: no rows, shapes that do not fit, an index or a number that is no class or no probability.
    """
    truth, probability = _check(y_true, prob, len(classes))
    unknown = set(not_evaluable) - set(classes)
    if unknown:
        raise SampleError(f"{', '.join(sorted(unknown))} named as not evaluable: the classes are {', '.join(classes)}")
    predicted = probability.argmax(axis=1)
    excluded = set(not_evaluable) | {classes[index] for index in set(range(len(classes))) - set(truth.tolist())}
    judged = [index for index, name in enumerate(classes) if name not in excluded]
    confusion = confusion_matrix(truth, predicted, labels=np.arange(len(classes)))
    per_class: dict[str, float | None] = dict.fromkeys(classes)
    macro = balanced = None
    if judged:
        scores = f1_score(truth, predicted, labels=judged, average=None, zero_division=0.0)
        per_class |= {classes[index]: float(score) for index, score in zip(judged, scores, strict=True)}
        macro = float(np.mean(scores))
        balanced = float(recall_score(truth, predicted, labels=judged, average="macro", zero_division=0.0))
    quantity, allocation = disagreement(confusion)
    return {
        "n_test": len(truth),
        "overall_accuracy": float((predicted == truth).mean()),
        "balanced_accuracy": balanced,
        "macro_f1": macro,
        "per_class_f1": per_class,
        "not_evaluable": [name for name in classes if name in excluded],
        "confusion": confusion.tolist(),
        "kappa": kappa(confusion),
        "quantity_disagreement": quantity,
        "allocation_disagreement": allocation,
    }


def kappa(confusion: ArrayLike) -> float | None:
    """Return Cohen's kappa of a confusion matrix (classes,classes) of counts; None where chance agreement is 1.

    For comparability only: see `disagreement`.
    """
    share = _shares(confusion)
    chance = float(share.sum(axis=0) @ share.sum(axis=1))
    return None if chance >= 1 - 1e-12 else float((np.trace(share) - chance) / (1 - chance))


def disagreement(confusion: ArrayLike) -> tuple[float, float]:
    """Split the error of a confusion matrix (classes,classes) of counts, rows true, columns predicted.

    Pontius & Millones, "Death to Kappa", Int. J. Remote Sensing 32(15), 2011: quantity disagreement is what wrong
    class totals alone make wrong, allocation disagreement what wrong places alone do; they add up to 1 - accuracy.

    Returns:
        `(quantity, allocation)`, shares of all cells.
    """
    share = _shares(confusion)
    truth, predicted = share.sum(axis=1), share.sum(axis=0)
    quantity = float(np.abs(truth - predicted).sum() / 2)
    return quantity, float(np.minimum(truth - np.diag(share), predicted - np.diag(share)).sum())


def _shares(confusion: ArrayLike) -> NDArray[np.float64]:
    matrix = np.asarray(confusion, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.sum() > 0:
        raise SampleError(f"a confusion matrix of shape {matrix.shape} with sum {matrix.sum()}: give square counts")
    return matrix / matrix.sum()


def _check(y_true: ArrayLike, prob: ArrayLike, classes: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    truth, probability = np.asarray(y_true), np.asarray(prob, dtype=np.float64)
    if truth.ndim != 1 or not len(truth) or probability.shape != (len(truth), classes):
        raise SampleError(f"truth {truth.shape} and probabilities {probability.shape}: (N,) and (N,{classes}) needed")
    if not 0 <= truth.min() <= truth.max() < classes:
        raise SampleError(f"true classes go from {truth.min()} to {truth.max()}: score labelled cells only")
    if not np.isfinite(probability).all() or probability.min() < -1e-6:
        raise SampleError("probabilities are not finite or negative: train the model again")
    return truth.astype(np.int64), probability
