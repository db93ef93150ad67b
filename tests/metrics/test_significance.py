"""Intervals and tests with known answers."""

import numpy as np
import pytest
from scipy.stats import binomtest, chi2

from fusion.errors import SampleError
from fusion.metrics.significance import block_bootstrap, mcnemar, paired_difference


def test_two_groups_have_three_possible_means() -> None:
    # Groups of 1 and 3 cells: both first 0, mixed 3/4, both second 1; with chances 1/4, 1/2, 1/4.
    values, groups = [0, 1, 1, 1], ["x", "y", "y", "y"]
    assert block_bootstrap(values, groups) == (0.0, 1.0)
    assert block_bootstrap(values, groups, level=0.4) == (0.75, 0.75)


def test_interval_of_independent_cells_is_the_normal_one() -> None:
    rng = np.random.default_rng(1)
    values = rng.random(2000) < 0.3
    low, high = block_bootstrap(values, np.arange(2000), resamples=4000)
    half = 1.96 * np.sqrt(values.mean() * (1 - values.mean()) / 2000)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.002)


def test_blocks_that_agree_widen_the_interval() -> None:
    # 100 blocks of 25 equal cells hold 100 observations, not 2,500: the interval is 5 times as wide.
    rng = np.random.default_rng(2)
    values = np.repeat(rng.random(100) < 0.5, 25)
    wide = np.diff(block_bootstrap(values, np.repeat(np.arange(100), 25), resamples=4000))[0]
    narrow = np.diff(block_bootstrap(values, np.arange(2500), resamples=4000))[0]
    assert wide / narrow == pytest.approx(5, rel=0.1)


def test_same_seed_same_interval_whatever_the_order() -> None:
    rng = np.random.default_rng(3)
    values, groups, order = rng.random(300), rng.integers(0, 20, 300), rng.permutation(300)
    assert block_bootstrap(values, groups) == pytest.approx(block_bootstrap(values[order], groups[order]), abs=1e-12)
    assert block_bootstrap(values, groups) != block_bootstrap(values, groups, seed=1)


def test_paired_difference_sees_what_the_pair_has_in_common() -> None:
    # Cells vary a lot, the difference not at all.
    rng = np.random.default_rng(4)
    b, groups = rng.random(200), np.repeat(np.arange(20), 10)
    found = paired_difference(b + 0.1, b, groups)
    assert (found.difference, found.low, found.high, found.groups) == pytest.approx((0.1, 0.1, 0.1, 20))


def test_mcnemar_exact_is_the_binomial_test() -> None:
    a = np.array([1] * 9 + [0] * 2 + [1] * 30 + [0] * 5, dtype=bool)
    b = np.array([0] * 9 + [1] * 2 + [1] * 30 + [0] * 5, dtype=bool)
    result = mcnemar(a, b)
    assert (result.only_a, result.only_b, result.exact) == (9, 2, True)
    assert result.p_value == pytest.approx(binomtest(2, 11).pvalue)


def test_mcnemar_of_many_is_chi_squared_with_correction() -> None:
    a = np.array([1] * 40 + [0] * 20 + [1] * 30, dtype=bool)
    b = np.array([0] * 40 + [1] * 20 + [1] * 30, dtype=bool)
    result = mcnemar(a, b)
    assert not result.exact
    assert result.statistic == pytest.approx((abs(40 - 20) - 1) ** 2 / 60)
    assert result.p_value == pytest.approx(chi2.sf(19**2 / 60, 1))


def test_equal_models_do_not_differ() -> None:
    right = np.array([True, False, True])
    result = mcnemar(right, right)
    assert (result.only_a, result.only_b, result.p_value) == (0, 0, 1.0)


@pytest.mark.parametrize(
    ("values", "groups", "words"),
    [
        ([1.0, 0.0], [0, 0], "at least 2"),
        ([1.0], [0, 1], "one finite value"),
        ([np.nan, 1], [0, 1], "one finite value"),
    ],
)
def test_bad_input_raises(values: list[float], groups: list[int], words: str) -> None:
    with pytest.raises(SampleError, match=words):
        block_bootstrap(values, groups)


def test_models_scored_on_other_cells_raise() -> None:
    with pytest.raises(SampleError, match="same cells"):
        mcnemar([True], [True, False])
    with pytest.raises(SampleError, match="same cells"):
        paired_difference([1.0], [1.0, 0.0], [0, 1])
