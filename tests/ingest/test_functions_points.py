"""Points of interest and tables of cells into functions, and the mappings from classes."""

import json
import shutil
import zipfile

import geopandas
import h3.api.basic_int as h3
import numpy as np
import openpyxl
import pandas as pd
import pytest
import shapely
from typer.testing import CliRunner

from fusion import store
from fusion.city import open_city
from fusion.classes import IDS
from fusion.cli import app
from fusion.errors import InputError
from fusion.geo import grid
from fusion.geo.datum import wgs84_to_gcj02
from fusion.ingest.functions import FunctionOptions, ingest_functions
from fusion.ingest.mapping import UNMAPPED, load_mapping, shipped_mappings
from fusion.ingest.quality import accounts, load_rejects
from fusion.ingest.signaling import ingest_signaling

CENTRE = int(grid.cells_at([113.65], [34.76], 9)[0])
NEAR = [int(cell) for cell in grid.ring(CENTRE, 1)]


def at(cell: int) -> tuple[float, float]:
    lon, lat = grid.centres([cell])
    return float(lon[0]), float(lat[0])


def labels(city) -> dict[int, tuple[str, float]]:
    table = store.functions(open_city(city))
    shares = table["share"].astype(float).round(4)
    return {
        int(cell): (name, share) for cell, name, share in zip(table["cell"], table["function"], shares, strict=True)
    }


@pytest.fixture(scope="module")
def _town(tmp_path_factory):
    root = tmp_path_factory.mktemp("town")
    lon, lat = grid.centres(grid.disk(CENTRE, 3))
    rows = [f"2021072408,{x},{y},99" for x, y in zip(lon, lat, strict=True)]
    (root / "a.csv").write_text("\n".join(["time,lon,lat,people", *rows]))
    ingest_signaling([root / "a.csv"], root / "town")
    return root / "town"


@pytest.fixture
def town(tmp_path, _town):
    """A city of the cells within three steps."""
    shutil.copytree(_town, tmp_path / "town")
    return tmp_path / "town"


def poi(path, rows, header="type,lon,lat"):
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_a_cell_takes_the_class_of_most_points_with_their_share(tmp_path, town):
    """Three schools and a park in one cell; one of each in another, where the earlier class has the tie."""
    x, y = at(CENTRE)
    rows = [f"school,{x},{y}"] * 3 + [f"park,{x},{y}"]
    x, y = at(NEAR[0])
    rows += [f"park,{x},{y}", f"school,{x},{y}"]
    quality = ingest_functions(poi(tmp_path / "p.csv", rows), town)["functions"]
    assert labels(town) == {CENTRE: ("school", 0.75), NEAR[0]: ("school", 0.5)}
    assert (quality["kind"], quality["points_read"], quality["points_taken"]) == ("points", 6, 6)
    assert quality["cells_by_class"] == {"school": 2}


def test_points_of_a_vector_file_count_as_those_of_a_table(tmp_path, town):
    points = [shapely.Point(at(CENTRE)), shapely.Point(at(CENTRE)), shapely.MultiPoint([at(NEAR[1])])]
    table = geopandas.GeoDataFrame({"type": ["park", "hospital", "park"]}, geometry=points, crs=4326)
    table.to_crs(32649).to_file(tmp_path / "p.gpkg")
    ingest_functions(tmp_path / "p.gpkg", town, FunctionOptions("type"))
    assert labels(town) == {CENTRE: ("park", 0.5), NEAR[1]: ("park", 1.0)}


