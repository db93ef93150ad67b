"""Arithmetic against independent implementations."""

import numpy as np
import pytest
from scipy import stats

from fusion.synthetic.exact import exponential, lattice, normals, poisson, scramble


def test_exponential_agrees_with_libm():
    x = np.linspace(-24, 24, 1001)
    assert exponential(x) == pytest.approx(np.exp(x), rel=2e-7)


def test_scramble_is_murmur3_finaliser():
    # fmix32 by hand in Python's integers, for salt 0.
    def by_hand(h: int) -> int:
        h = (h + 0x7F4A7C15) & 0xFFFFFFFF
        h ^= h >> 16
        h = h * 0x85EBCA6B & 0xFFFFFFFF
        h ^= h >> 13
        h = h * 0xC2B2AE35 & 0xFFFFFFFF
        return h ^ (h >> 16)

    values = np.array([0, 1, 2, 12345, -7])
    assert scramble(values).tolist() == [by_hand(int(v) & 0xFFFFFFFF) for v in values]


def test_normals_are_nearly_normal():
    z = normals(np.random.default_rng(0), (200_000,))
    assert z.mean() == pytest.approx(0, abs=0.01)
    assert z.std() == pytest.approx(1, abs=0.01)
    assert stats.kstest(z, "norm").statistic < 0.01


@pytest.mark.parametrize("mean", [0.0, 0.4, 3.0, 15.5, 23.9, 24.1, 180.0])
def test_poisson_has_its_distribution(mean):
    draws = poisson(np.random.default_rng(1), np.full(100_000, mean))
    grid = np.arange(0, int(mean + 10 * np.sqrt(mean) + 5))
    empirical = np.searchsorted(np.sort(draws), grid, side="right") / len(draws)
    # Exact below 24 but for the scatter of 100,000 draws; above, the normal lacks skew: up to 0.4 / (6 sqrt(mean)).
    allowed = 0.006 + (0.4 / (6 * np.sqrt(mean)) if mean >= 24 else 0.0)
    assert np.abs(empirical - stats.poisson.cdf(grid, mean)).max() < allowed


def test_noise_depends_on_the_point_alone():
    rng = np.random.default_rng(2)
    x, y = (rng.uniform(-3000, 3000, 500).astype(np.float32) for _ in range(2))
    whole = lattice(5, 37.0, x, y)
    apart = [lattice(5, 37.0, x[i : i + 1], y[i : i + 1])[0] for i in range(500)]
    assert whole.tolist() == apart
    assert 0 <= whole.min() < 0.1
    assert 0.9 < whole.max() < 1


def test_noise_is_smooth():
    x = np.arange(0, 4000, 0.25, dtype=np.float32)
    steps = np.abs(np.diff(lattice(6, 40.0, x, np.zeros_like(x))))
    # Smoothstep between values in [0, 1) climbs at most 1.5 / spacing.
    assert steps.max() <= 1.5 * 0.25 / 40 + 1e-4
