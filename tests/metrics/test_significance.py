"""Intervals and tests with known answers."""

import numpy as np
import pytest
from scipy.stats import binomtest, chi2, permutation_test

from fusion.errors import SampleError
from fusion.metrics.significance import (
    block_bootstrap,
    bootstrap_statistic,
    holm,
    mcnemar,
    paired_difference,
    sign_flip,
    unpaired_difference,
)


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


def test_flips_of_three_blocks_by_hand() -> None:
    # Block sums 3, 1, 1: of the 8 sums only 3+1+1 and its negative are as far from zero as 5.
    assert sign_flip([1, 1, 1, 1, 1], ["x", "x", "x", "y", "z"]) == pytest.approx(2 / 8)
    # 3 - 1 + 1 = 3: so are those two, and both signs of 3 with one of the others: 6 of 8.
    assert sign_flip([1, 1, 1, -1, 1], ["x", "x", "x", "y", "z"]) == pytest.approx(6 / 8)


def test_one_block_that_differs_proves_nothing() -> None:
    assert sign_flip([1, 1, 0, 0], ["x", "x", "y", "z"]) == 1.0


def test_all_flips_agree_with_scipys_permutation_test() -> None:
    rng = np.random.default_rng(5)
    gap, groups = rng.normal(0.3, 1, 60), np.repeat(np.arange(10), 6)
    sums = np.bincount(groups, gap)

    expected = permutation_test(
        (sums,), lambda x: x.sum(), permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )

    assert sign_flip(gap, groups) == pytest.approx(expected.pvalue)


def test_drawn_flips_agree_with_all_flips() -> None:
    rng = np.random.default_rng(6)
    sums = rng.normal(0.4, 1, 16)  # beyond what is tried in full
    signs = np.array(np.meshgrid(*[[1, -1]] * 16)).reshape(16, -1).T
    exact = (np.abs(signs @ sums) >= abs(sums.sum()) - 1e-9).mean()

    assert sign_flip(sums, np.arange(16), flips=40_000) == pytest.approx(exact, abs=0.01)


def test_flips_hold_their_level_with_few_blocks_where_cells_would_not() -> None:
    # Two equally good models on 8 blocks of 40 cells that move together: 5 % may be called different.
    rng = np.random.default_rng(7)
    groups = np.repeat(np.arange(8), 40)
    tried = [sign_flip(rng.normal(0, 1, 8)[groups] + rng.normal(0, 1, 320), groups) for _ in range(400)]

    assert (np.array(tried) <= 0.05).mean() == pytest.approx(0.05, abs=0.025)


def test_equal_models_are_not_told_apart_by_flips() -> None:
    assert sign_flip(np.zeros(6), [0, 0, 1, 1, 2, 2]) == 1.0


def test_a_clear_difference_on_many_blocks_has_the_least_p_value() -> None:
    assert sign_flip(np.ones(90), np.repeat(np.arange(30), 3), flips=999) == pytest.approx(1 / 1000)


def test_holm_by_hand() -> None:
    # Ascending 0.01, 0.02, 0.04: times 3, 2, 1, and never below the one before.
    assert holm([0.04, 0.01, np.nan, 0.02]).tolist() == pytest.approx([0.04, 0.03, np.nan, 0.04], nan_ok=True)
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    assert np.isnan(holm([np.nan])).all()


def test_difference_of_independent_samples_is_the_normal_one() -> None:
    rng = np.random.default_rng(8)
    a, b = rng.random(1500) < 0.7, rng.random(1000) < 0.6

    found = unpaired_difference(a, np.arange(1500), b, np.arange(1000), resamples=4000)

    half = 1.96 * np.sqrt(a.mean() * (1 - a.mean()) / 1500 + b.mean() * (1 - b.mean()) / 1000)
    assert found.difference == pytest.approx(a.mean() - b.mean())
    assert (found.low, found.high) == pytest.approx((found.difference - half, found.difference + half), abs=0.004)


def test_a_statistic_of_one_mean_is_the_plain_bootstrap() -> None:
    rng = np.random.default_rng(9)
    values, groups = rng.random((200, 2)), rng.integers(0, 12, 200)

    assert bootstrap_statistic(values, groups, lambda means: means[:, 1]) == pytest.approx(
        block_bootstrap(values[:, 1], groups)
    )
    # what columns have in common cancels within each draw
    shifted = np.stack([values[:, 0], values[:, 0] + 0.25], axis=1)
    assert bootstrap_statistic(shifted, groups, lambda means: means[:, 1] - means[:, 0]) == pytest.approx((0.25, 0.25))
