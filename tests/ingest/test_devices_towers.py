"""Records that name a cell tower: where it stands, by which table, and what is said of those that it lacks."""

import json
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from fusion.city import open_city
from fusion.errors import InputError
from fusion.geo import datum, grid
from fusion.ingest.preview import preview_signaling
from fusion.ingest.quality import load_rejects
from fusion.ingest.signaling import SignalingOptions, ingest_signaling

HERE, THERE = (113.65, 34.76), (113.68, 34.78)


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def records(path: Path, *towers: str, header: str = "cgi") -> Path:
    """One device a record, all within an hour."""
    lines = [f"u{number},2021-07-24 08:15:30,{tower}" for number, tower in enumerate(towers)]
    return write(path, f"user_id,time,{header}", *lines)


def ingest(tmp_path: Path, export: Path, towers: Path, **more: object) -> dict:
    options = SignalingOptions(preset="devices", towers=towers, **({"min_count": 0} | more))
    return ingest_signaling([export], tmp_path / "town", options)


def devices(city: Path) -> dict[int, float]:
    return dict(duckdb.sql(f"SELECT cell, devices FROM '{city / 'activity.parquet'}'").fetchall())


def cell_at(place: tuple[float, float]) -> int:
    return int(grid.cells_at([place[0]], [place[1]], 9)[0])


BOTH = {cell_at(HERE): 2, cell_at(THERE): 1}


@pytest.fixture
def table(tmp_path) -> Path:
    return write(tmp_path / "towers.csv", "cgi,lon,lat", f"T-1,{HERE[0]},{HERE[1]}", f"T-2,{THERE[0]},{THERE[1]}")


def test_devices_are_counted_at_the_tower(tmp_path, table):
    ingest(tmp_path, records(tmp_path / "a.csv", "T-1", " T-1", "T-2"), table)
    assert devices(tmp_path / "town") == BOTH


@pytest.mark.parametrize("kind", ["parquet", "geojson", "xlsx"])
def test_tables_of_other_kinds(tmp_path, kind):
    frame = pd.DataFrame({"基站编号": [1, 2], "经度": [HERE[0], THERE[0]], "纬度": [HERE[1], THERE[1]]})
    path = tmp_path / f"towers.{kind}"
    if kind == "parquet":
        frame.to_parquet(path)
    elif kind == "xlsx":
        pytest.importorskip("openpyxl")
        frame.to_excel(path, index=False)
    else:
        points = [
            {
                "type": "Feature",
                "properties": {"基站编号": n},
                "geometry": {"type": "Point", "coordinates": list(place)},
            }
            for n, place in ((1, HERE), (2, THERE))
        ]
        path.write_text(json.dumps({"type": "FeatureCollection", "features": points}))
    ingest(tmp_path, records(tmp_path / "a.csv", "1", "1.0", "2"), path)
    assert devices(tmp_path / "town") == BOTH


def test_a_cell_s_id_counts_within_its_area(tmp_path):
    towers = write(tmp_path / "towers.csv", "ci,lac,lng,lat", f"7,1,{HERE[0]},{HERE[1]}", f"7,2,{THERE[0]},{THERE[1]}")
    ingest(tmp_path, records(tmp_path / "a.csv", "1,7", "1,7", "2,7", header="lac,ci"), towers)
    assert devices(tmp_path / "town") == BOTH


@pytest.mark.parametrize("joined", ["1-7", "1_7", "1+7"])
def test_two_columns_find_ids_that_are_joined_in_the_table(tmp_path, joined):
    other = joined.replace("1", "2")
    towers = write(
        tmp_path / "t.csv", "name,cell,lon,lat", f"a,{joined},{HERE[0]},{HERE[1]}", f"b,{other},{THERE[0]},{THERE[1]}"
    )
    export = records(tmp_path / "a.csv", "1,7", "1,7", "2,7", header="area,nr")
    ingest(tmp_path, export, towers, tower="area+nr", tower_property="cell")
    assert devices(tmp_path / "town") == BOTH


def test_columns_of_the_table_by_name_and_its_datum(tmp_path):
    x, y = (float(value) for value in datum.wgs84_to_gcj02(*HERE))
    towers = write(tmp_path / "t.csv", "nr,x,y", f"5,{x},{y}")
    ingest(
        tmp_path,
        records(tmp_path / "a.csv", "5", header="where"),
        towers,
        **{"tower": "where", "tower_property": "nr", "lon": "x", "lat": "y", "datum": "gcj02"},
    )
    assert devices(tmp_path / "town") == {cell_at(HERE): 1}


def test_without_a_table_the_records_own_place_is_taken(tmp_path):
    export = write(tmp_path / "a.csv", "user_id,time,cgi,lon,lat", f"u,2021-07-24 08:00,T-9,{HERE[0]},{HERE[1]}")
    ingest_signaling([export], tmp_path / "town", SignalingOptions(preset="devices", min_count=0))
    assert devices(tmp_path / "town") == {cell_at(HERE): 1}


