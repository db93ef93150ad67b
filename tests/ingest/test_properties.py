"""One export, spelled in any way that people spell one, gives one city; rows of any content are all accounted for."""

import contextlib
import datetime
import gzip
import io
import shutil
import tempfile
import zipfile
from collections import defaultdict
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from fusion.city import check_name
from fusion.cli import app
from fusion.errors import InputError
from fusion.geo.grid import cells_at
from fusion.ingest.options import SignalingOptions
from fusion.ingest.presets import LAT_HEADERS, LON_HEADERS, TIME_HEADERS, VALUE_HEADERS
from fusion.ingest.signaling import ingest_signaling

EXAMPLES = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SHANGHAI = datetime.timezone(datetime.timedelta(hours=8))
TIMES = {
    "dashes": lambda t: f"{t:%Y-%m-%d %H:%M:%S}",
    "minutes": lambda t: f"{t:%Y-%m-%d %H:%M}",
    "slashes": lambda t: f"{t.year}/{t.month}/{t.day} {t.hour}:{t:%M}",
    "compact": lambda t: f"{t:%Y%m%d%H}",
    "long": lambda t: f"{t:%Y%m%d%H%M%S}",
    "chinese": lambda t: f"{t.year}年{t.month}月{t.day}日{t.hour}时",
    "iso": lambda t: t.isoformat(),
    "utc": lambda t: t.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    "seconds": lambda t: str(int(t.timestamp())),
    "milliseconds": lambda t: str(int(t.timestamp()) * 1000),
}
NUMBERS = {
    "plain": str,
    "decimal": lambda n: f"{n}.0",
    "grouped": lambda n: f"{n:,}",
    "wide": lambda n: str(n).translate(str.maketrans("0123456789", "０１２３４５６７８９")),
}
CASES = {"as known": str, "upper": str.upper, "title": str.title, "blanks": lambda text: f" {text} "}
ENCODINGS = ("utf-8", "utf-8-sig", "gb18030", "utf-16")


@st.composite
def rows(draw: st.DrawFn) -> list[tuple[datetime.datetime, float, float, int | None]]:
    """Rows of an hourly export of Zhengzhou: no place and hour comes twice."""
    keys = st.tuples(st.integers(0, 40), st.integers(0, 12))
    values = st.one_of(st.none(), st.integers(0, 40), st.integers(0, 2_000_000))
    table = draw(st.dictionaries(keys, values, min_size=1, max_size=25))
    start = datetime.datetime(2021, 7, 24, tzinfo=SHANGHAI)
    return [
        (
            start + datetime.timedelta(hours=hour),
            round(113.60 + 0.004 * place, 6),
            round(34.70 + 0.003 * place, 6),
            count,
        )
        for (place, hour), count in table.items()
    ]


@st.composite
def spellings(draw: st.DrawFn) -> dict:
    return {
        "headers": [
            draw(st.sampled_from(tuple(CASES.values())))(draw(st.sampled_from(names)))
            for names in (TIME_HEADERS, LON_HEADERS, LAT_HEADERS, VALUE_HEADERS["people"])
        ],
        "time": draw(st.sampled_from(sorted(TIMES))),
        "number": draw(st.sampled_from(sorted(NUMBERS))),
        "null": draw(st.sampled_from(["", "NA", "null", "-", "\\N"])),
        "encoding": draw(st.sampled_from(ENCODINGS)),
        "delimiter": draw(st.sampled_from([",", "\t", ";", "|"])),
        "newline": draw(st.sampled_from(["\n", "\r\n"])),
        "last_newline": draw(st.booleans()),
        "order": draw(st.permutations([0, 1, 2, 3])),
        "container": draw(st.sampled_from(["plain", "gz", "zip", "folder", "xlsx", "parquet"])),
    }


def spell(table: list, how: dict) -> list[list[str]]:
    body = [
        [
            TIMES[how["time"]](hour),
            f"{lon:.6f}",
            f"{lat:.6f}",
            how["null"] if count is None else NUMBERS[how["number"]](count),
        ]
        for hour, lon, lat, count in table
    ]
    return [[line[place] for place in how["order"]] for line in [how["headers"], *body]]


