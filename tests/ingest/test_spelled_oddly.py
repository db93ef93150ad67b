"""Exports that are spelled oddly further down than a first look reaches: no row may be lost without a word."""

import datetime
import gzip

import numpy as np
import openpyxl
import pandas as pd
import pytest

from fusion.city import open_city
from fusion.errors import InputError
from fusion.ingest.options import Resources
from fusion.ingest.preview import preview_signaling
from fusion.ingest.quality import load_rejects
from fusion.ingest.signaling import ingest_signaling

HEADER = "time,lon,lat,people"
FAR = 9_000  # rows that take more than the first 256 KB, which are always looked at


def rows(count: int) -> list[str]:
    """Rows of places and hours that differ, each of 100."""
    return [
        f"2021-07-{1 + number // 24 % 28:02d} {number % 24:02d}:00,{113.6 + number // 672 / 1000:.3f},34.76,100"
        for number in range(count)
    ]


def write(path, lines, end="\n"):
    text = (end.join([HEADER, *lines]) + end).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def take(path, tmp_path, **options):
    """Ingest; return the report, the sum of all counts and the rejects."""
    report = ingest_signaling([path], tmp_path / "town", **options)
    city = open_city(tmp_path / "town")
    assert report["rows_read"] == report["rows_taken"] + report["rows_rejected"]
    return report, pd.read_parquet(city.activity)["people"].sum(), load_rejects(city)


@pytest.mark.parametrize(("place", "count"), [(10, 24), (FAR, 12_000)])
def test_a_quote_that_is_not_closed_costs_its_own_line(tmp_path, place, count):
    lines = rows(count)
    lines[5] = lines[5].rsplit(",", 1)[0] + ',"1,000"'  # a quote that is one
    lines[place] = lines[place].replace(",100", ',"100')

    report, people, rejects = take(write(tmp_path / "a.csv", lines), tmp_path)

    assert (report["rows_read"], report["rejected_by_reason"]) == (count, {"malformed": 1})
    assert people == 100 * (count - 2) + 1000
    assert rejects["row"].tolist() == [place + 2]


def test_two_quotes_that_are_not_closed_swallow_nothing_between_them(tmp_path):
    lines = rows(24)
    lines[3], lines[8] = lines[3].replace(",100", ',"100'), lines[8].replace(",100", ',100"')

    report, _, rejects = take(write(tmp_path / "a.csv", lines), tmp_path)

    assert (report["rows_read"], report["rows_taken"]) == (24, 22)
    assert rejects["row"].tolist() == [5, 10]


def test_a_field_that_goes_on_below_is_one_row(tmp_path):
    lines = [f"{line},x" for line in rows(6)]
    lines[2] = lines[2].removesuffix("x") + '"two\nlines, one field"'
    path = tmp_path / "a.csv"
    path.write_text("\n".join([f"{HEADER},note", *lines]) + "\n")

    report, people, _ = take(path, tmp_path)

    assert (report["rows_read"], report["rows_taken"], people) == (6, 6, 600)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_quotes_that_begin_far_down(tmp_path, name):
    lines = [line if number < FAR else line.replace(",100", ',"1,000"') for number, line in enumerate(rows(12_000))]

    report, people, _ = take(write(tmp_path / name, lines), tmp_path)

    assert (report["rows_taken"], people) == (12_000, 100 * FAR + 1000 * (12_000 - FAR))


@pytest.mark.parametrize("look", [ingest_signaling, lambda files, city: preview_signaling(files, city)])
def test_line_ends_that_change_far_down(tmp_path, look):
    path = write(tmp_path / "a.csv", rows(FAR))
    with path.open("ab") as file:
        file.write(("\r\n".join(rows(12_000)[FAR:]) + "\r\n").encode())

    look([path], tmp_path / "town")

    assert take(path, tmp_path)[1] == 100 * 12_000


@pytest.mark.parametrize("text", ["NAN", "nan", "-nan", "inf", ""])
def test_a_place_that_is_no_number_is_a_bad_place(tmp_path, text):
    lines = [*rows(3), f"2021-07-01 05:00,{text},34.76,100", f"2021-07-01 06:00,113.6,{text},100"]

    report, people, rejects = take(write(tmp_path / "a.csv", lines), tmp_path)

    assert (report["rows_read"], report["rejected_by_reason"], people) == (5, {"bad_place": 2}, 300)
    assert rejects["row"].tolist() == [5, 6]


def test_parquet_places_of_both_kinds_of_nothing(tmp_path):
    hours = pd.date_range("2021-07-24", periods=10, freq="h")
    frame = pd.DataFrame({"time": hours, "lon": [113.65] * 8 + [np.nan, None], "lat": 34.76, "people": 100})
    frame.to_parquet(tmp_path / "a.parquet")

    report, _, rejects = take(tmp_path / "a.parquet", tmp_path)

    assert (report["rows_taken"], rejects["row"].tolist()) == (8, [9, 10])


def test_parquet_whose_first_rows_are_all_of_midnight(tmp_path):
    hours = pd.to_datetime(["2021-07-24 00:00"] * 500 + ["2021-07-24 01:00"])
    lat = 34.7 + np.arange(501) / 10_000
    pd.DataFrame({"time": hours, "lon": 113.65, "lat": lat, "people": 99}).to_parquet(tmp_path / "a.parquet")

    assert take(tmp_path / "a.parquet", tmp_path)[0]["rows_taken"] == 501