def test_unknown_towers_and_those_without_a_position_are_rejected(tmp_path):
    towers = write(tmp_path / "t.csv", "cgi,lon,lat", f"T-1,{HERE[0]},{HERE[1]}", "T-2,,", "T-3,9.19,45.46", "T-4,x,y")
    export = records(tmp_path / "a.csv", "T-1", "T-2", "T-3", "T-4", "T-9", "13800138000", "", "T-1")
    quality = ingest(tmp_path, export, towers)
    assert quality["rejected_by_reason"] == {"outside": 1, "unknown_tower": 5}
    assert (quality["rows_read"], quality["rows_taken"]) == (8, 2)
    texts = load_rejects(open_city(tmp_path / "town"))["text"].tolist()
    # An id that looks like the table's may be written down, and no other.
    shown = [text.rsplit(",", 1)[1] for text in texts]
    assert shown == ["T-2", "T-3", "T-4", "T-9", "99999999999", ""]


def test_ids_that_are_one_only_when_joined_alike_may_stand_at_one_place(tmp_path):
    """1-7 and 1_7 of the table both equal the records' 1 and 7: at one place, or with one position, they are one."""
    lines = [f"1-7,{HERE[0]},{HERE[1]}", f"1_7,{HERE[0]},{HERE[1]}", "2-7,,", f"2_7,{THERE[0]},{THERE[1]}", "2+7,,"]
    towers = write(tmp_path / "t.csv", "cell,lon,lat", *lines)
    export = records(tmp_path / "a.csv", "1,7", "1,7", "2,7", header="area,nr")
    ingest(tmp_path, export, towers, tower="area+nr", tower_property="cell")
    assert devices(tmp_path / "town") == BOTH


def test_ids_that_are_one_when_joined_alike_may_not_stand_at_two_places(tmp_path):
    towers = write(tmp_path / "t.csv", "cell,lon,lat", f"1-7,{HERE[0]},{HERE[1]}", f"1_7,{THERE[0]},{THERE[1]}")
    export = records(tmp_path / "a.csv", "1,7", header="area,nr")
    with pytest.raises(InputError, match=r"towers t\.csv: '1\+7' stands there twice, at two places: name its columns"):
        ingest(tmp_path, export, towers, tower="area+nr", tower_property="cell")


SWAPPED = {"CSV": "exchange x and y of the table with --lon and --lat", "GeoJSON": "save the table's points with"}


@pytest.mark.parametrize("kind", SWAPPED)
def test_a_table_that_is_swapped_is_named_not_the_records(tmp_path, kind):
    towers, more = tmp_path / "t.csv", {"lon": "x", "lat": "y"}
    if kind == "GeoJSON":
        towers, more = tmp_path / "t.geojson", {}
        point = {"type": "Point", "coordinates": HERE[::-1]}
        feature = {"type": "Feature", "properties": {"cgi": "T-1"}, "geometry": point}
        towers.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    else:
        write(towers, "cgi,x,y", f"T-1,{HERE[1]},{HERE[0]}")
    export = records(tmp_path / "a.csv", "T-1", "T-1")
    message = f"towers {towers.name}: its own longitude and latitude look swapped, by 2 of 2 records: {SWAPPED[kind]}"
    with pytest.raises(InputError, match=message):
        ingest(tmp_path, export, towers, **more)
    options = SignalingOptions(preset="devices", towers=towers, **more)
    problem = preview_signaling([export], None, options).problem or ""
    assert problem.startswith(f"towers {towers.name}: its own longitude and latitude look swapped: {SWAPPED[kind]}")


def test_the_advice_for_a_swapped_table_helps(tmp_path):
    towers = write(tmp_path / "t.csv", "cgi,lon,lat", f"T-1,{HERE[1]},{HERE[0]}")
    ingest(tmp_path, records(tmp_path / "a.csv", "T-1"), towers, lon="lat", lat="lon")
    assert devices(tmp_path / "town") == {cell_at(HERE): 1}


def test_a_tower_that_stands_twice_at_one_place_is_one(tmp_path):
    row = f"T-1,{HERE[0]},{HERE[1]}"
    ingest(tmp_path, records(tmp_path / "a.csv", "T-1"), write(tmp_path / "t.csv", "cgi,lon,lat", row, row, "T-1,,"))
    assert devices(tmp_path / "town") == {cell_at(HERE): 1}


BAD_TABLES = {
    "two places": (["cgi,lon,lat", "T-1,113.65,34.76", "T-1,113.66,34.76"], "cgi 'T-1' stands there twice"),
    "no position": (["cgi,lon,lat", "T-1,,", "T-2,,"], "no tower with a position"),
    "no longitude": (["cgi,x,lat", "T-1,113,34"], "no column is known to hold the longitude: it has cgi, x, lat"),
    "no id": (["place,lon,lat", "a,113,34"], "hold the tower's id: it has place, lon, lat; name --tower-property"),
    "torn line": (["cgi,lon,lat", "T-1,113.65,34.76", "T-2,113"], "line 3 has too few or too many fields"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_bad_table_is_one_line_before_anything_is_read(tmp_path, name):
    lines, message = BAD_TABLES[name]
    with pytest.raises(InputError, match=message):
        ingest(tmp_path, records(tmp_path / "a.csv", "T-1"), write(tmp_path / "t.csv", *lines))
    assert not (tmp_path / "town").exists()


def test_records_of_towers_need_a_table(tmp_path):
    with pytest.raises(InputError, match="'cgi' holds towers: give the table of their positions with --towers"):
        ingest_signaling([records(tmp_path / "a.csv", "T-1")], tmp_path / "town", SignalingOptions(preset="devices"))
