"""Records of devices of known content into a city: who is counted, where, and once."""

import json
import random
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from fusion.city import open_city
from fusion.cli import app
from fusion.errors import InputError
from fusion.geo import datum, grid
from fusion.ingest import devices
from fusion.ingest.devices_times import number_sql, part_sql, text_sql, texts_of
from fusion.ingest.quality import accounts, load_rejects
from fusion.ingest.signaling import SignalingOptions, ingest_signaling
from fusion.ingest.times import hours_of, join_date_and_hour

HERE, THERE = (113.65, 34.76), (113.68, 34.78)
NEAR = (HERE[0] + 1e-5, HERE[1])
HEADER = "user_id,time,lon,lat"
ALL = SignalingOptions(preset="devices", min_count=0)


def write(path: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path


def record(user: object, clock: str = "08:00:00", place: tuple[float, float] = HERE) -> str:
    return f"{user},2021-07-24 {clock},{place[0]},{place[1]}"


def cell_at(place: tuple[float, float]) -> int:
    return int(grid.cells_at([place[0]], [place[1]], 9)[0])


def counts(city: Path) -> dict[tuple[int, str], float | None]:
    """Devices by cell and UTC hour; None where they are suppressed."""
    rows = duckdb.sql(f"SELECT cell, hour, devices, devices_suppressed FROM '{city / 'activity.parquet'}'").fetchall()
    assert all((devices is None) == hidden for _, _, devices, hidden in rows)
    return {(cell, f"{hour:%dT%H}"): devices for cell, hour, devices, _ in rows}


def test_a_device_counts_once_a_cell_and_hour(tmp_path):
    """At two places of one cell, twice at one place and as a repeated record it is one; elsewhere or later, again."""
    assert cell_at(NEAR) == cell_at(HERE) != cell_at(THERE)
    lines = [record("a"), record("a"), record("a", "08:59:59"), record("a", "08:10:00", NEAR), record("b", "08:30:00")]
    lines += [record("a", "08:20:00", THERE), record("a", "09:00:00")]
    quality = ingest_signaling([write(tmp_path / "a.csv", HEADER, *lines)], tmp_path / "town", ALL)
    here, there = cell_at(HERE), cell_at(THERE)
    assert counts(tmp_path / "town") == {(here, "24T00"): 2, (there, "24T00"): 1, (here, "24T01"): 1}
    assert (quality["rows_read"], quality["rows_taken"], quality["rows_rejected"]) == (7, 7, 0)
    assert quality["duplicates"]["joined"] == "distinct"


def test_devices_of_several_files_are_the_same_devices(tmp_path):
    one = write(tmp_path / "a.csv", HEADER, record(17), record(18))
    two = tmp_path / "b.parquet"
    frame = pd.DataFrame({"user_id": [17, 19], "time": pd.to_datetime(["2021-07-24 08:15:30.5"] * 2)})
    frame.assign(lon=HERE[0], lat=HERE[1]).to_parquet(two)
    ingest_signaling([one, two], tmp_path / "town", ALL)
    assert counts(tmp_path / "town") == {(cell_at(HERE), "24T00"): 3}


def test_small_counts_of_distinct_devices_are_suppressed(tmp_path):
    """15 devices with 5 records each are 15, not 75; 16 devices are shown."""
    lines = [record(f"u{n}", f"08:0{again}:00") for n in range(15) for again in range(5)]
    lines += [record(f"u{n}", "09:00:00") for n in range(16)]
    quality = ingest_signaling(
        [write(tmp_path / "a.csv", HEADER, *lines)], tmp_path / "town", SignalingOptions(preset="devices")
    )
    assert counts(tmp_path / "town") == {(cell_at(HERE), "24T00"): None, (cell_at(HERE), "24T01"): 16}
    assert (quality["min_count"], quality["share_suppressed"]) == (15, 0.5)
    (measure,) = open_city(tmp_path / "town").info.measures
    assert (measure.id, measure.unit, measure.en, measure.zh) == ("devices", "devices", "Devices", "设备数")


def test_counts_equal_sets_in_python(tmp_path):
    """Random records, in GCJ-02, against an independent count with sets."""
    draw = random.Random(0)
    places = [(round(113.6 + draw.random() / 50, 6), round(34.7 + draw.random() / 50, 6)) for _ in range(40)]
    lines, wanted = [], {}
    cells = grid.cells_at(*datum.gcj02_to_wgs84(*np.array(places).T), 9).tolist()
    for _ in range(5000):
        user, place = draw.randrange(60), draw.randrange(len(places))
        at = datetime(2021, 7, 24) + timedelta(seconds=draw.randrange(6 * 3600))
        lines.append(f"{user:032x},{at:%Y-%m-%d %H:%M:%S},{places[place][0]},{places[place][1]}")
        wanted.setdefault((cells[place], f"{at - timedelta(hours=8):%dT%H}"), set()).add(user)
    options = SignalingOptions(preset="devices", min_count=3, datum="gcj02")
    ingest_signaling([write(tmp_path / "a.csv", HEADER, *lines)], tmp_path / "town", options)
    assert counts(tmp_path / "town") == {key: len(users) if len(users) > 3 else None for key, users in wanted.items()}


@pytest.mark.parametrize(
    "header", ["用户标识,时间,经度,纬度", "UID,DateTime,Lng,Lat", "设备号,统计时间,中心经度,中心纬度"]
)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "utf-16"])
def test_known_headers_and_encodings(tmp_path, header, encoding):
    export = write(tmp_path / "a.csv", header, record("用户甲"), record("用户甲"), record("b"), encoding=encoding)
    ingest_signaling([export], tmp_path / "town", ALL)
    assert counts(tmp_path / "town") == {(cell_at(HERE), "24T00"): 2}


