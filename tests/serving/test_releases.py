"""Files that other programs open: read back by others' readers, equal to the table."""

import io
import json
from dataclasses import replace
from pathlib import Path

import h3.api.basic_str as h3
import numpy as np
import pandas as pd
import pytest
import shapely

from fusion.city import open_city
from fusion.errors import InputError
from fusion.geo import grid
from fusion.ingest.quality import load_rejects
from fusion.ingest.signaling import ingest_signaling
from fusion.serving.releases import encode_release, encode_table, rejects_release, write_release

IDS = grid.to_hex(grid.disk(int(grid.cells_at([113.65], [34.75], 9)[0]), 1))
TABLE = pd.DataFrame(
    {
        "id": IDS,
        "covered": [True] * 6 + [False],
        "predicted": ["park"] * 6 + [None],
        "confidence": [*np.linspace(0.5, 0.9, 6), np.nan],
        "city": ["郑州"] * 7,
    }
)


def test_csv_opens_in_excel_and_comes_back_equal() -> None:
    content = encode_release(TABLE, ".csv")

    assert content.startswith(b"\xef\xbb\xbf")
    again = pd.read_csv(io.BytesIO(content))
    assert again["id"].tolist() == IDS
    assert again["city"].iloc[0] == "郑州"
    assert again["confidence"].to_numpy() == pytest.approx(TABLE["confidence"].to_numpy(), nan_ok=True, rel=1e-5)


def test_csv_holds_no_formula() -> None:
    evil = pd.DataFrame({"id": IDS[:3], "name": ["=1+1", "@SUM(A1)", "-2"], "number": [-1.0, 2.0, 3.0]})

    again = pd.read_csv(io.BytesIO(encode_release(evil, ".csv")))

    assert again["name"].tolist() == ["'=1+1", "'@SUM(A1)", "'-2"]
    assert again["number"].tolist() == [-1, 2, 3]


def test_geojson_has_each_cell_as_a_closed_counter_clockwise_polygon() -> None:
    document = json.loads(encode_release(TABLE, ".geojson"))

    assert len(document["features"]) == 7
    for id_, feature in zip(IDS, document["features"], strict=True):
        shape = shapely.geometry.shape(feature["geometry"])
        assert shape.is_valid
        assert shape.exterior.is_ccw
        lat, lon = h3.cell_to_latlng(id_)
        assert shape.contains(shapely.Point(lon, lat))
        assert feature["properties"]["id"] == id_
    assert document["features"][6]["properties"]["predicted"] is None
    assert document["features"][6]["properties"]["confidence"] is None


def test_parquet_comes_back_equal() -> None:
    again = pd.read_parquet(io.BytesIO(encode_release(TABLE, ".parquet")))

    pd.testing.assert_frame_equal(again, TABLE, check_dtype=False)


def test_the_ending_says_the_kind(tmp_path: Path) -> None:
    write_release(TABLE, tmp_path / "out.GeoJSON")

    assert json.loads((tmp_path / "out.GeoJSON").read_text(encoding="utf-8"))["type"] == "FeatureCollection"
    with pytest.raises(InputError, match=r"use one of .csv, .geojson, .parquet"):
        write_release(TABLE, tmp_path / "out.xlsx")
    with pytest.raises(InputError, match="cannot be written"):
        write_release(TABLE, tmp_path / "nowhere" / "out.csv")


def test_any_table_goes_as_csv_without_formulas_and_with_all_digits() -> None:
    evil = pd.DataFrame(
        {
            "=name": ["=1+1", "\t@x", "＝HYPERLINK()", "a,b"],
            "kind": pd.Categorical(["+1", "b", "b", "b"]),
            "people": [1234567.25, -2.0, np.nan, 0.0],
            "hour": pd.date_range("2021-07-24T00:00Z", periods=4, freq="h"),
        }
    )

    lines = encode_table(evil, ".csv").decode("utf-8-sig").splitlines()

    assert lines[0] == "'=name,kind,people,hour"
    assert lines[1] == "'=1+1,'+1,1234567.25,2021-07-24T00:00Z"
    assert lines[2] == "'\t@x,b,-2.0,2021-07-24T01:00Z"
    assert lines[3] == "'＝HYPERLINK(),b,,2021-07-24T02:00Z"
    assert lines[4] == '"a,b",b,0.0,2021-07-24T03:00Z'
    with pytest.raises(InputError, match=r"use \.csv or \.parquet"):
        encode_table(evil, ".geojson")


def test_a_rejected_row_gives_no_small_count_away(tmp_path: Path) -> None:
    """The first line is suppressed; the rows that repeat it, contradict it or cannot be read hold its count."""
    good = "2021-07-24 08:00,113.65,34.76"
    lines = [
        f"{good},7",
        f"{good},7",
        f"{good},9.0",
        f"{good},400",
        "noon,113.65,34.76, 12 ",
        f"{good},7人",
        f"{good}, 7,x",
        f"{good},１２．０",
        f"{good},1_2",
        f"{good},7.",
        f"{good},.55e1",
    ]
    export = tmp_path / "a.csv"
    export.write_text("\n".join(["time,lon,lat,people", *lines]) + "\n", encoding="utf-8")
    ingest_signaling([export], tmp_path / "town")
    city = open_city(tmp_path / "town")

    released = rejects_release(city)

    assert set(released["text"]) == {
        f"{good},≤ 15",
        f"{good},400",
        "noon,113.65,34.76,≤ 15",
        f"{good},≤ 15,x",
    }
    assert released.drop(columns="text").equals(load_rejects(city).drop(columns="text"))
    kept = replace(city, info=replace(city.info, measures=(replace(city.info.measures[0], min_count=0),)))
    pd.testing.assert_frame_equal(rejects_release(kept), load_rejects(city))
