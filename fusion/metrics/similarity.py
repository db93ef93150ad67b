"""How alike two streams are: linear CKA of what they represent, overlap of the subspaces that their weights read."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import subspace_angles

from fusion.errors import SampleError


def linear_cka(x: ArrayLike, y: ArrayLike) -> float:
    """Return the linear centred kernel alignment of two representations of the same samples, 0 to 1.

    ||Y'X||_F^2 / (||X'X||_F ||Y'Y||_F) with centred columns (Kornblith et al., ICML 2019, arXiv 1905.00414, eq. 4 with
    linear kernels). It does not see orthogonal transforms, isotropic scaling and shifts of either. It is biased upwards
    for few samples: unrelated representations of as many equally strong features D have about D / (N + D), so compare
    it with that of the same rows in another order.

    Args:
        x, y: (N,D) and (N,E), row i of both of the same sample.

    Returns:
        NaN where either is constant: there is nothing to compare.

    Raises:
        SampleError: no rows, shapes that do not fit, or values that are not finite.
    """
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b) or not len(a):
        raise SampleError(f"representations {a.shape} and {b.shape}: (N,D) and (N,E) of the same samples are needed")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise SampleError("a representation is not finite, so nothing is like it: look at the network's weights")
    centred_a, centred_b = _centred(a), _centred(b)
    if centred_a is None or centred_b is None:
        return float("nan")
    shared = np.square(centred_b.T @ centred_a).sum()
    return float(shared / (np.linalg.norm(centred_a.T @ centred_a) * np.linalg.norm(centred_b.T @ centred_b)))


def subspace_overlap(a: ArrayLike, b: ArrayLike, rank: int) -> float:
    """Return how far two weight matrices read the same directions, 0 (none) to 1 (all).

    The mean squared cosine of the principal angles between their leading right singular subspaces (Bjorck & Golub
    1973). Two random subspaces of R^D overlap by r / D on average.

    Args:
        a, b: (M,D) and (K,D), both acting on D.
        rank: r, singular vectors that span a subspace.

    Raises:
        SampleError: shapes that do not fit, a rank beyond them, or values that are not finite.
    """
    weights = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    shapes = [weight.shape for weight in weights]
    if any(len(shape) != 2 for shape in shapes) or shapes[0][1] != shapes[1][1]:
        raise SampleError(f"weights {shapes[0]} and {shapes[1]} do not act on the same features: (M,D) and (K,D)")
    if not 1 <= rank <= min(map(min, shapes)):
        raise SampleError(f"rank {rank} of weights {shapes[0]} and {shapes[1]}: give 1 to {min(map(min, shapes))}")
    if not all(np.isfinite(weight).all() for weight in weights):
        raise SampleError("a weight is not finite, so it spans no subspace: look at the network's training")
    leading = [np.linalg.svd(weight, full_matrices=False)[2][:rank].T for weight in weights]
    return float(np.mean(np.square(np.cos(subspace_angles(*leading)))))


def _centred(x: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return x (N,D) with columns of mean 0 and its largest entry 1, or None where it is constant up to rounding."""
    centred = x - x.mean(axis=0)
    largest = np.abs(centred).max(initial=0.0)
    if largest <= len(x) * np.finfo(np.float64).eps * np.abs(x).max(initial=0.0):
        return None
    return centred / largest
