"""Exports of known content into a city: what is taken, what is summed, what is hidden."""

import gzip
import json
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fusion import store
from fusion.city import open_city
from fusion.errors import InputError
from fusion.geo import datum, grid
from fusion.ingest.quality import load_quality
from fusion.ingest.signaling import SignalingOptions, ingest_signaling

HERE = (113.65, 34.76)
THERE = (113.68, 34.78)
HEADER = "time,lon,lat,people"


def write(path: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path


def row(hour: int, people: object, place: tuple[float, float] = HERE) -> str:
    return f"2021-07-24 {hour:02d}:00,{place[0]},{place[1]},{people}"


def activity(city: Path) -> pd.DataFrame:
    table = duckdb.connect().read_parquet(str(city / "activity.parquet")).to_arrow_table().to_pandas()
    return table.set_index(["cell", "hour"])


def cell_at(place: tuple[float, float], resolution: int = 9) -> int:
    return int(grid.cells_at([place[0]], [place[1]], resolution)[0])


def test_a_new_city_describes_what_came(tmp_path):
    export = write(tmp_path / "a.csv", HEADER, row(8, 100), row(10, 50, THERE))
    quality = ingest_signaling([export], tmp_path / "town")
    city = open_city(tmp_path / "town")
    assert city.info.title_en == city.info.title_zh == "town"
    assert (city.info.provenance, city.info.timezone, city.info.resolution) == ("real", "Asia/Shanghai", 9)
    assert (city.info.first_hour, city.info.hours) == ("2021-07-24T00:00:00Z", 3)
    assert [(measure.id, measure.min_count) for measure in city.info.measures] == [("people", 15)]
    west, south, east, north = city.info.bounds
    assert west < HERE[0] < THERE[0] < east
    assert south < HERE[1] < THERE[1] < north
    assert quality["missing_hours"] == 1
    assert quality["missing_hours_listed"] == ["2021-07-24T01:00:00Z"]
    assert quality == load_quality(city) == json.loads((tmp_path / "town" / "quality.json").read_text())


def test_the_table_is_as_the_contract_says(tmp_path):
    export = write(tmp_path / "a.csv", HEADER, *(row(h, 100 + h, p) for p in (THERE, HERE) for h in (9, 8, 10)))
    ingest_signaling([export], tmp_path / "town")
    table = pq.read_table(tmp_path / "town" / "activity.parquet")
    assert table.schema.field("cell").type == pa.uint64()
    assert table.schema.field("hour").type == pa.timestamp("us", "UTC")
    assert table.schema.field("people").type == pa.float32()
    assert table.schema.field("people_suppressed").type == pa.bool_()
    keys = list(zip(table["hour"].to_pylist(), table["cell"].to_pylist(), strict=True))
    assert keys == sorted(keys)


def test_sums_first_and_hides_then(tmp_path):
    """Two places of one cell, 10 each: 20 is above the threshold, though neither is."""
    near = (HERE[0] + 1e-5, HERE[1])
    assert cell_at(near) == cell_at(HERE)
    export = write(
        tmp_path / "a.csv",
        HEADER,
        *(
            row(8, 10),
            row(8, 10, near),
            row(9, 15),
            row(10, 16),
            row(11, 0),
            row(12, ""),
            row(13, 5),
            row(13, "", near),
        ),
    )
    quality = ingest_signaling([export], tmp_path / "town")
    rows = activity(tmp_path / "town").loc[cell_at(HERE)]
    assert rows["people"].tolist() == pytest.approx([20, np.nan, 16, 0, np.nan, np.nan], nan_ok=True)
    assert rows["people_suppressed"].tolist() == [False, True, False, False, False, True]
    assert quality["share_suppressed"] == pytest.approx(2 / 5)
    assert quality["rows_taken"] == quality["rows_read"] == 8


def test_min_count_is_an_option(tmp_path):
    export = write(tmp_path / "a.csv", HEADER, row(8, 1), row(9, 3), row(10, 4))
    ingest_signaling([export], tmp_path / "none", SignalingOptions(min_count=0))
    assert activity(tmp_path / "none")["people"].tolist() == [1, 3, 4]
    ingest_signaling([export], tmp_path / "three", SignalingOptions(min_count=3))
    assert activity(tmp_path / "three")["people"].isna().tolist() == [True, True, False]


@pytest.mark.parametrize("name", ["gcj02", "bd09"])
def test_the_datum_is_undone(tmp_path, name):
    shifted = getattr(datum, f"wgs84_to_{name}")(*HERE)
    export = write(tmp_path / "a.csv", HEADER, row(8, 100, tuple(float(x) for x in shifted)))
    ingest_signaling([export], tmp_path / "town", SignalingOptions(datum=name))
    assert store.cells(open_city(tmp_path / "town")).tolist() == [cell_at(HERE)]
    ingest_signaling([export], tmp_path / "wrong")
    assert store.cells(open_city(tmp_path / "wrong")).tolist() != [cell_at(HERE)]


def test_chinese_headers_gbk_and_date_and_hour_apart(tmp_path):
    lines = ["日期,小时,经度,纬度,人数,流入,流出,区县", f"2021-07-24,8,{HERE[0]},{HERE[1]},100,30,20,中原区"]
    expected = None
    for encoding in ("gbk", "utf-8", "utf-8-sig", "utf-16"):
        export = write(tmp_path / f"{encoding}.csv", *lines, encoding=encoding)
        quality = ingest_signaling([export], tmp_path / "town")
        assert quality["measures"] == ["people", "inflow", "outflow"]
        rows = activity(tmp_path / "town")
        assert rows[["people", "inflow", "outflow"]].iloc[0].tolist() == [100, 30, 20]
        expected = rows if expected is None else expected
        pd.testing.assert_frame_equal(rows, expected)
    assert open_city(tmp_path / "town").info.first_hour == "2021-07-24T00:00:00Z"


def test_tsv_gz_semicolons_quotes_and_parquet_hold_the_same(tmp_path):
    table = pd.DataFrame(
        {
            "name": ["x, y", "z"],
            "time": ["2021-07-24 08:00", "2021-07-24 09:00"],
            "lon": HERE[0],
            "lat": HERE[1],
            "people": [100, 50],
        }
    )
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_csv(tmp_path / "b.tsv", index=False, sep="\t")
    table.to_csv(tmp_path / "c.txt", index=False, sep=";")
    with gzip.open(tmp_path / "d.csv.gz", "wt") as file:
        table.to_csv(file, index=False)
    table.to_parquet(tmp_path / "e.parquet")
    table.assign(time=pd.to_datetime(table["time"])).to_parquet(tmp_path / "f.parquet")
    table.assign(time=pd.to_datetime(table["time"]).dt.tz_localize("Asia/Shanghai")).to_parquet(tmp_path / "g.parquet")
    table.to_csv(tmp_path / "odd[1]*.csv", index=False)
    expected = None
    for export in sorted(path for path in tmp_path.iterdir() if path.is_file() and not path.name.startswith(".")):
        quality = ingest_signaling([export], tmp_path / "town")
        rows = activity(tmp_path / "town")
        assert quality["rows_taken"] == 2, export.name
        assert rows["people"].tolist() == [100, 50]
        expected = rows if expected is None else expected
        pd.testing.assert_frame_equal(rows, expected)


def test_several_files_are_one_export(tmp_path):
    one = write(tmp_path / "a.csv", HEADER, row(8, 100))
    two = write(tmp_path / "b.csv", "people,lat,lon,time", f"70,{HERE[1]},{HERE[0]},2021072409")
    three = tmp_path / "c.parquet"
    pd.DataFrame({"time": ["2021-07-24 10:00"], "lon": HERE[0], "lat": HERE[1], "people": [60]}).to_parquet(three)
    quality = ingest_signaling([one, two, three], tmp_path / "town")
    assert quality["files"] == ["a.csv", "b.csv", "c.parquet"]
    assert activity(tmp_path / "town")["people"].tolist() == [100, 70, 60]


@pytest.mark.parametrize("spell", ["{:x}", "{:d}"])
def test_h3_columns_roll_up(tmp_path, spell):
    fine = grid.cells_at([HERE[0]], [HERE[1]], 11)[0]
    export = write(tmp_path / "a.csv", "time,h3,people", f"2021072408,{spell.format(int(fine))},100")
    ingest_signaling([export], tmp_path / "town")
    assert store.cells(open_city(tmp_path / "town")).tolist() == grid.parents([fine], 2).tolist()


def test_grid_ids_go_to_their_squares(tmp_path):
    def square(name: object, place: tuple[float, float]) -> dict:
        x, y, d = *place, 0.001
        ring = [[x - d, y - d], [x + d, y - d], [x + d, y + d], [x - d, y + d], [x - d, y - d]]
        geometry = {"type": "Polygon", "coordinates": [ring]}
        return {"type": "Feature", "properties": {"id": name, "other": 1}, "geometry": geometry}

    squares = {"type": "FeatureCollection", "features": [square(1, HERE), square(2, THERE)]}
    (tmp_path / "grid.geojson").write_text(json.dumps(squares))
    export = write(tmp_path / "a.csv", "time,网格编号,人数", "2021072408,2,100", "2021072408,7,100")
    options = SignalingOptions(grid=tmp_path / "grid.geojson", grid_property="id")
    quality = ingest_signaling([export], tmp_path / "town", options)
    assert store.cells(open_city(tmp_path / "town")).tolist() == [cell_at(THERE)]
    assert quality["rejected_by_reason"] == {"unknown_grid_id": 1}
    with pytest.raises(InputError, match="--grid-property which property to take: it has id, other"):
        ingest_signaling([export], tmp_path / "town", SignalingOptions(grid=tmp_path / "grid.geojson"))


def test_columns_by_name_and_measures_of_ones_own(tmp_path):
    export = write(tmp_path / "a.csv", "t,x,y,order,用户数", f"2021072408,{HERE[0]},{HERE[1]},100,50")
    options = SignalingOptions(time="t", lon="x", lat="y", values=("order", "用户数"))
    quality = ingest_signaling([export], tmp_path / "town", options)
    assert quality["measures"] == ["m_order", "count"]
    city = open_city(tmp_path / "town")
    assert city.info.measure("count").zh == "用户数"
    assert store.totals(city, "m_order")["total"].tolist() == [100]


def test_a_timezone_moves_local_times_and_not_instants(tmp_path):
    export = write(tmp_path / "a.csv", HEADER, row(8, 100), f"2021-07-24T08:00:00Z,{HERE[0]},{HERE[1]},100")
    ingest_signaling([export], tmp_path / "town", SignalingOptions(timezone="Europe/Rome"))
    hours = [f"{hour:%Y-%m-%dT%H}" for _, hour in activity(tmp_path / "town").index]
    assert hours == ["2021-07-24T06", "2021-07-24T08"]
    assert open_city(tmp_path / "town").info.timezone == "Europe/Rome"


def test_activity_is_replaced_as_a_whole_and_the_city_keeps_the_rest(tmp_path):
    ingest_signaling([write(tmp_path / "a.csv", HEADER, row(8, 100))], tmp_path / "town")
    first = open_city(tmp_path / "town")
    (first.path / "samples").mkdir()
    ingest_signaling([write(tmp_path / "b.csv", HEADER, row(20, 70, THERE))], tmp_path / "town")
    city = open_city(tmp_path / "town")
    assert activity(city.path)["people"].tolist() == [70]
    assert city.info.first_hour == "2021-07-24T12:00:00Z"
    assert city.info.sources == ("signaling: b.csv",)
    assert city.fingerprint() != first.fingerprint()
    assert (city.path / "samples").is_dir()


def test_the_same_export_gives_the_same_fingerprint(tmp_path):
    lines = [row(hour, 20 + hour, place) for hour in range(24) for place in (HERE, THERE)]
    ingest_signaling([write(tmp_path / "a.csv", HEADER, *lines)], tmp_path / "one")
    ingest_signaling([write(tmp_path / "b.csv", HEADER, *reversed(lines))], tmp_path / "two")
    assert open_city(tmp_path / "one").fingerprint() == open_city(tmp_path / "two").fingerprint()


def test_progress_runs_from_0_to_1(tmp_path):
    shares = []
    export = write(tmp_path / "a.csv", HEADER, row(8, 100))
    ingest_signaling([export], tmp_path / "town", progress=lambda share, text: shares.append(share))
    assert shares[0] == 0.0
    assert shares[-1] == 1.0
    assert shares == sorted(shares)


def test_milan_sums_equal_pandas(tmp_path, shared_data):
    """The published sample against an independent sum: by square and hour over country codes and bins."""
    export = shared_data / "milan" / "sms-call-internet-mi-sample.tsv"
    squares = shared_data / "milan" / "milano-grid.geojson"
    quality = ingest_signaling([export], tmp_path / "milan", SignalingOptions(preset="milan", grid=squares))
    names = ["square", "ms", "country", "sms_in", "sms_out", "call_in", "call_out", "internet"]
    raw = pd.read_csv(export, sep="\t", header=None, names=names)
    raw["hour"] = pd.to_datetime(raw["ms"] // 3_600_000 * 3_600_000, unit="ms", utc=True)
    wanted = raw.groupby(["square", "hour"])[names[3:]].sum(min_count=1)
    features = json.loads(squares.read_text())["features"]
    ring = {f["properties"]["cellId"]: np.array(f["geometry"]["coordinates"][0][:4]) for f in features}
    assert quality["rows_taken"] == quality["rows_read"] == len(raw)
    assert (quality["hours"], quality["cells"], quality["min_count"]) == (24, 4, 0)
    found = activity(tmp_path / "milan")
    for square in (1, 10, 100, 1000):
        cell = cell_at(tuple(ring[square].mean(axis=0)))
        mine, theirs = found.loc[cell][names[3:]], wanted.loc[square]
        assert list(mine.index) == list(theirs.index)
        np.testing.assert_allclose(mine.to_numpy(dtype=float), theirs.to_numpy(), rtol=1e-6)
    city = open_city(tmp_path / "milan")
    assert city.info.first_hour == "2013-10-31T23:00:00Z"
    assert city.info.timezone == "Europe/Rome"
    assert store.totals(city, "internet")["total"].sum() == pytest.approx(raw["internet"].sum(), rel=1e-6)
