"""Whether a difference is more than chance, when neighbouring cells are not independent.

Cells of one block rise and fall together, so blocks are drawn or flipped, not cells; McNemar's test, which assumes
independent samples, stands beside it for comparability (facts §4).
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from statsmodels.stats.contingency_tables import mcnemar as _mcnemar
from statsmodels.stats.multitest import multipletests

from fusion.errors import SampleError

_EXACT_BELOW = 25
_ALL_FLIPS_UP_TO = 14  # blocks: 8,192 ways to flip them, up to the sign of all
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
    return _interval(_resampled_means(values, groups, resamples, seed), level)


def bootstrap_statistic(
    columns: ArrayLike,
    groups: ArrayLike,
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return a percentile interval of what is computed from the means of several columns.

    The columns are drawn together, so that what they have in common stays in common.

    Args:
        columns: (N,k) numbers a cell, such as right or wrong of k models.
        groups: (N,) the spatial block of each cell.
        statistic: from the means (resamples,k) to (resamples,) values, such as a ratio of differences. A value that
            is not finite counts as what it is: the interval is then NaN or infinite.

    Raises:
        SampleError: as `block_bootstrap`.
    """
    return _interval(np.asarray(statistic(_resampled_means(columns, groups, resamples, seed))), level)


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


def unpaired_difference(
    a: ArrayLike,
    groups_a: ArrayLike,
    b: ArrayLike,
    groups_b: ArrayLike,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Difference:
    """Compare two means that share no cells or no training sets: mean of a minus mean of b.

    Each side's blocks are drawn on their own. Where both sides lie on the same map the interval is wider than a paired
    one would be.

    Args:
        a, b: (N,) and (M,) one number a cell.
        groups_a, groups_b: (N,) and (M,) blocks.

    Raises:
        SampleError: as `block_bootstrap`.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    means = [
        _resampled_means(values, groups, resamples, [seed, side])
        for side, (values, groups) in enumerate(((first, groups_a), (second, groups_b)))
    ]
    low, high = _interval(means[0] - means[1], level)
    blocks = min(len(np.unique(np.asarray(groups))) for groups in (groups_a, groups_b))
    return Difference(float(first.mean() - second.mean()), low, high, blocks)


def sign_flip(difference: ArrayLike, groups: ArrayLike, flips: int = 10_000, seed: int = 0) -> float:
    """Return the two-sided p-value of a paired randomisation test over spatial blocks.

    If two models are equally good, which of them is called a is arbitrary, block by block: the mean difference is as
    likely with the signs of any blocks flipped. The p-value is the share of flips whose mean is at least as far from
    zero. Exact at any number of blocks, where a percentile bootstrap needs many of them, provided that blocks are
    exchangeable under a flip (Winkler, Ridgway, Webster, Smith & Nichols, Permutation inference for the general linear
    model, NeuroImage 92, 2014). All flips are tried where they are few; else as many are drawn as asked for, with the
    observed one counted among them so that the test stays valid (Phipson & Smyth 2010, arXiv 1603.05766).

    Args:
        difference: (N,) a minus b, one number a cell.
        groups: (N,) the spatial block of each cell.
        flips: number drawn where there are too many to try.

    Raises:
        SampleError: as `block_bootstrap`.
    """
    sums, _ = _block_sums(difference, groups)
    sums = sums[sums[:, 0] != 0, 0]  # a block without a difference is the same either way
    if not len(sums):
        return 1.0
    observed = abs(sums.sum())
    nearly = observed - 1e-9 * np.abs(sums).sum()  # sums of the same numbers in another order differ in the last digit
    if len(sums) <= _ALL_FLIPS_UP_TO:
        # The sign of all changes only the sign of the sum: one half of the flips tells all.
        others = len(sums) - 1
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=others))).reshape(2**others, others)
        return float((np.abs(sums[0] + signs @ sums[1:]) >= nearly).mean())
    rng = np.random.default_rng(seed)
    reached = 1
    for start in range(0, flips, _CHUNK):
        drawn = rng.integers(2, size=(min(_CHUNK, flips - start), len(sums))) * 2.0 - 1.0
        reached += int((np.abs(drawn @ sums) >= nearly).sum())
    return reached / (flips + 1)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return p-values corrected for their number (Holm 1979), in the order given; NaN stays NaN and does not count."""
    given = np.asarray(p_values, dtype=np.float64)
    corrected = np.full(given.shape, np.nan)
    known = ~np.isnan(given)
    if known.any():
        corrected[known] = multipletests(given[known], method="holm")[1]
    return corrected


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


def _block_sums(values: ArrayLike, groups: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return sums (G,k) of the columns and sizes (G,) of the blocks; blocks are in the order of their names."""
    numbers = np.asarray(values, dtype=np.float64)
    columns = numbers[:, None] if numbers.ndim == 1 else numbers
    names, of_row = np.unique(np.asarray(groups), return_inverse=True)
    if columns.ndim != 2 or len(of_row) != len(columns) or not np.isfinite(columns).all():
        raise SampleError(
            f"{numbers.shape} values for {len(of_row)} cells in groups: one finite value a cell is needed"
        )
    if len(names) < 2:
        raise SampleError(f"{len(names)} spatial group: an interval needs at least 2, so score more of the city")
    sums = np.stack([np.bincount(of_row, column, len(names)) for column in columns.T], axis=1, dtype=np.float64)
    return sums, np.bincount(of_row).astype(np.float64)


def _resampled_means(
    values: ArrayLike, groups: ArrayLike, resamples: int, seed: int | list[int]
) -> NDArray[np.float64]:
    """Return (resamples,k) means over blocks drawn with replacement; (resamples,) for values (N,)."""
    if resamples < 1:
        raise SampleError(f"{resamples} resamples: use 1 or more")
    sums, sizes = _block_sums(values, groups)
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, sums.shape[1]))
    for start in range(0, resamples, _CHUNK):
        part = slice(start, min(start + _CHUNK, resamples))
        drawn = rng.integers(len(sizes), size=(part.stop - start, len(sizes)))
        means[part] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)[:, None]
    return means[:, 0] if np.ndim(values) == 1 else means


def _interval(means: NDArray[np.float64], level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise SampleError(f"level {level}: use one between 0 and 1")
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
