"""Polygons of known shares into a city's cells."""

import json
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely

from fusion import store
from fusion.city import open_city
from fusion.errors import InputError
from fusion.geo import grid
from fusion.ingest.functions import FunctionOptions, ingest_functions
from fusion.ingest.quality import load_rejects
from fusion.ingest.signaling import ingest_signaling

HERE = (113.65, 34.76)
CENTRE = int(grid.cells_at([HERE[0]], [HERE[1]], 9)[0])
CRS = grid.utm_crs(*HERE)


def hexagon(cell: int = CENTRE) -> shapely.Polygon:
    """A cell in metres."""
    ring = np.array(grid.boundaries([cell])[0])
    return shapely.Polygon(np.column_stack(grid.project(ring[:, 0], ring[:, 1], CRS)))


def left_part(share: float, cell: int = CENTRE) -> shapely.Polygon:
    """The western part of a cell that has that share of its area, found by halving."""
    shape = hexagon(cell)
    west, south, east, north = shape.bounds
    low, high = west, east
    for _ in range(60):
        middle = (low + high) / 2
        part = shape & shapely.box(west, south, middle, north)
        low, high = (middle, high) if part.area < share * shape.area else (low, middle)
    return part


def write(path: Path, *rows: tuple[object, shapely.Geometry | None], crs: object = 4326) -> Path:
    values, shapes = zip(*rows, strict=True)
    table = geopandas.GeoDataFrame({"class": list(values)}, geometry=list(shapes), crs=CRS)
    table.to_crs(crs).to_file(path)
    return path


def labels(city: Path) -> pd.DataFrame:
    return store.functions(open_city(city)).set_index("cell")


@pytest.fixture
def town(tmp_path):
    """A city of the cells within three steps."""
    lon, lat = grid.centres(grid.disk(CENTRE, 3))
    export = tmp_path / "a.csv"
    export.write_text(
        "\n".join(["time,lon,lat,people", *(f"2021072408,{x},{y},99" for x, y in zip(lon, lat, strict=True))])
    )
    ingest_signaling([export], tmp_path / "town")
    return tmp_path / "town"


def test_a_cell_takes_the_largest_share(tmp_path, town):
    most, rest = left_part(0.6), hexagon() - left_part(0.6)
    file = write(tmp_path / "f.geojson", ("park", rest.buffer(-0.01)), ("school", most.buffer(-0.01)))
    quality = ingest_functions(file, town, FunctionOptions("class"))
    found = labels(town)
    assert found.loc[CENTRE, "function"] == "school"
    assert found.loc[CENTRE, "share"] == pytest.approx(0.6, abs=1e-3)
    assert found.loc[CENTRE, "source"] == "f.geojson"
    assert quality["functions"]["cells_by_class"] == {"school": 1}
    assert open_city(town).info.fingerprints.keys() == {"activity", "functions"}


def test_pieces_of_one_class_add_up_and_overlaps_count_once(tmp_path, town):
    """School twice on the same 40 %, park on two apart that are 45 % together: park it is."""
    school = left_part(0.4)
    rest = hexagon() - left_part(0.5)
    west, south, east, north = rest.bounds
    upper, lower = (
        rest & shapely.box(west, (south + north) / 2, east, north),
        rest & shapely.box(west, south, east, (south + north) / 2),
    )
    file = write(
        tmp_path / "f.gpkg",
        ("school", school),
        ("school", school),
        ("park", upper.buffer(-1)),
        ("park", lower.buffer(-1)),
    )
    ingest_functions(file, town, FunctionOptions("class"))
    found = labels(town)
    assert found.loc[CENTRE, "function"] == "park"
    assert found.loc[CENTRE, "share"] == pytest.approx(
        (upper.buffer(-1).area + lower.buffer(-1).area) / hexagon().area, abs=1e-4
    )


def test_a_tie_goes_to_the_first_class_in_any_order(tmp_path, town):
    for number, names in enumerate((("park", "school"), ("school", "park"))):
        file = write(tmp_path / f"{number}.gpkg", *((name, hexagon().buffer(-1)) for name in names))
        ingest_functions(file, town, FunctionOptions("class"))
        assert labels(town).loc[CENTRE, "function"] == "school"


