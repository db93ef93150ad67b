import math

import numpy as np
import pytest

from fusion.errors import SampleError
from fusion.metrics.similarity import linear_cka, subspace_overlap


def orthogonal(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.linalg.qr(rng.normal(size=(size, size)))[0]


def test_cka_by_hand() -> None:
    x = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    y = np.array([[1], [-1], [0], [0]])
    # Y'X = (2, 0), X'X = 2 I, Y'Y = 2: 4 / (2 sqrt 2 * 2)
    assert linear_cka(x, y) == pytest.approx(1 / math.sqrt(2), abs=1e-12)
    # one feature each: the squared correlation, of (1, 0, -1) and (2, -1, -1)
    assert linear_cka([[1], [0], [-1]], [[2], [-1], [-1]]) == pytest.approx(3**2 / (2 * 6), abs=1e-12)


def test_cka_is_hsic_of_centred_kernels() -> None:
    """Kornblith et al. 2019, equations 2 to 4, written over samples instead of features."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(3, 1, (40, 7)), rng.normal(size=(40, 5))
    y[:, 0] += 2 * x[:, 3]
    centre = np.eye(40) - 1 / 40
    k, l = x @ x.T, y @ y.T  # noqa: E741  the paper's letters

    def hsic(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.trace(a @ centre @ b @ centre))

    expected = hsic(k, l) / math.sqrt(hsic(k, k) * hsic(l, l))
    assert linear_cka(x, y) == pytest.approx(expected, abs=1e-12)
    assert linear_cka(y, x) == pytest.approx(expected, abs=1e-12)


def test_cka_sees_no_rotation_scale_or_shift() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(50, 6)), rng.normal(size=(50, 6))
    turned = 300 * x @ orthogonal(rng, 6) - 17
    assert linear_cka(x, turned) == pytest.approx(1, abs=1e-12)
    assert linear_cka(turned, y) == pytest.approx(linear_cka(x, y), abs=1e-12)
    # but it sees a transform that stretches
    assert linear_cka(x, x * [10, 1, 1, 1, 1, 1]) < 0.8


def test_cka_of_unrelated_representations_is_what_the_docstring_says() -> None:
    rng = np.random.default_rng(2)
    for samples, width in ((4000, 5), (300, 100)):
        found = linear_cka(rng.normal(size=(samples, width)), rng.normal(size=(samples, width)))
        assert found == pytest.approx(width / (samples + width), rel=0.2)


def test_cka_of_a_constant_is_unknown() -> None:
    x = np.random.default_rng(3).normal(size=(9, 4))
    assert math.isnan(linear_cka(x, np.full((9, 2), 0.1)))
    assert math.isnan(linear_cka(np.zeros((9, 2)), x))
    assert math.isnan(linear_cka(x[:1], x[:1]))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.ones((3, 2)), np.ones((4, 2)), "same samples"),
        (np.ones(3), np.ones((3, 2)), "same samples"),
        (np.ones((0, 2)), np.ones((0, 2)), "same samples"),
        (np.array([[1.0], [np.nan]]), np.ones((2, 1)), "not finite"),
    ],
)
def test_representations_that_do_not_fit(x: np.ndarray, y: np.ndarray, message: str) -> None:
    with pytest.raises(SampleError, match=message):
        linear_cka(x, y)


def test_overlap_by_hand() -> None:
    def rows(*scaled: tuple[float, np.ndarray]) -> np.ndarray:
        return np.stack([scale * direction for scale, direction in scaled])

    x, y, z, w = np.eye(4)
    a = rows((5, x), (3, y), (0.1, z))
    assert subspace_overlap(a, rows((1, y), (0.1, w), (7, x)), 2) == pytest.approx(1, abs=1e-12)
    assert subspace_overlap(a, rows((2, z), (1, w)), 2) == pytest.approx(0, abs=1e-12)
    assert subspace_overlap(a, rows((2, y), (1, w)), 2) == pytest.approx(0.5, abs=1e-12)
    # 30 degrees off the first direction
    tilted = math.cos(math.pi / 6) * x + math.sin(math.pi / 6) * w
    assert subspace_overlap(a, rows((1, tilted)), 1) == pytest.approx(0.75, abs=1e-12)


def test_overlap_is_of_what_is_read_not_of_what_is_made_of_it() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(12, 8)), rng.normal(size=(20, 8))
    expected = subspace_overlap(a, b, 3)
    assert subspace_overlap(-4 * orthogonal(rng, 12) @ a, b, 3) == pytest.approx(expected, abs=1e-12)
    assert subspace_overlap(b, a, 3) == pytest.approx(expected, abs=1e-12)


def test_random_subspaces_overlap_by_rank_over_width() -> None:
    rng = np.random.default_rng(5)
    found = [subspace_overlap(rng.normal(size=(20, 16)), rng.normal(size=(20, 16)), 4) for _ in range(200)]
    assert np.mean(found) == pytest.approx(4 / 16, abs=0.02)


@pytest.mark.parametrize(
    ("a", "b", "rank", "message"),
    [
        (np.ones((3, 4)), np.ones((3, 5)), 1, "same features"),
        (np.ones((3, 4)), np.ones((5, 4)), 4, "give 1 to 3"),
        (np.ones((3, 4)), np.ones((5, 4)), 0, "give 1 to 3"),
        (np.full((3, 4), np.inf), np.ones((5, 4)), 1, "not finite"),
    ],
)
def test_weights_that_do_not_fit(a: np.ndarray, b: np.ndarray, rank: int, message: str) -> None:
    with pytest.raises(SampleError, match=message):
        subspace_overlap(a, b, rank)