def write(folder: Path, lines: list[list[str]], how: dict) -> Path:
    if how["container"] == "xlsx":
        # as text: what a sheet does to numbers and times of its own is tested with the formats
        pd.DataFrame(lines[1:], columns=lines[0], dtype="str").to_excel(folder / "export.xlsx", index=False)
        return folder / "export.xlsx"
    if how["container"] == "parquet":
        pd.DataFrame(lines[1:], columns=lines[0], dtype="str").to_parquet(folder / "export.parquet")
        return folder / "export.parquet"
    mark = how["delimiter"]
    quoted = [[f'"{cell}"' if mark in cell else cell for cell in line] for line in lines]
    text = how["newline"].join(mark.join(line) for line in quoted) + how["newline"] * how["last_newline"]
    data = text.encode(how["encoding"])
    if how["container"] == "gz":
        (folder / "export.csv.gz").write_bytes(gzip.compress(data))
        return folder / "export.csv.gz"
    if how["container"] == "zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("郑州/export.csv", data)
        (folder / "export.zip").write_bytes(packed.getvalue())
        return folder / "export.zip"
    (folder / "in").mkdir()
    (folder / "in" / "export.csv").write_bytes(data)
    return folder / "in" if how["container"] == "folder" else folder / "in" / "export.csv"


def expected(table: list, min_count: int) -> dict:
    """By cell and hour: the sum of the counts, None where it is missing, "few" where it is small."""
    sums: dict = defaultdict(lambda: None)
    for hour, lon, lat, count in table:
        key = int(cells_at([lon], [lat], 9)[0]), int(hour.timestamp()) * 1_000_000
        known = sums[key]
        sums[key] = known if count is None else count + (known or 0)
    return {key: "few" if value is not None and 0 < value <= min_count else value for key, value in sums.items()}


def found(city: Path) -> dict:
    table = duckdb.sql(
        f"SELECT cell, epoch_us(hour) AS hour, people, people_suppressed AS few FROM '{city / 'activity.parquet'}'"
    ).fetchall()
    return {(cell, hour): "few" if few else value for cell, hour, value, few in table}


@EXAMPLES
@given(table=rows(), how=spellings(), min_count=st.sampled_from([0, 15]))
def test_an_export_gives_its_city_however_it_is_spelled(table, how, min_count):
    folder = Path(tempfile.mkdtemp())
    try:
        export = write(folder, spell(table, how), how)
        report = ingest_signaling([export], folder / "town", SignalingOptions(min_count=min_count))
        assert (report["rows_read"], report["rows_taken"]) == (len(table), len(table)), report
        assert found(folder / "town") == expected(table, min_count)
    finally:
        shutil.rmtree(folder)


TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters='\r\n\x00"'), max_size=12),
    st.sampled_from(["2021-07-24 08:00", "113.65", "34.76", "17", "-4", "1e99", "nan", "2021-07-24", "24:00", "３４"]),
    st.floats(width=32).map(str),
    st.integers().map(str),
)


@EXAMPLES
@given(table=st.lists(st.lists(TEXTS, min_size=1, max_size=6), min_size=1, max_size=20))
def test_rows_of_any_content_are_all_taken_or_rejected(table):
    folder = Path(tempfile.mkdtemp())
    try:
        # more good rows than others: a city without bounds is where most of its rows are
        good = [[f"2021-07-{day:02d} 08:00", "113.65", "34.76", "17"] for day in range(1, 26)]
        lines = [",".join(line) for line in [*good, *table]]
        export = folder / "export.csv"
        export.write_text("\n".join(["time,lon,lat,people", *lines]) + "\n", encoding="utf-8")
        report = ingest_signaling([export], folder / "town", SignalingOptions(min_count=0))
        assert report["rows_read"] == sum(1 for line in lines if line)
        assert report["rows_read"] == report["rows_taken"] + report["rows_rejected"]
        assert report["rows_taken"] >= len(good)
        rejected = duckdb.sql(f"SELECT row FROM '{folder / 'town' / 'rejects.parquet'}'").fetchall()
        assert len({row for (row,) in rejected}) == report["rows_rejected"]
        assert all(2 <= row <= len(lines) + 1 for (row,) in rejected)
    finally:
        shutil.rmtree(folder)


@EXAMPLES
@given(name=st.text(max_size=30))
def test_a_name_that_a_city_may_have_is_a_folder_of_its_own(name):
    with contextlib.suppress(InputError):
        check_name(name)
        assert (Path("/data") / name).resolve().parent == Path("/data")
        assert not name.startswith(".")


@pytest.mark.parametrize("name", ["../town", "a/b", "..", ".", "", "/etc", "C:\\town", "a\x00b", "con/../x", "~"])
def test_names_that_lead_elsewhere_are_refused_by_an_ingest(tmp_path, name):
    export = tmp_path / "a.csv"
    export.write_text("time,lon,lat,people\n2021-07-24 08:00,113.65,34.76,17\n")
    result = CliRunner().invoke(app, ["ingest", "signaling", str(export), "--city", name])
    assert isinstance(result.exception, InputError)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
