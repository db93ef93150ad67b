"""Selections as links spell them."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from fusion.errors import InputError
from fusion.geo import grid
from pages.ui.state import expand, pack, unpack

CENTRE = int(grid.cells_at([113.65], [34.75], 9)[0])
AROUND = [int(cell) for cell in grid.disk(CENTRE, 6)]
PARENT = int(grid.parents([CENTRE], 1)[0])
SIBLINGS = [cell for cell in AROUND if int(grid.parents([cell], 1)[0]) == PARENT]


def test_a_whole_family_is_spelled_as_its_parent_without_filler() -> None:
    assert len(SIBLINGS) == 7

    text = pack(SIBLINGS)

    assert text == grid.to_hex([PARENT])[0].rstrip("f")
    assert sorted(expand(unpack(text), 9)) == sorted(SIBLINGS)


@given(some.sets(some.sampled_from(AROUND), min_size=1))
def test_any_selection_comes_back(chosen: set[int]) -> None:
    assert set(expand(unpack(pack(list(chosen))), 9)) == chosen


def test_full_h3_spelling_is_read_too() -> None:
    assert unpack(grid.to_hex([CENTRE])[0]) == [CENTRE]


def test_a_token_that_stands_for_millions_is_turned_away() -> None:
    continent = grid.to_hex(grid.parents([CENTRE], 8))[0].rstrip("f")

    with pytest.raises(InputError, match="more cells than a city has"):
        expand(unpack(continent), 9)


@pytest.mark.parametrize("text", ["zebra", "", "..", "ffff"])
def test_what_is_no_cell_is_said(text: str) -> None:
    with pytest.raises(InputError, match="not an H3 cell"):
        unpack(text)
