"""Bad exports: each bad row in the rejects with its reason, each bad file one clear line and the city as it was."""

from pathlib import Path

import duckdb
import pandas as pd
import pytest

from fusion.city import open_city
from fusion.errors import FusionError, InputError
from fusion.ingest.quality import load_rejects
from fusion.ingest.signaling import SignalingOptions, ingest_signaling

HEADER = "time,lon,lat,people"
GOOD = "2021-07-24 08:00,113.65,34.76,100"


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def town(tmp_path):
    """A city with one good row; its labels, which only have to lie there, give it fixed bounds."""
    ingest_signaling([write(tmp_path / "good.csv", HEADER, GOOD, GOOD.replace("113.65", "113.70"))], tmp_path / "town")
    rows = "SELECT 1::UBIGINT AS cell, 'park' AS function, 1::FLOAT AS share, 'x' AS source"
    duckdb.sql(f"COPY ({rows}) TO '{tmp_path / 'town' / 'functions.parquet'}'")
    return tmp_path / "town"


DIRTY = [
    (GOOD, None),
    ("2021-07-24 09:00,113.65,34.76,x", "bad_value"),
    ("2021-07-24 09:00,113.65,34.76,<15", "bad_value"),
    ("2021-07-24 09:00,113.65,34.76,inf", "bad_value"),
    ("2021-07-24 09:00,113.65,34.76,-3", "negative"),
    ("noon,113.65,34.76,100", "bad_time"),
    (",113.65,34.76,100", "bad_time"),
    ("2021-07-24 09:00,east,34.76,100", "bad_place"),
    ("2021-07-24 09:00,,34.76,100", "bad_place"),
    ("2021-07-24 09:00,113.65,999,100", "bad_place"),
    ("2021-07-24 09:00,34.76,113.65,100", "swapped"),
    ("2021-07-24 09:00,9.19,45.46,100", "outside"),
    ("2021-07-24 09:00,0,0,100", "outside"),
    ("2021-07-24 09:00,113.65", "malformed"),
    ("2021-07-24 09:00,113.65,34.76,100,7", "malformed"),
    (GOOD, "duplicate"),
    ("2021-07-24 08:00:00,113.650,34.76,100.0", None),
    ("2021-07-24 08:00,113.65,34.76,90", "conflict"),
    ("2021-07-24 11:00,113.65,34.76,", None),
    ("2021-07-24 11:00,113.65,34.76,8", "conflict"),
]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_every_bad_row_has_its_reason_and_its_line(tmp_path, town, ending):
    rows = [(text, why) for text, why in DIRTY if text != "2021-07-24 08:00:00,113.650,34.76,100.0"]
    if ending == "parquet":
        rows = [(text, why) for text, why in rows if why != "malformed"]
        export, first = tmp_path / "a.parquet", 1
        table = pd.DataFrame([text.split(",") for text, _ in rows], columns=HEADER.split(","))
        table.to_parquet(export)
    else:
        export, first = write(tmp_path / "a.csv", HEADER, *(text for text, _ in rows)), 2
    quality = ingest_signaling([export], town)
    rejects = load_rejects(open_city(town))
    wanted = [(number, why, text) for number, (text, why) in enumerate(rows, start=first) if why]
    assert list(zip(rejects["row"], rejects["reason"], rejects["text"], strict=True)) == wanted
    assert set(rejects["file"]) == {export.name}
    assert quality["rows_read"] == len(rows)
    assert quality["rows_rejected"] == len(rejects) == sum(quality["rejected_by_reason"].values())
    assert quality["rows_taken"] + quality["rows_rejected"] == quality["rows_read"]
    table = duckdb.sql(f"SELECT people FROM '{town / 'activity.parquet'}' ORDER BY hour").to_arrow_table().to_pydict()
    assert table == {"people": [100.0, None]}