def test_records_without_a_header_are_told_of_one_and_of_no_other_preset(tmp_path):
    export = write(tmp_path / "a.csv", record("460001234567890"), record("b"))
    with pytest.raises(InputError, match=r"^a.csv has no header: add a line that names the columns \(user, ") as raised:
        ingest_signaling([export], tmp_path / "town", ALL)
    assert "milan" not in str(raised.value)
    assert "460001234567890" not in str(raised.value)


def test_date_and_hour_apart_and_a_user_by_name(tmp_path):
    export = write(tmp_path / "a.csv", "who,日期,小时,lon,lat", f"a,2021-07-24,8,{HERE[0]},{HERE[1]}")
    ingest_signaling([export], tmp_path / "town", SignalingOptions(preset="devices", min_count=0, user="who"))
    assert counts(tmp_path / "town") == {(cell_at(HERE), "24T00"): 1}


TIMES = [
    *("2021-07-24 08:15:30", "2021/07/24 08:15:30", "2021-07-24T08:15:30", "2021-07-24 08:15:30.123456"),
    *("2021-07-24 08:15:30.123", "2021-07-24 24:00:00", "2021-07-24 08:15:60", "2021-02-30 08:00:00"),
    *("2021-07-24 08:00+08", "2021-07-24 08:00:0Z", "2021-07-24 08:00:00+08", "2021-7-24  08:00:00"),
    *("1627084830", "1627084830123", "1627084830123456", "2021072408", "202107240815", "20210724081530"),
    *("20210724086030", "16270848001234", "1.234567e9", "2034010108123", "0631152000000", "noon", "", None),
    *("1989-07-24 08:00:00", "2101-07-24 08:15:30", "1989999999", "1990010108", "0999999999", "2031010100000"),
    *("2021-07-24 08:15:3a", "２０２１-07-24 08:15:30", "2021年7月24日8时15分", " 1627084830", "-021-07-24 08:00:00"),
    *("20210724 08:15", "20210724T081530", "2021-07-24 8:15", "2021-07-24T08:15:30+08:00", "2021-07-24 08:15 Z"),
    *("2021-07-24\u300008:15", "1627084830.0", "2021.7.24 8时", "2021-07-24 08:15:30.1234567", "13800138000"),
    *("2021-10-31 02:30:00", "2021-03-28 02:30:00", "1635640200", "1635643800"),
]


@pytest.mark.parametrize("timezone", ["Asia/Shanghai", "Asia/Kolkata", "Australia/Eucla", "Europe/Rome"])
def test_keys_of_times_say_what_the_times_say(timezone):
    given = pd.DataFrame({"x": pd.Series(TIMES, dtype="string")})
    with duckdb.connect() as connection:
        connection.register("given", given)
        text = f"CASE WHEN k IS NULL THEN {text_sql('x')} END"
        keys = connection.sql(f"SELECT k, {text} AS t FROM (SELECT x, {number_sql('x')} AS k FROM given)")
        found = keys.to_arrow_table().to_pandas()
    spelled = texts_of(found["k"].astype("Int64"), found["t"])
    hours, reasons = hours_of(given["x"], timezone)
    kept_hours, kept_reasons = hours_of(spelled, timezone)
    assert kept_reasons.tolist() == reasons.tolist()
    good = np.array([reason is None for reason in reasons])
    assert kept_hours[good].tolist() == hours[good].tolist()


DAYS = [
    "2021-07-24",
    "2021/7/24",
    "20210724",
    "2021年7月24日",
    "2021-07-24 00:00:00",
    "2021-02-30",
    "noon",
    "13800138000",
]
HOURS = ["8", "08", "8.0", "08:00", "8时", "08:00-09:00", "8时至9时", "08:15:30", "24", "x", "8 SECRET", None]


def test_parts_of_times_say_what_they_say():
    given = pd.DataFrame([(day, hour) for day in DAYS for hour in HOURS], columns=["x", "y"], dtype="string")
    with duckdb.connect() as connection:
        connection.register("given", given)
        kept = connection.sql(f"SELECT {part_sql('x')} AS x, {part_sql('y')} AS y FROM given").to_arrow_table()
    kept = kept.to_pandas()
    mine, theirs = (hours_of(join_date_and_hour(table["x"], table["y"]), "UTC") for table in (kept, given))
    assert [column.tolist() for column in mine] == [column.tolist() for column in theirs]
    assert not {"noon", "13800138000"} & set(kept["x"])
    assert not {"x", "8 SECRET"} & set(kept["y"])