def test_every_row_is_taken_or_rejected_with_its_line(tmp_path, town):
    x, y = at(CENTRE)
    rows = [
        f"park,{x},{y}",
        "",
        f"park,{x}",  # malformed, line 4
        f"lake,{x},{y}",  # line 5
        f"park,east,{y}",  # line 6
        f"park,{y},{x}",  # line 7
        f"park,{x + 1},{y}",  # line 8
        f"park,{x},{y}",
    ]
    report = ingest_functions(poi(tmp_path / "p.csv", rows), town)
    part = report["functions"]
    assert (part["points_read"], part["points_taken"], part["points_rejected"]) == (7, 2, 5)
    rejects = load_rejects(open_city(town))
    assert rejects[["row", "reason"]].to_numpy().tolist() == [
        [4, "malformed"], [5, "unmapped"], [6, "bad_place"], [7, "swapped"], [8, "outside"],
    ]  # fmt: skip
    assert rejects["text"].iloc[1] == f"lake,{x},{y}"
    assert part["unmapped"] == {"lake": 1}
    assert accounts(report) == []


def test_amap_points_with_their_own_datum_types_and_location(tmp_path, town):
    """GCJ-02 in one column, `lon,lat`; Amap's types decide by their longest entry."""
    lon, lat = at(CENTRE)
    x, y = (float(value) for value in wgs84_to_gcj02(lon, lat))
    rows = [
        f'实验小学,科教文化服务;学校;小学,"{x:.6f},{y:.6f}"',
        f'食堂,科教文化服务;学校;学校内部设施,"{x:.6f},{y:.6f}"',
        f'便利店,购物服务;便民商店/便利店;便民商店/便利店,"{x:.6f},{y:.6f}"',
    ]
    file = poi(tmp_path / "p.csv", rows, "name,type,location")
    quality = ingest_functions(file, town, FunctionOptions("type", "amap", datum="gcj02"))["functions"]
    assert labels(town) == {CENTRE: ("school", 1.0)}
    assert (quality["mapping"], quality["datum"]) == ("amap", "gcj02")
    assert quality["rejected_by_reason"] == {"unmapped": 2}


def test_levels_in_several_columns_are_joined(tmp_path, town):
    x, y = at(CENTRE)
    file = poi(tmp_path / "p.csv", [f"医疗保健服务,综合医院,{x},{y}"], "大类,中类,经度,纬度")
    ingest_functions(file, town, FunctionOptions("大类+中类", "amap"))
    assert labels(town) == {CENTRE: ("hospital", 1.0)}


@pytest.mark.parametrize("ending", [".csv", ".xlsx", ".parquet"])
@pytest.mark.parametrize("key", ["502", "502.0"])
def test_codes_that_a_table_holds_as_floats(tmp_path, town, ending, key):
    """As of a Shapefile, in whatever way the mapping spells them; 502.5 is another class."""
    x, y = at(CENTRE)
    table = pd.DataFrame({"class": [502.0, 502.0, 502.5], "lon": [x] * 3, "lat": [y] * 3})
    file = tmp_path / f"p{ending}"
    write = {".csv": table.to_csv, ".xlsx": table.to_excel, ".parquet": table.to_parquet}[ending]
    write(file, index=False)
    (tmp_path / "m.toml").write_text(f'"{key}" = "school"')
    report = ingest_functions(file, town, FunctionOptions("class", tmp_path / "m.toml"))["functions"]
    assert labels(town) == {CENTRE: ("school", 1.0)}
    assert report["unmapped"] == {"502.5": 1}


def test_a_shipped_mapping_finds_codes_of_floats_and_so_do_levels(tmp_path, town):
    x, y = at(CENTRE)
    ingest_functions(poi(tmp_path / "p.csv", [f"101.0,{x},{y}"]), town, FunctionOptions("type", "euluc"))
    assert labels(town) == {CENTRE: ("residential", 1.0)}
    (tmp_path / "m.toml").write_text('"5;2" = "hospital"')
    file = poi(tmp_path / "q.csv", [f"5.0,2.0,{x},{y}"], "a,b,lon,lat")
    ingest_functions(file, town, FunctionOptions("a+b", tmp_path / "m.toml"))
    assert labels(town) == {CENTRE: ("hospital", 1.0)}