@pytest.mark.parametrize("value", [b"\xff\xfe", True, [1, 2], {"a": 1}, pd.Timestamp("2021-07-24")])
def test_parquet_counts_that_cannot_be_any_are_one_line(tmp_path, value):
    hours = pd.date_range("2021-07-24", periods=3, freq="h")
    frame = pd.DataFrame({"time": hours, "lon": 113.65, "lat": 34.76, "people": [value] * 3})
    frame.to_parquet(tmp_path / "a.parquet")

    with pytest.raises(InputError, match=r"none of 3 rows could be taken \(3 a count that is no number") as error:
        ingest_signaling([tmp_path / "a.parquet"], tmp_path / "town")
    assert "\n" not in str(error.value)


def test_parquet_columns_that_nobody_asked_for_do_not_matter(tmp_path):
    hours = pd.date_range("2021-07-24", periods=3, freq="h")
    frame = pd.DataFrame({"time": hours, "lon": 113.65, "lat": 34.76, "people": 50, "geometry": [b"\xff\x00"] * 3})
    frame.to_parquet(tmp_path / "a.parquet")
    assert take(tmp_path / "a.parquet", tmp_path)[1] == 150

    frame.assign(file_row_number=1).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(InputError, match="column named file_row_number, which is needed here: rename it"):
        ingest_signaling([tmp_path / "b.parquet"], tmp_path / "town")


def test_midnights_of_a_workbook_are_times(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(HEADER.split(","))
    for hour in range(48):
        book.active.append([datetime.datetime(2021, 7, 24) + datetime.timedelta(hours=hour), 113.65, 34.76, 100])
    book.save(tmp_path / "a.xlsx")

    report, people, _ = take(tmp_path / "a.xlsx", tmp_path)

    assert (report["rows_taken"], people) == (48, 4800)


def test_one_time_in_several_spellings_is_one_time(tmp_path):
    place = "113.65,34.76"
    lines = [
        f"2021-07-24 08:00,{place},100", f"2021/7/24 8:00,{place},100", f"2021-07-24 08:00:00,{place},101",
        f"2021072408,{place},100", f"2021-07-24 09:00,{place},9", f"2021-07-24 9:00,{place},9",
        f"2021-07-24 10:00,{place},20", f"2021-07-24 10:30,{place},20", "2021-07-24 08:00:00,113.7,34.7,50",
    ]  # fmt: skip

    report, people, rejects = take(write(tmp_path / "a.csv", lines), tmp_path)

    assert report["rejected_by_reason"] == {"duplicate": 3, "conflict": 1}
    assert rejects["row"].tolist() == [3, 4, 5, 7]
    assert people == 100 + 0 + 40 + 50  # twice 9 stay 9, below the threshold; half past is another time


@pytest.mark.parametrize("jobs", [1, 2])
def test_files_that_spell_one_time_differently_repeat_each_other(tmp_path, jobs):
    folder = tmp_path / "days"
    folder.mkdir()
    write(folder / "a.csv", ["2021-07-24 08:00,113.65,34.76,100"])
    write(folder / "b.csv", ["2021-07-24 08:00:00,113.65,34.76,100", "2021-07-24 09:00:00,113.65,34.76,100"])

    report, people, rejects = take(folder, tmp_path, resources=Resources(jobs=jobs))

    assert (report["rejected_by_reason"], people) == ({"duplicate": 1}, 200)
    assert rejects[["file", "row"]].to_numpy().tolist() == [["days/b.csv", 2]]


@pytest.mark.parametrize("header", [HEADER, "时间,经度,纬度,人数"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_text_of_wide_characters_without_a_mark_is_refused(tmp_path, encoding, header):
    path = tmp_path / "a.csv"
    path.write_bytes("\n".join([header, *rows(24)]).encode(encoding))

    with pytest.raises(InputError, match=r"^a.csv is (UTF-32, or UTF-16|neither UTF-8).*: save it as UTF-8$"):
        ingest_signaling([path], tmp_path / "town")
    with pytest.raises(InputError, match=r"^a.csv is .*: save it as UTF-8$"):
        preview_signaling([path])


def test_a_few_bytes_of_zero_are_a_damaged_line_and_no_encoding(tmp_path):
    path = write(tmp_path / "a.csv", rows(24))
    path.write_bytes(path.read_bytes().replace(b",100\n", b",1\x00\x00\n", 1))

    report, _, _ = take(path, tmp_path)

    assert report["rows_read"] == 24


@pytest.mark.parametrize("after", [0, 3])
def test_a_line_longer_than_any_reader_takes_is_one_line(tmp_path, after):
    path = write(tmp_path / "a.csv", [*rows(3), "2021-07-24 08:00,113.65,34.76," + "9" * 34_000_000, *rows(after)])

    with pytest.raises(InputError, match=r"a\.csv (has|ends in) a line of more than 30 MB"):
        ingest_signaling([path], tmp_path / "town")


def test_a_gzip_file_of_several_members_is_measured_whole(tmp_path):
    members = (f"{HEADER}\n{rows(1)[0]}\n".encode(), b"\n" * (80 << 20), f"{rows(2)[1]}\n".encode())
    (tmp_path / "a.csv.gz").write_bytes(b"".join(map(gzip.compress, members)))

    with pytest.raises(InputError, match=r"a\.csv\.gz unpacks to \d+ MB, [\d,]+ times its size"):
        ingest_signaling([tmp_path / "a.csv.gz"], tmp_path / "town")