def test_bad_records_have_a_reason_and_their_line(tmp_path):
    lines = [
        HEADER,
        record("good1"),
        record(""),
        record("  "),
        record("NA"),
        "",
        record("good2", "25:00:00"),
        "only,three,fields",
        "u3,2021-07-24 08:00:00,9.19,45.46",
        "u4,2021-07-24 08:00:00,34.76,113.65",
        "u5,2021-07-24 08:00:00,east,34.76",
        record("good1", "10:00:00"),
    ]
    quality = ingest_signaling([write(tmp_path / "a.csv", *lines)], tmp_path / "town", ALL)
    rejects = load_rejects(open_city(tmp_path / "town"))
    reasons = {3: "missing_user", 4: "missing_user", 5: "missing_user", 7: "bad_time", 8: "malformed", 9: "outside"}
    reasons |= {10: "swapped", 11: "bad_place"}
    assert dict(zip(rejects["row"], rejects["reason"], strict=True)) == reasons
    assert (quality["rows_read"], quality["rows_taken"], quality["rows_rejected"]) == (10, 2, 8)
    accounts(quality)
    texts = dict(zip(rejects["row"], rejects["text"], strict=True))
    assert texts[9] == "***,2021-07-24 08:00:00,9.19,45.46"
    assert texts[7] == f"***,9999-99-99 99:99:99,{HERE[0]},{HERE[1]}"
    assert texts[8] == "*** (17 characters)"


@pytest.mark.parametrize("quote", ["", '"'])
def test_malformed_lines_are_counted_with_and_without_quotes(tmp_path, quote):
    lines = [HEADER, record(f"{quote}a{quote}"), "x,y", record("b"), "1,2,3,4,5", record("c")]
    quality = ingest_signaling([write(tmp_path / "a.csv", *lines)], tmp_path / "town", ALL)
    assert quality["rejected_by_reason"] == {"malformed": 2}
    assert counts(tmp_path / "town") == {(cell_at(HERE), "24T00"): 3}
    assert load_rejects(open_city(tmp_path / "town"))["row"].tolist() == [3, 5]


BAD_OPTIONS = {
    "value": (SignalingOptions(preset="devices", values=("lon",)), "--value is of counts"),
    "no user": (SignalingOptions(preset="devices", user="who"), "no column 'who': it has user_id, time, lon, lat"),
    "user twice": (SignalingOptions(preset="devices", user="time"), "column 'time' is named twice"),
    "other preset": (SignalingOptions(user="user_id", values=("lat",)), "give --preset devices"),
    "no towers": (SignalingOptions(preset="devices", tower="lon"), "give their table with --towers"),
}


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_a_bad_option_is_one_line(tmp_path, name):
    options, line = BAD_OPTIONS[name]
    with pytest.raises(InputError, match=line):
        ingest_signaling([write(tmp_path / "a.csv", HEADER, record("a"))], tmp_path / "town", options)
    assert not (tmp_path / "town").exists()


def test_more_places_than_memory_holds_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "_PLACE_BYTES", 10**12)
    export = write(tmp_path / "a.csv", HEADER, record("a"), record("b", place=THERE))
    with pytest.raises(InputError, match="2 distinct places need"):
        ingest_signaling([export], tmp_path / "town", ALL)
    assert not (tmp_path / "town").exists()


def test_ids_that_are_floats_are_refused(tmp_path):
    frame = pd.DataFrame({"user_id": [1.5e17], "time": ["2021-07-24 08:00"], "lon": HERE[0], "lat": HERE[1]})
    frame.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="'user_id' holds ids as floats, which lose digits"):
        ingest_signaling([tmp_path / "a.parquet"], tmp_path / "town", ALL)


def test_the_command_line_takes_records_in_an_archive(tmp_path, monkeypatch):
    monkeypatch.setenv("FUSION_DATA", str(tmp_path / "data"))
    with zipfile.ZipFile(tmp_path / "day.zip", "w") as archive:
        archive.writestr("a.csv", "\n".join(["id_hash,t,x,y", record("a"), record("b")]))
    words = [
        "ingest",
        "signaling",
        str(tmp_path / "day.zip"),
        "--city",
        "town",
        "--preset",
        "devices",
        "--min-count",
        "0",
    ]
    words += ["--user", "id_hash", "--time", "t", "--lon", "x", "--lat", "y"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "2 rows read, 2 taken, 0 rejected" in result.output
    assert counts(tmp_path / "data" / "town") == {(cell_at(HERE), "24T00"): 2}
    assert json.loads((tmp_path / "data" / "town" / "quality.json").read_text())["preset"] == "devices"