def test_shares_agree_with_a_count_of_points(tmp_path, town):
    """An independent measure: points drawn evenly on each cell, in which polygon each lies."""
    random = np.random.default_rng(0)
    x0, y0 = grid.project([HERE[0]], [HERE[1]], CRS)
    shapes = [
        shapely.Point(x0[0] + dx, y0[0] + dy).buffer(radius)
        for dx, dy, radius in random.uniform((-600, -600, 100), (600, 600, 350), (8, 3))
    ]
    names = ["school", "park", "hospital", "residential"] * 2
    ingest_functions(write(tmp_path / "f.gpkg", *zip(names, shapes, strict=True)), town, FunctionOptions("class"))
    found = labels(town)
    unions = {name: shapely.union_all([s for n, s in zip(names, shapes, strict=True) if n == name]) for name in names}
    for cell in grid.disk(CENTRE, 2).tolist():
        west, south, east, north = hexagon(cell).bounds
        points = shapely.points(random.uniform((west, south), (east, north), (4000, 2)))
        points = points[shapely.contains(hexagon(cell), points)]
        shares = {name: float(shapely.contains(union, points).mean()) for name, union in unions.items()}
        best = max(shares, key=lambda name: shares[name])
        if shares[best] - sorted(shares.values())[-2] > 0.05:
            assert found.loc[cell, "function"] == best
            assert found.loc[cell, "share"] == pytest.approx(shares[best], abs=0.04)


def test_a_mapping_names_classes_and_lists_what_it_lacks(tmp_path, town):
    mapping = tmp_path / "m.toml"
    mapping.write_text('[mapping]\n101 = "residential"\n"教育" = "school"\n', encoding="utf-8")
    near = [int(cell) for cell in grid.ring(CENTRE, 1)]
    rows = [("101", hexagon(near[0])), ("教育", hexagon(near[1])), ("湖", hexagon(near[2])), (None, hexagon(near[3]))]
    file = write(tmp_path / "f.geojson", *((value, shape.buffer(-5)) for value, shape in rows))
    quality = ingest_functions(file, town, FunctionOptions("class", mapping))
    assert dict(labels(town)["function"]) == {near[0]: "residential", near[1]: "school"}
    assert quality["functions"]["unmapped"] == {"湖": 1, "": 1}
    assert quality["functions"]["rejected_by_reason"] == {"unmapped": 2}
    assert quality["rows_rejected"] == 0
    rejects = load_rejects(open_city(town))
    assert rejects[["part", "row", "reason"]].to_numpy().tolist() == [
        ["functions", 3, "unmapped"],
        ["functions", 4, "unmapped"],
    ]
    assert json.loads(rejects["text"].iloc[0]) == {"class": "湖"}


def test_numbers_of_a_shapefile_and_codes_of_the_contest(tmp_path, town):
    file = tmp_path / "f.shp"
    write(file, (2.0, hexagon().buffer(-5)), crs=CRS)
    mapping = tmp_path / "m.toml"
    mapping.write_text('2 = "hospital"')
    ingest_functions(file, town, FunctionOptions("class", mapping))
    assert labels(town)["function"].tolist() == ["hospital"]
    ingest_functions(write(tmp_path / "g.geojson", ("009", hexagon().buffer(-5))), town, FunctionOptions("class"))
    assert labels(town)["function"].tolist() == ["hospital"]


def test_polygons_that_cross_themselves_are_mended(tmp_path, town):
    """A bow tie has the area of its two triangles; a line folded back on itself has none."""
    x0, y0 = (float(value[0]) for value in grid.project([HERE[0]], [HERE[1]], CRS))
    bow = shapely.Polygon([(x0, y0), (x0 + 60, y0 + 60), (x0 + 60, y0), (x0, y0 + 60)])
    flat = shapely.Polygon([(x0, y0), (x0 + 50, y0), (x0, y0), (x0 + 20, y0)])
    rows = [("park", bow), ("park", flat), ("park", shapely.Point(x0, y0)), ("park", None)]
    quality = ingest_functions(write(tmp_path / "f.geojson", *rows), town, FunctionOptions("class"))
    assert labels(town)["share"].sum() == pytest.approx(2 * 60 * 30 / 2 / hexagon().area, rel=0.02)
    assert quality["functions"]["polygons_repaired"] == 1
    assert quality["functions"]["rejected_by_reason"] == {"bad_geometry": 3}