def test_line_numbers_count_blank_lines_and_both_files(tmp_path, town):
    one = write(tmp_path / "a.csv", "", HEADER, "", GOOD, "bad", "", GOOD)
    two = write(tmp_path / "b.csv", HEADER, "2021-07-24 09:00,113.65,34.76,-1", GOOD)
    quality = ingest_signaling([one, two], town)
    rejects = load_rejects(open_city(town))
    found = list(zip(rejects["file"], rejects["row"], rejects["reason"], strict=True))
    assert found == [
        ("a.csv", 5, "malformed"),
        ("a.csv", 7, "duplicate"),
        ("b.csv", 2, "negative"),
        ("b.csv", 3, "duplicate"),
    ]
    assert (quality["rows_read"], quality["rows_taken"]) == (5, 1)


def test_places_are_compared_as_numbers(tmp_path, town):
    export = write(tmp_path / "a.csv", HEADER, GOOD, GOOD.replace("113.65", "113.6500"))
    assert ingest_signaling([export], town)["rejected_by_reason"] == {"duplicate": 1}


def test_clocks_that_change_are_named(tmp_path):
    export = write(
        tmp_path / "a.csv",
        HEADER,
        *("2021-10-31 02:30,9.19,45.46,100", "2021-03-28 02:30,9.19,45.46,100", "2021-10-31 04:00,9.19,45.46,100"),
    )
    quality = ingest_signaling([export], tmp_path / "rome", SignalingOptions(timezone="Europe/Rome"))
    assert quality["rejected_by_reason"] == {"ambiguous_time": 1, "nonexistent_time": 1}


def test_a_new_city_is_where_most_rows_are(tmp_path):
    export = write(tmp_path / "a.csv", HEADER, GOOD, GOOD.replace("08", "09"), "2021-07-24 08:00,9.19,45.46,100")
    assert ingest_signaling([export], tmp_path / "new")["rejected_by_reason"] == {"outside": 1}
    west, _, east, _ = open_city(tmp_path / "new").info.bounds
    assert 113 < west < east < 114


def test_a_second_export_without_rejects_clears_them(tmp_path, town):
    ingest_signaling([write(tmp_path / "a.csv", HEADER, GOOD, "bad")], town)
    assert len(load_rejects(open_city(town))) == 1
    ingest_signaling([write(tmp_path / "a.csv", HEADER, GOOD)], town)
    assert not len(load_rejects(open_city(town)))


