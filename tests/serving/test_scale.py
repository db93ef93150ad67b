"""Colour scales: round edges, ascending, few enough to read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from fusion.serving.scale import DIVERGING, SEQUENTIAL, round_edge, scale_of, value_scale


@pytest.mark.parametrize(
    ("value", "expected"), [(1.2, 1.0), (1.3, 1.5), (0.047, 0.05), (7.1, 8.0), (9.5, 10.0), (3400, 3000), (26.0, 30.0)]
)
def test_an_edge_is_round(value: float, expected: float) -> None:
    assert round_edge(value) == pytest.approx(expected)


def test_a_value_on_an_edge_belongs_above_it() -> None:
    scale = value_scale(np.arange(1.0, 1001))

    assert scale.steps([scale.edges[0] - 1e-9, scale.edges[0]]).tolist() == [0, 1]
    assert scale.steps([0.0, 1e9]).tolist() == [0, len(scale.colours) - 1]


def test_values_without_spread_get_one_edge_and_the_ends_of_the_ramp() -> None:
    scale = value_scale(np.full(50, 20.0))

    assert scale.edges == (20.0,)
    assert scale.colours == (SEQUENTIAL[0], SEQUENTIAL[-1])


def test_no_values_make_one_step() -> None:
    assert value_scale(np.zeros(9)).edges == ()


@given(some.lists(some.floats(1e-6, 1e9), min_size=1, max_size=60))
def test_edges_ascend_and_colours_are_one_more(values: list[float]) -> None:
    scale = value_scale(np.array(values))

    assert list(scale.edges) == sorted(set(scale.edges))
    assert len(scale.colours) == len(scale.edges) + 1
    assert len(set(scale.colours)) == len(scale.colours)


def test_the_ratio_scale_is_symmetric(miniature) -> None:
    scale = scale_of(miniature, "people", view="usual")

    assert scale.colours == DIVERGING
    assert np.allclose(np.log(scale.edges), -np.log(scale.edges)[::-1])
    assert scale.steps([1.0]).tolist() == [scale.faint]
