"""Cells, parents and neighbourhoods against H3's published examples, its bit layout and its grid distance."""

import h3.api.basic_int as h3
import numpy as np
import pytest
import shapely

from fusion.errors import InputError
from fusion.geo import grid

ZHENGZHOU = (113.65, 34.76)


@pytest.fixture(scope="module")
def centre() -> int:
    return int(grid.cells_at([ZHENGZHOU[0]], [ZHENGZHOU[1]], 9)[0])


def parent_by_hand(cell: int, levels: int) -> int:
    """H3's layout: four bits of resolution from bit 52 on, then digits of three bits, 7 beyond the resolution."""
    resolution = (cell >> 52) & 0xF
    parent = cell & ~(0xF << 52) | ((resolution - levels) << 52)
    for digit in range(resolution - levels + 1, resolution + 1):
        parent |= 0x7 << (3 * (15 - digit))
    return parent


def test_cells_are_those_of_the_h3_documentation():
    """h3geo.org: the quick start (resolution 9, San Francisco) and the bindings' example (resolution 5)."""
    assert grid.to_hex(grid.cells_at([-122.418307270836565], [37.7752702151959257], 9)) == ["8928308280fffff"]
    assert grid.to_hex(grid.cells_at([-122.0553238], [37.3615593], 5)) == ["85283473fffffff"]


def test_a_cell_holds_its_points():
    random = np.random.default_rng(1)
    lon, lat = random.uniform(113.4, 113.9, 200), random.uniform(34.6, 34.9, 200)
    rings = grid.boundaries(grid.cells_at(lon, lat, 9))
    inside = [shapely.Polygon(ring).contains(shapely.Point(x, y)) for ring, x, y in zip(rings, lon, lat, strict=True)]
    assert all(inside)


def test_parents_follow_the_bit_layout(centre):
    cells = grid.disk(centre, 6)
    for levels in (1, 2, 5):
        assert grid.parents(cells, levels).tolist() == [parent_by_hand(cell, levels) for cell in cells.tolist()]
    assert grid.to_hex(grid.parents(grid.from_hex(["8928308280fffff"]), 1)) == ["8828308281fffff"]


def test_parents_at_own_resolution_is_the_cell(centre):
    assert grid.parents_at([centre], 9).tolist() == [centre]
    with pytest.raises(InputError, match="no parents at resolution 10"):
        grid.parents_at([centre], 10)


def test_centres_index_back(centre):
    cells = grid.disk(centre, 4)
    assert grid.cells_at(*grid.centres(cells), 9).tolist() == cells.tolist()


@pytest.mark.parametrize("k", [1, 2, 3])
def test_neighbourhoods_are_the_disk_by_grid_distance(centre, k):
    places = grid.disk(centre, 8)
    cells = grid.disk(centre, 2)
    rows = grid.neighbourhoods(cells, places, k)
    assert rows.shape == (len(cells), 2 * k + 1, 2 * k + 1)
    for cell, window in zip(cells.tolist(), rows, strict=True):
        found = places[window[window >= 0]].tolist()
        wanted = [place for place in places.tolist() if h3.grid_distance(cell, place) <= k]
        assert sorted(found) == sorted(wanted)
        assert places[window[k, k]] == cell


def test_neighbourhoods_lie_on_the_axes(centre):
    """The distance on H3's IJ axes is max(|i|, |j|, |i - j|); each entry lies that far from the centre."""
    k, places = 3, grid.disk(centre, 8)
    window = grid.neighbourhoods([centre], places, k)[0]
    i, j = np.mgrid[-k : k + 1, -k : k + 1]
    by_hand = np.maximum(np.maximum(abs(i), abs(j)), abs(i - j))
    assert ((window >= 0) == (by_hand <= k)).all()
    distance = [h3.grid_distance(centre, cell) for cell in places[window[window >= 0]].tolist()]
    assert distance == by_hand[window >= 0].tolist()
    assert (grid.HEX_MASK_3x3 == (by_hand[k - 1 : k + 2, k - 1 : k + 2] <= 1)).all()


def test_neighbouring_windows_agree(centre):
    """One step along an axis is the same cell in the neighbour's window."""
    places = grid.disk(centre, 8)
    window = grid.neighbourhoods([centre], places, 2)[0]
    other = grid.neighbourhoods([int(places[window[3, 2]])], places, 2)[0]
    both = (window[1:] >= 0) & (other[:-1] >= 0)
    assert both.sum() > 10
    assert (window[1:][both] == other[:-1][both]).all()


def test_cells_outside_the_city_are_minus_one(centre):
    places = grid.disk(centre, 1)
    window = grid.neighbourhoods([centre], places, 2)[0]
    assert (window >= 0).sum() == 7
    assert (grid.neighbourhoods([centre], np.zeros(0, dtype=np.uint64), 1) == -1).all()


def test_cells_in_bounds_have_their_centres_there():
    bounds = (113.6, 34.7, 113.65, 34.74)
    cells = grid.cells_in_bounds(bounds, 9)
    lon, lat = grid.centres(cells)
    assert ((lon >= bounds[0]) & (lon <= bounds[2]) & (lat >= bounds[1]) & (lat <= bounds[3])).all()
    assert (np.diff(cells.astype(object)) > 0).all()
    around = np.unique(np.concatenate([grid.disk(cell, 1) for cell in cells.tolist()]))
    lon, lat = grid.centres(np.setdiff1d(around, cells))
    assert not ((lon > bounds[0]) & (lon < bounds[2]) & (lat > bounds[1]) & (lat < bounds[3])).any()


def test_utm_zone_of_zhengzhou_is_49_north():
    assert grid.utm_crs(*ZHENGZHOU).to_epsg() == 32649
    assert grid.utm_crs(-43.2, -22.9).to_epsg() == 32723


def test_neighbours_at_zhengzhou_lie_about_310_m_apart(centre):
    crs = grid.utm_crs(*ZHENGZHOU)
    x, y = grid.project(*grid.centres(grid.ring(centre, 1)), crs)
    x0, y0 = grid.project(*grid.centres([centre]), crs)
    assert np.hypot(x - x0, y - y0).mean() == pytest.approx(310, abs=10)


@pytest.mark.parametrize(("lon", "lat"), [(np.nan, 34.0), (113.0, np.inf), (181.0, 0.0), (34.7, 113.6)])
def test_points_that_are_none_are_refused(lon, lat):
    with pytest.raises(InputError, match="point 1 has longitude"):
        grid.cells_at([113.6, lon], [34.7, lat], 9)


def test_bad_resolution_and_bad_texts_are_refused():
    with pytest.raises(InputError, match="resolution 16 does not exist"):
        grid.cells_at([113.6], [34.7], 16)
    with pytest.raises(InputError, match="item 1, 'x', is not an H3 cell"):
        grid.from_hex(["8928308280fffff", "x"])


@pytest.mark.parametrize("text", ["617700169958293503", "-1", "-8928308280fffff", "f" * 20, "f" * 16, ""])
def test_numbers_that_are_no_cells_are_refused(text):
    """Decimal, negative, or of more than 64 bits: H3 itself fails on these instead of saying no."""
    with pytest.raises(InputError, match=f"item 0, '{text}', is not an H3 cell: give hexadecimal H3 indexes such as"):
        grid.from_hex([text])
