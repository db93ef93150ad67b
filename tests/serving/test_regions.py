"""Polygons and lists of cells that a user brings."""

import json

import numpy as np
import pytest

from fusion.errors import InputError
from fusion.geo import grid
from fusion.serving.regions import cells_within, read_cells, read_polygons, ring_cells

CENTRE = int(grid.cells_at([113.65], [34.75], 9)[0])
CELLS = grid.disk(CENTRE, 5)
SQUARE = [[113.64, 34.74], [113.66, 34.74], [113.66, 34.76], [113.64, 34.76], [113.64, 34.74]]


def _inside() -> np.ndarray:
    lon, lat = grid.centres(CELLS)
    return CELLS[(lon > 113.64) & (lon < 113.66) & (lat > 34.74) & (lat < 34.76)]


@pytest.mark.parametrize(
    "document",
    [
        {"type": "Polygon", "coordinates": [SQUARE]},
        {"type": "Feature", "properties": {}, "geometry": {"type": "MultiPolygon", "coordinates": [[SQUARE]]}},
        {
            "type": "FeatureCollection",
            "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}},
            "features": [
                {"type": "Feature", "properties": None, "geometry": {"type": "Point", "coordinates": [0, 0]}},
                {"type": "Feature", "properties": None, "geometry": None},
                {"type": "Feature", "properties": None, "geometry": {"type": "Polygon", "coordinates": [SQUARE]}},
            ],
        },
    ],
    ids=["geometry", "feature", "collection"],
)
def test_cells_whose_centres_lie_inside_are_taken(document: dict) -> None:
    shape = read_polygons(json.dumps(document).encode(), "d.geojson")

    assert cells_within(shape, CELLS).tolist() == _inside().tolist()
    assert len(_inside()) > 20


def test_a_polygon_that_crosses_itself_is_mended() -> None:
    bow = [[113.64, 34.74], [113.66, 34.76], [113.66, 34.74], [113.64, 34.76], [113.64, 34.74]]
    shape = read_polygons(json.dumps({"type": "Polygon", "coordinates": [bow]}).encode(), "bow.geojson")

    assert 0 < len(cells_within(shape, CELLS)) < len(_inside())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "not JSON"),
        (b"[1, 2]", "not GeoJSON"),
        ("{}".encode("utf-16"), "not UTF-8"),
        (b'{"type": "Point", "coordinates": [113, 34]}', "no Polygon"),
        (b'{"type": "FeatureCollection", "features": []}', "no Polygon"),
        (b'{"type": "Polygon", "coordinates": [[[1, 2]]]}', "cannot be read"),
        (b'{"type": "Polygon", "coordinates": [[[5e5, 3e6], [6e5, 3e6], [6e5, 4e6], [5e5, 3e6]]]}', "EPSG:4326"),
        (b'{"type": "Polygon", "crs": {"properties": {"name": "EPSG:4547"}}, "coordinates": []}', "not WGS-84"),
    ],
)  # fmt: skip
def test_what_is_no_polygon_gets_one_clear_line(content: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read_polygons(content, "bad.geojson")
    assert "bad.geojson" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_list_may_be_parted_in_any_way_and_repeat_itself() -> None:
    first, second = grid.to_hex(CELLS[:2])

    chosen, outside = read_cells(f'["{second}", {first};\n{first}]', CELLS, 9)

    assert chosen.tolist() == CELLS[:2].tolist()
    assert outside == []


def test_a_byte_order_mark_is_no_part_of_the_first_cell() -> None:
    chosen, _ = read_cells(f"\ufeff{grid.to_hex(CELLS[:1])[0]}\n", CELLS, 9)

    assert chosen.tolist() == CELLS[:1].tolist()


def test_a_coarser_cell_stands_for_its_children_and_strangers_are_named() -> None:
    parent = int(grid.parents_at([CENTRE], 8)[0])
    stranger = grid.to_hex(grid.cells_at([0.0], [0.0], 9))[0]

    chosen, outside = read_cells(f"{grid.to_hex([parent])[0]} {stranger}", CELLS, 9)

    assert chosen.tolist() == CELLS[grid.parents_at(CELLS, 8) == parent].tolist()
    assert outside == [stranger]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("  ", "names no cell"),
        ("hello", "not an H3 cell"),
        (str(CENTRE), "not an H3 cell: give hexadecimal"),
        (grid.to_hex(grid.cells_at([113.65], [34.75], 10))[0], "resolution 10"),
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_read_says_why(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_cells(text, CELLS, 9)


def test_a_ring_stays_within_the_city() -> None:
    assert len(ring_cells(CENTRE, 2, CELLS)) == 19
    assert ring_cells(int(CELLS[0]), 30, CELLS).tolist() == CELLS.tolist()