@pytest.mark.parametrize("ending", [".xlsx", ".parquet", ".zip"])
def test_points_in_other_containers(tmp_path, town, ending):
    x, y = at(CENTRE)
    table = pd.DataFrame({"类别": ["park", "school", "park"], "经度": [x] * 3, "纬度": [y] * 3})
    file = tmp_path / f"p{ending}"
    if ending == ".parquet":
        table.to_parquet(file)
    elif ending == ".zip":
        table.to_csv(file, index=False, compression={"method": "zip", "archive_name": "p.csv"}, encoding="gb18030")
    else:
        book = openpyxl.Workbook()
        for row in [list(table.columns), *table.to_numpy().tolist()]:
            book.active.append(row)
        book.save(file)
    quality = ingest_functions(file, town)["functions"]
    assert labels(town) == {CENTRE: ("park", 0.6667)}
    assert quality["points_read"] == 3


def test_well_known_text_may_be_points_or_polygons(tmp_path, town):
    x, y = at(CENTRE)
    wkt = f"POINT ({x} {y})"
    ingest_functions(poi(tmp_path / "p.csv", [f"park;{wkt}"], "class;wkt"), town)
    assert labels(town) == {CENTRE: ("park", 1.0)}
    square = shapely.box(x - 0.0001, y - 0.0001, x + 0.0001, y + 0.0001).wkt
    quality = ingest_functions(poi(tmp_path / "q.csv", [f"park;{square}"], "class;wkt"), town)
    assert quality["functions"]["kind"] == "polygons"


def test_points_make_a_city(tmp_path):
    x, y = at(CENTRE)
    ingest_functions(poi(tmp_path / "p.csv", [f"park,{x},{y}"]), tmp_path / "new", FunctionOptions(resolution=8))
    city = open_city(tmp_path / "new")
    assert city.info.resolution == 8
    assert store.cells(city).tolist() == [int(grid.parents([CENTRE], 1)[0])]


def test_a_table_of_cells_gives_classes_and_shares(tmp_path, town):
    rows = [
        f"{grid.to_hex([CENTRE])[0]},park,0.3",
        f"{CENTRE},school,0.6",  # the larger share of the cell
        f"{NEAR[0]},park,0.5",
        f"{NEAR[0]},park,0.5",  # duplicate
        f"{NEAR[0]},park,0.4",  # conflict
        f"{NEAR[1]},park,1.5",  # no share
        f"{grid.parents([CENTRE], 1)[0]},park,1",  # coarser than the city
        "nonsense,park,1",
    ]
    report = ingest_functions(poi(tmp_path / "c.csv", rows, "h3,class,share"), town)
    part = report["functions"]
    assert labels(town) == {CENTRE: ("school", 0.6), NEAR[0]: ("park", 0.5)}
    assert (part["rows_read"], part["rows_taken"]) == (8, 3)
    assert part["rejected_by_reason"] == {
        "bad_place": 1, "bad_value": 1, "coarse_cell": 1, "conflict": 1, "duplicate": 1,
    }  # fmt: skip
    assert accounts(report) == []


def test_cells_without_shares_are_whole_and_have_one_class(tmp_path, town):
    rows = [f"{CENTRE},park", f"{CENTRE},school", f"{CENTRE},park"]
    part = ingest_functions(poi(tmp_path / "c.csv", rows, "h3,class"), town)["functions"]
    assert labels(town) == {CENTRE: ("park", 1.0)}
    assert part["rejected_by_reason"] == {"conflict": 1, "duplicate": 1}


def test_finer_cells_count_for_their_part(tmp_path, town):
    """Of the seven children of a cell four are park, two school: 4/7 park."""
    children = list(h3.cell_to_children(CENTRE))
    rows = [f"{cell},{name}" for cell, name in zip(children, ["park"] * 4 + ["school"] * 2, strict=False)]
    ingest_functions(poi(tmp_path / "c.csv", rows, "h3,class"), town)
    assert labels(town) == {CENTRE: ("park", round(4 / 7, 4))}


