"""Whether a difference is more than chance, when neighbouring cells are not independent.

Cells of one block rise and fall together, so blocks are drawn, not cells; McNemar's test, which assumes independent
samples, stands beside it for comparability (facts §4).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from statsmodels.stats.contingency_tables import mcnemar as _mcnemar

from fusion.errors import SampleError

_EXACT_BELOW = 25
_CHUNK = 256


@dataclass(frozen=True)
class Difference:
    """Mean of a - b and its interval from a block bootstrap over `groups` blocks."""

    difference: float
    low: float
    high: float
    groups: int


@dataclass(frozen=True)
class McNemar:
    """`only_a`, `only_b`: cells that one model alone gets right; `exact` says whether the binomial test was used."""

    only_a: int
    only_b: int
    statistic: float
    p_value: float
    exact: bool


def block_bootstrap(
    values: ArrayLike, groups: ArrayLike, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Return a percentile interval of the mean, drawing whole spatial groups with replacement.

    Args:
        values: (N,) one number a cell, such as right (1) or wrong (0), or a paired difference of two models.
        groups: (N,) the spatial block of each cell, such as its H3 parent.
        level: coverage of the interval.

    Raises:
        SampleError: shapes that do not fit, values that are not finite, or fewer than two groups.
    """
    numbers = np.asarray(values, dtype=np.float64)
    names, of_row = np.unique(np.asarray(groups), return_inverse=True)
    if numbers.ndim != 1 or len(of_row) != len(numbers) or not np.isfinite(numbers).all():
        raise SampleError(
            f"{numbers.shape} values for {len(of_row)} cells in groups: one finite value a cell is needed"
        )
    if len(names) < 2:
        raise SampleError(f"{len(names)} spatial group: an interval needs at least 2, so score more of the city")
    if not 0 < level < 1 or resamples < 1:
        raise SampleError(f"level {level}, {resamples} resamples: use a level between 0 and 1 and 1 or more resamples")
    sums, sizes = np.bincount(of_row, numbers), np.bincount(of_row)
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    for start in range(0, resamples, _CHUNK):
        part = slice(start, min(start + _CHUNK, resamples))
        drawn = rng.integers(len(names), size=(part.stop - start, len(names)))
        means[part] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_difference(
    a: ArrayLike, b: ArrayLike, groups: ArrayLike, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Difference:
    """Compare two models on the same cells: mean of a - b with a block bootstrap interval.

    Args:
        a, b: (N,) one number a cell and model, such as right (1) or wrong (0), or the mean of that over seeds.

    Raises:
        SampleError: as `block_bootstrap`.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    _check_pair(first, second)
    gap = first - second
    low, high = block_bootstrap(gap, groups, level, resamples, seed)
    return Difference(float(gap.mean()), low, high, len(np.unique(np.asarray(groups))))


def mcnemar(right_a: ArrayLike, right_b: ArrayLike) -> McNemar:
    """Test whether two models that judged the same cells err equally often (McNemar 1947).

    Exact binomial below 25 cells that they disagree on, else chi-squared with continuity correction.

    Args:
        right_a, right_b: (N,) whether each model is right.

    Raises:
        SampleError: shapes that do not fit, or no cells.
    """
    a, b = np.asarray(right_a, dtype=bool), np.asarray(right_b, dtype=bool)
    _check_pair(a, b)
    only_a, only_b = int((a & ~b).sum()), int((~a & b).sum())
    exact = only_a + only_b < _EXACT_BELOW
    table = [[int((a & b).sum()), only_a], [only_b, int((~a & ~b).sum())]]
    result = _mcnemar(table, exact=exact, correction=True)
    return McNemar(only_a, only_b, float(result.statistic), min(float(result.pvalue), 1.0), exact)


def _check_pair(a: NDArray, b: NDArray) -> None:
    if a.ndim != 1 or a.shape != b.shape or not len(a):
        raise SampleError(f"models scored on {a.shape} and {b.shape} cells: score both on the same cells")