def test_only_cells_of_the_city_are_labelled(tmp_path, town):
    x0, y0 = (float(value[0]) for value in grid.project([HERE[0]], [HERE[1]], CRS))
    away = shapely.box(x0 + 9000, y0, x0 + 9500, y0 + 500)
    wide = shapely.box(x0 - 9000, y0 - 9000, x0 + 8000, y0 + 9000)
    quality = ingest_functions(
        write(tmp_path / "f.gpkg", ("park", wide), ("school", away)), town, FunctionOptions("class")
    )
    lon, lat = grid.centres(labels(town).index.to_numpy())
    west, south, east, north = open_city(town).info.bounds
    assert ((lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)).all()
    assert quality["functions"]["rejected_by_reason"] == {"outside": 1}
    assert (labels(town)["share"] == 1.0).all()


def test_functions_make_a_city_where_there_is_none(tmp_path):
    ingest_functions(
        write(tmp_path / "f.gpkg", ("park", hexagon().buffer(-5))), tmp_path / "new", FunctionOptions("class")
    )
    city = open_city(tmp_path / "new")
    assert (city.info.resolution, city.info.timezone, city.info.provenance) == (9, "Asia/Shanghai", "real")
    assert store.cells(city).tolist() == [CENTRE]
    assert city.info.sources == ("functions: f.gpkg",)


def test_signaling_keeps_the_rejects_of_functions_and_the_other_way_round(tmp_path, town):
    ingest_functions(
        write(tmp_path / "f.gpkg", ("park", hexagon()), ("lake", hexagon())), town, FunctionOptions("class")
    )
    export = tmp_path / "b.csv"
    export.write_text(f"time,lon,lat,people\n2021072408,{HERE[0]},{HERE[1]},99\n2021072408,{HERE[0]},{HERE[1]},-1\n")
    ingest_signaling([export], town)
    assert load_rejects(open_city(town))["part"].tolist() == ["functions", "signaling"]
    ingest_functions(write(tmp_path / "g.gpkg", ("park", hexagon())), town, FunctionOptions("class"))
    assert load_rejects(open_city(town))["part"].tolist() == ["signaling"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"functions f.geojson: there is no such file"),
        ("", r"functions f.geojson cannot be read"),
        ("{}", r"functions f.geojson (cannot be read|has no features)"),
        ('{"type": "FeatureCollection", "features": []}', r"functions f.geojson has no features"),
    ],
)
def test_files_that_hold_no_polygons(tmp_path, town, content, message):
    file = tmp_path / "f.geojson"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        ingest_functions(file, town, FunctionOptions("class"))
    assert "\n" not in str(caught.value)
    assert not open_city(town).has_functions


@pytest.mark.parametrize(
    ("field", "mapping", "message"),
    [
        ("kind", None, r"functions f.geojson: no property 'kind': it has class; name one with --field"),
        ("class", None, r"no value of 'class' is mapped to a class \(lake\): give --mapping"),
        (
            "class",
            "lake = 'water'",
            r"mapping m.toml: 'lake' goes to 'water', which is no class: use one of residential",
        ),
        ("class", "lake = ", r"mapping m.toml is not TOML"),
        ("class", "", r"mapping m.toml is empty"),
    ],
)
def test_fields_and_mappings_that_do_not_fit(tmp_path, town, field, mapping, message):
    file = write(tmp_path / "f.geojson", ("lake", hexagon()))
    table = None
    if mapping is not None:
        table = tmp_path / "m.toml"
        table.write_text(mapping)
    with pytest.raises(InputError, match=message):
        ingest_functions(file, town, FunctionOptions(field, table))
    assert not open_city(town).has_functions


def test_polygons_elsewhere_name_both_extents(tmp_path, town):
    far = shapely.box(200_000, 3_850_000, 201_000, 3_851_000)
    with pytest.raises(InputError, match=r"functions f.gpkg covers 107\.\d+,34.* and city town 113\.6.*do not overlap"):
        ingest_functions(write(tmp_path / "f.gpkg", ("park", far)), town, FunctionOptions("class"))