def test_cells_make_a_city_of_their_resolution(tmp_path):
    parent = int(grid.parents([CENTRE], 2)[0])
    ingest_functions(poi(tmp_path / "c.csv", [f"{parent},park"], "h3,class"), tmp_path / "new")
    assert open_city(tmp_path / "new").info.resolution == 7
    file = poi(tmp_path / "d.csv", [f"{parent},park", f"{CENTRE},park"], "h3,class")
    with pytest.raises(InputError, match=r"cells of resolutions 7, 9: name the city's with --resolution"):
        ingest_functions(file, tmp_path / "other")


def test_polygons_of_another_datum_are_moved(tmp_path, town):
    """A hexagon drawn in GCJ-02 covers its cell again; taken for WGS-84 it lies 570 m away."""
    ring = np.array(grid.boundaries([CENTRE])[0])
    moved = shapely.Polygon(np.column_stack(wgs84_to_gcj02(ring[:, 0], ring[:, 1])))
    geopandas.GeoDataFrame({"class": ["park"]}, geometry=[moved], crs=4326).to_file(tmp_path / "f.geojson")
    ingest_functions(tmp_path / "f.geojson", town, FunctionOptions("class", datum="gcj02"))
    assert labels(town)[CENTRE] == ("park", 1.0)
    ingest_functions(tmp_path / "f.geojson", town, FunctionOptions("class"))
    assert CENTRE not in labels(town)