FILES = {
    "empty.csv": (b"", r"empty.csv is empty"),
    "blank.csv": (b"\n\n", r"blank.csv is empty"),
    "header.csv": (b"time,lon,lat,people\n", r"header.csv has a header and no rows"),
    "torn.parquet": (b"PAR1 torn", r"torn.parquet cannot be read as Parquet"),
    "torn.csv.gz": (b"\x1f\x8b\x08\x00torn", r"torn.csv.gz cannot be read"),
    "table.xlsx": (b"PK", r"table.xlsx cannot be read as a workbook"),
    "table.docx": (b"PK", r"table.docx: .docx is not known: give .csv"),
    "bytes.csv": (b"time,lon,lat,people\n\xff\xfe\xff\xfa\xff\xff\n", r"bytes.csv is neither UTF-8 nor GBK"),
    "bare.csv": (b"2021072408,113.6,34.7,100\n", r"bare.csv has no header .*--preset milan"),
    "time.csv": (b"lon,lat,people\n113.6,34.7,9\n", r"no column is known to hold the time: it has lon, lat, people"),
    "place.csv": (b"time,people\n2021072408,9\n", r"no column is known to hold the place: it has time, people"),
    "count.csv": (b"time,lon,lat\n2021072408,113.6,34.7\n", r"no column is known to hold the count"),
    "ids.csv": (b"time,grid_id,people\n2021072408,5,9\n", r"'grid_id' holds grid ids: give the grid's GeoJSON"),
    "days.csv": (b"time,lon,lat,people\n2021-07-24,113.6,34.7,9\n", r"'time' holds dates without hours"),
    "noon.csv": (b"time,lon,lat,people\nnoon,113.6,34.7,9\n", r"column 'time' holds 'noon', no time"),
    "twice.csv": (b"time,time,lon,lat,people\na,2021072408,113.6,34.7,9\n", r"two columns named 'time'"),
    "swapped.csv": (b"time,lon,lat,people\n2021072408,34.7,113.6,9\n", r"look swapped in 1 of 1 rows.*exchange lon"),
    "away.csv": (
        b"time,lon,lat,people\n2021072408,9.19,45.46,9\n",
        r"signaling covers 9.1900.* and city town 113.*not overlap",
    ),
    "nothing.csv": (b"time,lon,lat,people\n2021072408,113.65,34.76,x\n", r"none of 1 rows could be taken \(1 a count"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_is_one_line_and_the_city_stays(tmp_path, town, name):
    text, message = FILES[name]
    (tmp_path / name).write_bytes(text)
    before = contents(town)
    with pytest.raises(InputError, match=message) as caught:
        ingest_signaling([tmp_path / name], town)
    assert "\n" not in str(caught.value)
    assert contents(town) == before


OPTIONS = {
    "preset": (SignalingOptions(preset="nanjing"), r"unknown preset 'nanjing': use one of daas, devices, milan"),
    "datum": (SignalingOptions(datum="gps"), r"unknown datum 'gps': use one of wgs84, gcj02, bd09"),
    "timezone": (SignalingOptions(timezone="Beijing"), r"unknown timezone 'Beijing'"),
    "time": (SignalingOptions(time="when"), r"no column 'when': it has time, lon, lat, people; name one with --time"),
    "lon": (SignalingOptions(lon="x", lat="lat"), r"no column 'x': it has time, lon, lat, people; name one with --lon"),
    "half": (SignalingOptions(lon="lon"), r"--lon and --lat go together"),
    "both": (SignalingOptions(lon="lon", lat="lat", h3="lon"), r"--lon/--lat and --h3 both say"),
    "value": (SignalingOptions(values=("uv",)), r"no column 'uv'"),
    "same": (SignalingOptions(values=("lon",)), r"column 'lon' is named twice"),
    "resolution": (SignalingOptions(resolution=16), r"H3 resolution 16 does not exist"),
    "labelled": (SignalingOptions(resolution=8), r"city town has functions on resolution 9"),
    "min_count": (SignalingOptions(min_count=-1), r"--min-count -1 is negative"),
    "milan": (SignalingOptions(preset="milan"), r"no column 'square_id'"),
    "grid": (
        SignalingOptions(grid_id="lon", grid=Path("absent.geojson")),
        r"grid absent.geojson: there is no such file",
    ),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_bad_option_is_one_line_and_the_city_stays(tmp_path, town, name):
    options, message = OPTIONS[name]
    before = contents(town)
    with pytest.raises(InputError, match=message) as caught:
        ingest_signaling([write(tmp_path / "a.csv", HEADER, GOOD)], town, options)
    assert "\n" not in str(caught.value)
    assert contents(town) == before


def test_no_file_and_an_absent_one(tmp_path):
    with pytest.raises(InputError, match="no file was named"):
        ingest_signaling([], tmp_path / "town")
    with pytest.raises(InputError, match=r"a.csv: there is no such file"):
        ingest_signaling([tmp_path / "a.csv"], tmp_path / "town")
    assert not (tmp_path / "town").exists()


def test_chinese_datum_elsewhere_is_refused(tmp_path):
    export = write(tmp_path / "a.csv", HEADER, "2021-07-24 08:00,9.19,45.46,100")
    with pytest.raises(InputError, match=r"datum bd09 is one of Chinese maps, but the places lie about 9.190, 45.460"):
        ingest_signaling([export], tmp_path / "town", SignalingOptions(datum="bd09"))


def test_a_failing_write_is_one_line_and_the_city_stays(tmp_path, town, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fusion.ingest.signaling.write_rejects", full)
    before = contents(town)
    with pytest.raises(FusionError, match=r"city town was not changed: .*No space left on device"):
        ingest_signaling([write(tmp_path / "a.csv", HEADER, GOOD)], town)
    assert contents(town) == before
