"""Places other than longitude and latitude: well-known text, and grids known by a corner and the size of a square."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fusion import store
from fusion.city import open_city
from fusion.errors import InputError
from fusion.geo import datum, grid
from fusion.ingest.lattice import RegularGrid, grid_of_options
from fusion.ingest.options import SignalingOptions
from fusion.ingest.places import places_of_wkt
from fusion.ingest.signaling import ingest_signaling

HERE = (113.65, 34.76)


def cell_at(lon: float, lat: float) -> int:
    return int(grid.cells_at([lon], [lat], 9)[0])


def cells_of(tmp_path: Path, header: str, *rows: str, **options: object) -> list[int]:
    path = tmp_path / "a.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    ingest_signaling([path], tmp_path / "town", SignalingOptions(**options))
    return store.cells(open_city(tmp_path / "town")).tolist()


WKT = {
    "POINT(113.65 34.76)": HERE,
    "point ( 113.65   34.76 )": HERE,
    "SRID=4326;POINT(113.65 34.76)": HERE,
    "POINT Z (113.65 34.76 5)": HERE,
    "POLYGON((113.64 34.75,113.66 34.75,113.66 34.77,113.64 34.77,113.64 34.75))": HERE,
    "MULTIPOLYGON(((113.64 34.75,113.66 34.75,113.66 34.77,113.64 34.77,113.64 34.75)))": HERE,
    "LINESTRING(113.64 34.76,113.66 34.76)": HERE,
    "SRID=3857;POINT(113.65 34.76)": "bad_place",
    "POINT EMPTY": "bad_place",
    "POINT(113.65)": "bad_place",
    "113.65 34.76": "bad_place",
    "": "bad_place",
    "POINT(34.76 113.65)": "swapped",
}


def test_well_known_text():
    texts = pd.Series(list(WKT), dtype="string")
    places = places_of_wkt(texts, np.ones(len(texts), dtype=np.int64), "wgs84", 9, (113.5, 34.6, 113.8, 34.9))
    for text, lon, lat, reason in zip(WKT, places.lon, places.lat, places.reason, strict=True):
        if isinstance(WKT[text], str):
            assert reason == WKT[text], text
        else:
            assert reason is None, text
            assert (lon, lat) == pytest.approx(WKT[text], abs=1e-9), text


@pytest.mark.parametrize("header", ["time,WKT,people", "time,几何,people", "time,the_geom,people"])
def test_a_column_of_geometry_is_known_by_its_header(tmp_path, header):
    row = '2021-07-24 08:00,"POLYGON((113.64 34.75,113.66 34.75,113.66 34.77,113.64 34.77,113.64 34.75))",100'
    assert cells_of(tmp_path, header, row) == [cell_at(*HERE)]


def test_a_column_of_geometry_by_option_and_datum(tmp_path):
    lon, lat = datum.wgs84_to_gcj02(*HERE)
    row = f"2021-07-24 08:00,POINT({float(lon)} {float(lat)}),100"
    assert cells_of(tmp_path, "time,where,people", row, wkt="where", datum="gcj02") == [cell_at(*HERE)]


def test_a_swapped_column_of_geometry_is_named_with_what_helps(tmp_path):
    with pytest.raises(InputError, match="look swapped in 1 of 1 rows: write where with longitude first"):
        cells_of(tmp_path, "time,where,people", "2021-07-24 08:00,POINT(34.76 113.65),100", wkt="where")


DEGREES = RegularGrid(113.0, 34.0, 0.01, 0.02, "deg")


@pytest.mark.parametrize(
    ("changed", "id_", "wanted"),
    [
        ({}, "0_0", (113.005, 34.01)),
        ({}, "2_5", (113.055, 34.05)),
        ({}, "R002C005", (113.055, 34.05)),
        ({}, "2-5", (113.055, 34.05)),
        ({}, "(2, 5)", (113.055, 34.05)),
        ({"order": "col_row"}, "5_2", (113.055, 34.05)),
        ({"first": 1}, "3_6", (113.055, 34.05)),
        ({"corner": "nw"}, "2_5", (113.055, 33.95)),
        ({"columns": 100, "first": 1}, "1", (113.005, 34.01)),
        ({"columns": 100, "first": 1}, "100", (113.995, 34.01)),
        ({"columns": 100, "first": 1}, "101", (113.005, 34.03)),
        ({"columns": 100, "first": 1}, "206.0", (113.055, 34.05)),
        ({"columns": 100, "first": 0}, "205", (113.055, 34.05)),
    ],
)
def test_ids_of_a_grid_in_degrees(changed, id_, wanted):
    regular = RegularGrid(**{**DEGREES.__dict__, **changed})
    lon, lat, known = regular.centres(pd.Series([id_]))
    assert known.tolist() == [True]
    assert (lon[0], lat[0]) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("id_", ["", "7", "a_b", "1_2_3", "9999999_0", "-1_5", "1_-5", "(-1, 5)", "\u22121_5"])
def test_ids_that_are_not_of_a_grid(id_):
    assert DEGREES.centres(pd.Series([id_]))[2].tolist() == [False]


def test_a_number_before_the_first_is_not_of_the_grid():
    regular = RegularGrid(113.0, 34.0, 0.01, 0.01, "deg", columns=10, first=1)
    assert regular.centres(pd.Series(["0", "1"]))[2].tolist() == [False, True]


def test_a_grid_in_metres_steps_through_the_utm_zone():
    regular = RegularGrid(113.0, 34.0, 500, 250, "m")
    lon, lat, _ = regular.centres(pd.Series(["0_0", "0_10", "10_0"]))
    east, north = grid.project(lon, lat, grid.utm_crs(113.0, 34.0))
    corner = np.ravel(grid.project([113.0], [34.0], grid.utm_crs(113.0, 34.0)))
    np.testing.assert_allclose(east - corner[0], [250, 5250, 250], atol=1e-3)
    np.testing.assert_allclose(north - corner[1], [125, 125, 2625], atol=1e-3)


def test_milans_own_grid(shared_data):
    """Its 10,000 squares, published as polygons: 235 m in UTM 32 N, numbered from 1, rows of 100 from the south."""
    features = json.loads((shared_data / "milan" / "milano-grid.geojson").read_text())["features"]
    ids = pd.Series([str(feature["properties"]["cellId"]) for feature in features])
    rings = np.array([feature["geometry"]["coordinates"][0][:4] for feature in features])
    centres = rings.mean(axis=1)
    corner = rings[ids.tolist().index("1")].min(axis=0)
    lon, lat, known = RegularGrid(*corner, 235, 235, "m", columns=100, first=1).centres(ids)
    assert known.all()
    off_m = np.hypot((lon - centres[:, 0]) * 78_000, (lat - centres[:, 1]) * 111_320)
    assert off_m.max() < 1.5


def test_a_grid_by_its_corner_from_options(tmp_path):
    rows = ["2021-07-24 08:00,0_0,100", "2021-07-24 08:00,7_3,100", "2021-07-24 08:00,x,100"]
    cells = cells_of(tmp_path, "time,grid_id,people", *rows, grid_origin="113.6,34.7", grid_size="0.01deg")
    assert cells == sorted([cell_at(113.605, 34.705), cell_at(113.635, 34.775)])


def test_row_and_column_in_two_columns(tmp_path):
    cells = cells_of(
        tmp_path,
        *("time,row,col,people", "2021-07-24 08:00,7,3,100"),
        **{"grid_id": "row+col", "grid_origin": "113.6,34.7", "grid_size": "0.01deg"},
    )
    assert cells == [cell_at(113.635, 34.775)]


FLOATS = {"grid_id": "row+col", "grid_origin": "113.6,34.7", "grid_size": "0.01deg"}


@pytest.mark.parametrize(("row", "column"), [("7.0", "3.0"), (" 7.000", "3"), ("7", "3.0 ")])
def test_row_and_column_of_floats(tmp_path, row, column):
    cells = cells_of(tmp_path, "time,row,col,people", f"2021-07-24 08:00,{row},{column},100", **FLOATS)
    assert cells == [cell_at(113.635, 34.775)]


def test_row_and_column_that_parquet_holds_as_floats(tmp_path):
    table = pd.DataFrame({"time": ["2021-07-24 08:00"] * 2, "row": [7.0, 12.0], "col": [3.0, 5.5], "people": 100})
    table.to_parquet(tmp_path / "a.parquet")
    quality = ingest_signaling([tmp_path / "a.parquet"], tmp_path / "town", SignalingOptions(**FLOATS))
    assert store.cells(open_city(tmp_path / "town")).tolist() == [cell_at(113.635, 34.775)]
    assert quality["rejected_by_reason"] == {"unknown_grid_id": 1}


def test_row_and_column_of_floats_in_a_file_of_squares(tmp_path):
    """Ids of a file may be negative: it is looked up, not computed."""
    square = {"type": "Polygon", "coordinates": [[[113.63, 34.77], [113.64, 34.77], [113.64, 34.78], [113.63, 34.77]]]}
    feature = {"type": "Feature", "properties": {"id": "-7_3"}, "geometry": square}
    (tmp_path / "g.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    options = {"grid_id": "row+col", "grid": tmp_path / "g.geojson", "grid_property": "id"}
    assert len(cells_of(tmp_path, "time,row,col,people", "2021-07-24 08:00,-7.0,3.0,100", **options)) == 1


def test_the_corner_has_the_exports_datum(tmp_path):
    lon, lat = datum.wgs84_to_gcj02(*HERE)
    origin = f"{float(lon) - 0.005},{float(lat) - 0.005}"
    row = "2021-07-24 08:00,0_0,100"
    options = {"grid_origin": origin, "grid_size": "0.01deg", "datum": "gcj02"}
    assert cells_of(tmp_path, "time,grid_id,people", row, **options) == [cell_at(*HERE)]


OPTIONS = {
    "corner": ({"grid_size": "500m"}, r"--grid-size describes a grid by its corner: give the corner too"),
    "columns": ({"grid_columns": 5}, r"--grid-columns describes a grid"),
    "size": ({"grid_origin": "113,34"}, r"--grid-size None is no size: give 500m"),
    "unit": ({"grid_origin": "113,34", "grid_size": "500"}, r"--grid-size '500' is no size"),
    "nothing": ({"grid_origin": "113,34", "grid_size": "0m"}, r"--grid-size 0m is out of range"),
    "degrees": ({"grid_origin": "113,34", "grid_size": "500deg"}, r"--grid-size 500deg is out"),
    "origin": ({"grid_origin": "113", "grid_size": "500m"}, r"--grid-origin '113' is no corner: give LON,LAT"),
    "swapped": ({"grid_origin": "34,113", "grid_size": "500m"}, r"--grid-origin '34,113' is out of range"),
    "nan": ({"grid_origin": "nan,34", "grid_size": "500m"}, r"--grid-origin 'nan,34' is out of range"),
    "both": (
        {"grid_origin": "113,34", "grid_size": "500m", "grid": Path("a.geojson")},
        r"--grid and --grid-origin",
    ),
    "order": ({"grid_origin": "113,34", "grid_size": "500m", "grid_order": "x"}, r"--grid-order 'x' is not known"),
    "none": ({"grid_origin": "113,34", "grid_size": "500m", "grid_columns": 0}, r"--grid-columns 0 is no number"),
    "which": ({"grid_origin": "113,34", "grid_size": "500m", "grid_corner": "x"}, r"--grid-corner 'x' is not known"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_that_describe_no_grid(name):
    options, message = OPTIONS[name]
    with pytest.raises(InputError, match=message):
        grid_of_options(SignalingOptions(**options))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("500m", (500, 500, "m")), ("250x500 M", (250, 500, "m")), ("0.006x0.005deg", (0.006, 0.005, "deg"))],
)
def test_sizes_of_squares(text, wanted):
    regular = grid_of_options(SignalingOptions(grid_origin="113,34", grid_size=text))
    assert (regular.width, regular.height, regular.unit) == wanted