def test_layers_and_zipped_shapefiles(tmp_path, town):
    shape = shapely.Polygon(grid.boundaries([CENTRE])[0])
    for name in ("park", "school"):
        geopandas.GeoDataFrame({"class": [name]}, geometry=[shape], crs=4326).to_file(tmp_path / "f.gpkg", layer=name)
    with pytest.raises(InputError, match=r"f.gpkg has several layers: name one with --layer: park, school"):
        ingest_functions(tmp_path / "f.gpkg", town)
    ingest_functions(tmp_path / "f.gpkg", town, FunctionOptions(layer="school"))
    assert labels(town)[CENTRE] == ("school", 1.0)
    table = geopandas.GeoDataFrame({"类别": ["公园绿地"]}, geometry=[shape], crs=4326)
    table.to_file(tmp_path / "f.shp", encoding="GB18030")
    (tmp_path / "m.toml").write_text('"公园绿地" = "park"', encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        for ending in (".shp", ".shx", ".dbf", ".prj"):  # and no .cpg
            archive.write(tmp_path / f"f{ending}", f"f{ending}")
    ingest_functions(tmp_path / "f.zip", town, FunctionOptions("类别", tmp_path / "m.toml"))
    assert labels(town)[CENTRE] == ("park", 1.0)


def test_a_zipped_geojson_keeps_its_name(tmp_path, town):
    shape = shapely.Polygon(grid.boundaries([CENTRE])[0])
    table = geopandas.GeoDataFrame({"class": ["park"]}, geometry=[shape], crs=4326)
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        archive.writestr("land/use.geojson", table.to_json())
    assert ingest_functions(tmp_path / "f.zip", town)["functions"]["files"] == ["use.geojson"]
    assert labels(town)[CENTRE] == ("park", 1.0)


def test_the_command_line_takes_points(tmp_path, town, monkeypatch):
    monkeypatch.setenv("FUSION_DATA", str(tmp_path))
    x, y = at(CENTRE)
    file = poi(tmp_path / "p.csv", [f"101,{x},{y}", f"401,{x},{y}"], "code,x,y")
    command = ["ingest", "functions", str(file), "--city", "town", "--field", "code", "--lon", "x", "--lat", "y"]
    result = CliRunner().invoke(app, [*command, "--mapping", "euluc"])
    assert result.exit_code == 0, result.output
    assert "2 points read, 1 taken, 1 rejected {'unmapped': 1}; 1 cells {'residential': 1}" in result.output


def test_euluc_codes(tmp_path, town):
    x, y = at(CENTRE)
    rows = [f"{code},{x},{y}" for code in (101, 101, 202, 201, 401, 504)]
    part = ingest_functions(poi(tmp_path / "p.csv", rows), town, FunctionOptions(mapping="euluc"))["functions"]
    assert labels(town) == {CENTRE: ("residential", 0.6667)}
    assert part["unmapped"] == {"201": 1, "401": 1, "504": 1}


def test_the_mappings_that_ship_reach_every_function():
    assert shipped_mappings() == ["amap", "euluc"]
    for name in shipped_mappings():
        mapping = load_mapping(name)
        reached = {*mapping.table.values(), *(function for _, function in mapping.beginnings)} - {UNMAPPED}
        assert reached == set(range(len(IDS)))


@pytest.mark.parametrize(
    ("value", "function"),
    [
        ("科教文化服务;学校;小学", "school"),
        ("科教文化服务；学校；小学", "school"),
        ("科教文化服务;学校;学校内部设施", None),
        ("科教文化服务;科研机构", None),
        ("餐饮服务;中餐厅|购物服务;商场", "shopping"),
        ("141203", "school"),
        ("141207", None),
        ("130103", "administrative"),
        ("", None),
    ],
)
def test_amap_types_and_codes(value, function):
    assert load_mapping("amap").find(value) == (UNMAPPED if function is None else IDS.index(function))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (FunctionOptions("kind"), r"p.csv: no column 'kind': it has type, lon, lat; name one with --field"),
        (FunctionOptions(lat="lat"), r"--lat is given without --lon"),
        (FunctionOptions(h3="cell"), r"p.csv: no column 'cell'"),
        (FunctionOptions(mapping="corine"), r"mapping corine: there is no such file: .* or use one of amap, euluc"),
        (FunctionOptions(datum="mars"), r"unknown datum 'mars'"),
        (FunctionOptions(resolution=8), r"--resolution 8: city town has resolution 9"),
    ],
)
def test_options_that_do_not_fit(tmp_path, town, options, message):
    x, y = at(CENTRE)
    file = poi(tmp_path / "p.csv", [f"park,{x},{y}"])
    with pytest.raises(InputError, match=message):
        ingest_functions(file, town, options)
    assert not open_city(town).has_functions


def test_points_elsewhere_are_one_clear_line(tmp_path, town):
    file = poi(tmp_path / "p.csv", ["park,114.65,34.76", "lake,113.65,34.76"])
    with pytest.raises(InputError, match=r"p.csv: nothing of it covers a cell of the city .*outside") as caught:
        ingest_functions(file, town)
    assert "\n" not in str(caught.value)


def test_the_real_districts_in_their_own_datum(tmp_path, shared_data):
    """Twelve districts and counties, mapped to classes here for the purpose: moved by GCJ-02's shift, not lost."""
    file = shared_data / "zhengzhou" / "districts-410100.geojson"
    names = sorted({feature["properties"]["name"] for feature in json.loads(file.read_text())["features"]})
    (tmp_path / "m.toml").write_text("\n".join(f'"{name}" = "park"' for name in names), encoding="utf-8")
    counts = {}
    for datum in ("wgs84", "gcj02"):
        options = FunctionOptions("name", tmp_path / "m.toml", datum=datum, resolution=7)
        report = ingest_functions(file, tmp_path / datum, options)
        counts[datum] = report["functions"]["cells"]
        west = report["extents"]["functions"][0]
        counts[f"{datum} west"] = west
    assert counts["gcj02"] == pytest.approx(counts["wgs84"], rel=0.01)
    assert 0.004 < counts["wgs84 west"] - counts["gcj02 west"] < 0.008
