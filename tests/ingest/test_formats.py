"""One export in every spelling: encodings, containers, headers, numbers; the same counts come out of each."""

import base64
import datetime
import gzip
import itertools
import zipfile
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import openpyxl
import pandas as pd
import pytest

from fusion.city import open_city
from fusion.errors import InputError
from fusion.ingest.columns import find_roles
from fusion.ingest.exports import open_exports
from fusion.ingest.indexing import index_times
from fusion.ingest.numerals import as_number
from fusion.ingest.options import SignalingOptions
from fusion.ingest.presets import preset
from fusion.ingest.quality import load_rejects
from fusion.ingest.scan import Scan, connect
from fusion.ingest.signaling import ingest_signaling
from fusion.ingest.stamps import find_stamp

HEADER = ["时间", "经度", "纬度", "人数"]
HOURLY = HEADER[1:]
HOURS = (("08", 100), ("09", 1250))
ROWS = [["2021-07-24 08:00", 113.65, 34.76, 100], ["2021-07-24 09:00", 113.65, 34.76, 1250]]
EIGHT_US = 1627084800_000_000  # 2021-07-24 08:00 in Asia/Shanghai
WANTED = [(EIGHT_US, 113.65, 34.76, 100.0), (EIGHT_US + 3_600_000_000, 113.65, 34.76, 1250.0)]
# The two rows in Excel 97's format: no maintained library writes it any more.
XLS = """
c-rk)T}V_x6#nM!UR_1kUDHSdS%j=?7p~jCVAq23sm1D{h^W-PVA!s*^kNTXnU6sf5k)V81zA|W^e@z#55Yz~1VNxhPdx<|J?P%fIeWL%3S20`xZh>YoH=LC
%(*jjX6D|P>EOiRX!RuKVH-Ti*hMIqB~z4&a)kg$Z`;h~avvqz#gamik0!D}$CJ_*g*=Bm-;>aA&-<Jx@Sf5k^dQ!qv_gxB9pXcqVjr4_DqJUtA64R2xzG-w
%Y@#Qnoor`i{!k}CaOE34kB&F>bE$n_<&X`IzPDG2V(P9Bn_y<IIrT<7gV;cj_s*qZO50GqQ+Z-A<%@jSV=3z<x1S(knJTz5{XDW9_s9DOe7{yK~p}2FLnr+
%Ek7xkSkwYxdO?*&6OAaLGGieoG-tmd4WFIM<rASP=c_RHJa+Nk{#19C9pY>{;M^0nX>e$n};d8lg%E-dMsKXQ6t(AF*Zk{8$!m`M#Io4D8kW=MltXGvR4G=
>=mUFLnTDxC=)&?krW^|r*D0JwY$C5JR*`lIUlm8$SQUhHqNjG8T&=!5z3l+u~;YcthBmP_-dgQw9F~5YprycUHww$oM`K)pY?**=IUAe8sY~&?Ri);@WEV5
{7B2>$%>IT<{)b6REv{6Km7=+u)21Y@yN{O%Gq(=39b5N_wi`~$9LN~D$6i~Vqt?qvn3uK^`oRYW0fs=sN`|lQuEsK&<H8n_ihgl57&=;Y#zf3@i&Moquj^7
O-wH;ZiidYe&dZM-thR2$@|Q;)|@)*ht4+utsM8+g!a>)D259cE?l^9;lhQBr3@wa(CpotZ-%;auP=1|>&#HfxW7sMTkJ(QJtydMawn3Mr_h_%`dJQL<=RpU
w8{N1WbCKjQ|Lmw_|cX3`las}HT!)QY#8`^A(U_bnSA{G$Nhf?ow?>`
"""


def read(tmp_path: Path, *paths: Path, **options: object) -> SimpleNamespace:
    """The grouped rows of an export (`hour_us`, lon, lat, people), its tables and notes."""
    scratch = tmp_path / ".scratch"
    scratch.mkdir(exist_ok=True)
    asked, chosen = SignalingOptions(**options), preset("daas")
    tables, notes = open_exports(paths, chosen, asked, scratch)
    roles = [find_roles(table, chosen, asked) for table in tables]
    with connect(scratch) as connection:
        scan = Scan(connection, tables, roles, sums_rows=False)
        scan.group()
        rows = connection.sql("SELECT * FROM groups").to_arrow_table().to_pandas()
    whens, _ = index_times(rows, "Asia/Shanghai")
    counts = sorted(zip(whens["hour"], rows["p0"], rows["p1"], rows["v0"], strict=True))
    return SimpleNamespace(counts=counts, tables=tables, notes=notes, roles=roles)


def text(rows: list[list[object]] = ROWS, header: list[str] = HEADER, mark: str = ",", end: str = "\n") -> str:
    return end.join(mark.join(map(str, row)) for row in [header, *rows]) + end


def workbook(path: Path, **sheets: list[list[object]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def archive(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


SPELLINGS = list(itertools.product(("utf-8", "utf-8-sig", "gb18030", "utf-16"), (",", "\t", ";", "|"), ("\n", "\r\n")))


@pytest.mark.parametrize("container", ["csv", "csv.gz", "zip"])
def test_encodings_delimiters_and_line_ends(tmp_path, container):
    """Every spelling (a third of them in containers), with places of its own, in one export."""
    paths = []
    wanted = []
    spellings = SPELLINGS if container == "csv" else SPELLINGS[::3]
    for number, (encoding, mark, end) in enumerate(spellings):
        lon = 113 + number / 100
        wanted += [(hour, lon, lat, people) for hour, _, lat, people in WANTED]
        content = text([[time, lon, lat, people] for time, _, lat, people in ROWS], mark=mark, end=end).encode(encoding)
        paths.append(tmp_path / f"{number}.{container}")
        if container == "zip":
            archive(paths[-1], **{"七月/数据.csv": content})
        else:
            paths[-1].write_bytes(gzip.compress(content) if container == "csv.gz" else content)
    assert read(tmp_path, *paths).counts == sorted(wanted)


def test_lines_that_end_differently_are_read_too(tmp_path):
    path = tmp_path / "mixed.csv"
    path.write_bytes(text().replace("\n", "\r\n", 2).encode())
    assert read(tmp_path, path).counts == WANTED


def test_parquet_and_its_zip(tmp_path):
    table = pd.DataFrame(ROWS, columns=HEADER)
    table.to_parquet(tmp_path / "a.parquet")
    archive(tmp_path / "b.zip", **{"a.parquet": (tmp_path / "a.parquet").read_bytes()})
    assert read(tmp_path, tmp_path / "a.parquet").counts == read(tmp_path, tmp_path / "b.zip").counts == WANTED


HEADERS = [
    (["time", "lon", "lat", "people"], ["2021-07-24 {}:00", 113.65, 34.76]),
    (["Date_Time", "LNG", "Latitude", "Population"], ["2021/7/24 {}:00", 113.65, 34.76]),
    (["统计时间", "中心经度", "中心纬度", "人流量"], ["2021年7月24日{}时", 113.65, 34.76]),
    (["TIMESTAMP", "Longitude", "LATITUDE", "UV"], ["20210724{}", 113.65, 34.76]),
]


@pytest.mark.parametrize(("header", "row"), HEADERS)
def test_headers_in_two_languages(tmp_path, header, row):
    path = tmp_path / "a.csv"
    rows = [[str(row[0]).format(hour), *row[1:], count] for hour, count in HOURS]
    path.write_text(text(rows, header), encoding="utf-8")
    assert read(tmp_path, path).counts == WANTED


class TestWorkbooks:
    def test_dates_numbers_and_text(self, tmp_path):
        rows = [[datetime.datetime(2021, 7, 24, 8), 113.65, 34.76, 100], [2021072409, 113.65, "34.76", "1,250"]]
        assert read(tmp_path, workbook(tmp_path / "a.xlsx", 数据=[HEADER, *rows])).counts == WANTED

    def test_a_time_kept_as_a_fraction_of_a_day_is_not_the_hour_before(self, tmp_path):
        path = workbook(tmp_path / "a.xlsx", 数据=[HEADER, [44401.33333, 113.65, 34.76, 100]])  # 07:59:59.7
        book = openpyxl.load_workbook(path)
        book["数据"]["A2"].number_format = "yyyy-mm-dd hh:mm"
        book.save(path)
        assert read(tmp_path, path).counts == WANTED[:1]

    def test_the_first_sheet_with_the_columns_below_a_title(self, tmp_path):
        sheets = {
            "说明": [["郑州市", "2021"], ["字段", "含义"], ["人数", "人"]],
            "数据": [["郑州市信令统计"], [], HEADER, *ROWS],
            "附": [HEADER, *ROWS],
        }
        found = read(tmp_path, workbook(tmp_path / "a.xlsx", **sheets))
        assert found.counts == WANTED
        assert [table.name for table in found.tables] == ["a.xlsx/数据"]
        assert found.notes == ["a.xlsx/数据 is read; not so the sheets 说明, 附"]

    def test_rejects_name_the_sheet_and_its_row(self, tmp_path):
        rows = [["title"], [], HEADER, ROWS[0], [], ["noon", 113.65, 34.76, "3\n4"]]
        path = workbook(tmp_path / "a.xlsx", 数据=rows)
        quality = ingest_signaling([path], tmp_path / "town")
        rejects = load_rejects(open_city(tmp_path / "town"))
        assert rejects[["file", "row", "reason", "text"]].to_numpy().tolist() == [
            ["a.xlsx/数据", 6, "bad_time", "noon,113.65,34.76,3 4"]
        ]
        assert (quality["rows_read"], quality["rows_taken"]) == (2, 1)

    def test_excel_97(self, tmp_path):
        path = tmp_path / "a.xls"
        path.write_bytes(zlib.decompress(base64.b85decode(XLS.replace("\n", ""))))
        assert read(tmp_path, path).counts == WANTED

    def test_without_the_columns_it_is_one_line(self, tmp_path):
        path = workbook(tmp_path / "a.xlsx", 数据=[["时间", "人数"], ["2021072408", 5]])
        with pytest.raises(InputError, match=r"a.xlsx/数据: no column is known to hold the place: it has 时间, 人数"):
            read(tmp_path, path)

    def test_empty_ones_are_one_line(self, tmp_path):
        with pytest.raises(InputError, match=r"a.xlsx has no sheet with names of columns"):
            read(tmp_path, workbook(tmp_path / "a.xlsx", 空=[]))
        with pytest.raises(InputError, match=r"b.xlsx/数据 has a header and no rows"):
            read(tmp_path, workbook(tmp_path / "b.xlsx", 数据=[HEADER]))


class TestFolders:
    def test_a_file_an_hour_takes_the_time_from_its_name(self, tmp_path):
        folder = tmp_path / "hourly"
        folder.mkdir()
        for hour, count in reversed(HOURS):
            (folder / f"20210724_{hour}.csv").write_text(text([[113.65, 34.76, count]], HOURLY), "utf-8")
        (folder / ".DS_Store").write_bytes(b"x")
        (folder / "readme.txt").write_text("see the manual")
        (folder / "map.pdf").write_bytes(b"%PDF")
        found = read(tmp_path, folder)
        assert found.counts == WANTED
        assert [table.name for table in found.tables] == ["hourly/20210724_08.csv", "hourly/20210724_09.csv"]
        assert found.roles[0].time == ("(file name)",)
        assert found.notes == ["2 files that are no tables were passed over: hourly/map.pdf, hourly/readme.txt"]

    def test_a_file_a_day_with_a_column_of_hours(self, tmp_path):
        folder = tmp_path / "daily"
        (folder / "2021-07").mkdir(parents=True)
        rows = [[8, 113.65, 34.76, 100], [9, 113.65, 34.76, 1250]]
        (folder / "2021-07" / "uv 2021-07-24.csv").write_text(text(rows, ["小时", *HOURLY]), "utf-8")
        found = read(tmp_path, folder)
        assert found.counts == WANTED
        assert found.roles[0].time == ("(file name)", "小时")

    def test_a_folder_a_day_with_a_file_an_hour(self, tmp_path):
        path = archive(
            tmp_path / "a.zip",
            **{f"20210724/{hour}.csv": text([[113.65, 34.76, count]], HOURLY).encode() for hour, count in HOURS},
        )
        assert read(tmp_path, path).counts == WANTED

    def test_a_column_that_repeats_the_day_gives_way_to_the_name(self, tmp_path):
        path = tmp_path / "2021072408.csv"
        path.write_text(text([["2021-07-24", 113.65, 34.76, 100]], ["日期", *HOURLY]), "utf-8")
        assert read(tmp_path, path).counts == WANTED[:1]
        path.write_text(text([["2021-07-25", 113.65, 34.76, 100]], ["日期", *HOURLY]), "utf-8")
        with pytest.raises(InputError, match="holds dates without hours"):
            read(tmp_path, path)

    def test_a_column_of_times_goes_before_the_name(self, tmp_path):
        path = tmp_path / "2020010101.csv"
        path.write_text(text(), "utf-8")
        assert read(tmp_path, path).counts == WANTED

    def test_an_hour_without_rows_is_said(self, tmp_path):
        folder = tmp_path / "hourly"
        folder.mkdir()
        (folder / "a_2021072408.csv").write_text(text([[113.65, 34.76, 100]], HOURLY), "utf-8")
        (folder / "a_2021072409.csv").write_text(text([], HOURLY), "utf-8")
        quality = ingest_signaling([folder], tmp_path / "town")
        assert quality["rows_taken"] == 1
        assert "1 files have no rows (hourly/a_2021072409.csv)" in quality["warnings"]

    def test_rejects_name_the_member(self, tmp_path):
        bad = text([["2021-07-24 09:00", 113.65, 34.76, "12%"]])
        path = archive(tmp_path / "a.zip", **{"七月/b.csv": bad.encode(), "a.csv": text().encode("gbk")})
        quality = ingest_signaling([path], tmp_path / "town")
        rejects = load_rejects(open_city(tmp_path / "town"))
        assert rejects[["file", "row", "reason"]].to_numpy().tolist() == [["a.zip/七月/b.csv", 2, "bad_value"]]
        assert quality["files"] == ["a.zip/a.csv", "a.zip/七月/b.csv"]

    def test_nothing_to_read(self, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match=r"empty has no file that can be read: give .csv"):
            read(tmp_path, tmp_path / "empty")
        (tmp_path / "empty" / "a.pdf").write_bytes(b"%PDF")
        with pytest.raises(InputError, match=r"empty has no file that can be read \(only empty/a.pdf\)"):
            read(tmp_path, tmp_path / "empty")


STAMPS = {
    "20210724_08": "2021-07-24 08:00",
    "2021072408": "2021-07-24 08:00",
    "202107240810": "2021-07-24 08:10",
    "20210724080000": "2021-07-24 08:00",
    "uv-2021-07-24T08-30": "2021-07-24 08:30",
    "郑州2021年7月24日8时": "2021-07-24 08:00",
    "20210724/08": "2021-07-24 08:00",
    "2020/20210724/08点": "2021-07-24 08:00",
    "export_2021-7-4": "2021-07-04",
    "20210724": "2021-07-24",
    "20210724_1": "2021-07-24",
    "20210724_20210731": None,
    "20210230": None,
    "410100": None,
    "1202107240": None,
}


@pytest.mark.parametrize("label", STAMPS)
def test_what_a_file_name_says_of_the_time(label):
    assert find_stamp(label) == STAMPS[label]


NUMBERS = {
    "12": 12,
    "12.0": 12,
    "1e3": 1000,
    "1,234": 1234,
    "1,234,567.5": 1234567.5,
    "-1,234": -1234,
    "1 234": 1234,
    "1\u00a0234": 1234,
    "1'234": 1234,
    "１２３": 123,
    "１，２３４": 1234,
    "１２．５": 12.5,
    "\u300012 ": 12,
    "1,23": None,
    "1,2345": None,
    "12,34,567": None,
    "1,234 567": None,
    "12%": None,
    "12人": None,
    "１万": None,
    "1.234,5": None,
    "": None,
}


def test_numbers_as_people_write_them(tmp_path):
    with connect(tmp_path) as connection:
        connection.register("texts", pd.DataFrame({"number": range(len(NUMBERS)), "text": pd.Series(list(NUMBERS))}))
        found = connection.sql(f"SELECT {as_number('text')} FROM texts ORDER BY number").fetchall()
    assert dict(zip(NUMBERS, [value for (value,) in found], strict=True)) == NUMBERS


def test_separators_of_thousands_far_down_the_file(tmp_path):
    """Quotes that begin beyond the first quarter of a megabyte are found all the same."""
    lines = [f"2021-07-24 08:00,{113 + number / 1e5:.5f},34.76,{number % 1000}" for number in range(20_000)]
    lines += [f'2021-07-24 08:00,{114 + number / 1e5:.5f},34.76,"1,{number % 1000:03d}"' for number in range(2_000)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["time,lon,lat,people", *lines]) + "\n")
    values = np.array([count for *_, count in read(tmp_path, path).counts])
    assert len(values) == 22_000
    assert values.sum() == sum(n % 1000 for n in range(20_000)) + sum(1000 + n % 1000 for n in range(2_000))


def test_files_of_several_kinds_together(tmp_path):
    (tmp_path / "a.csv").write_text(text(ROWS[:1]), "utf-8")
    workbook(tmp_path / "b.xlsx", 数据=[HEADER, ROWS[1]])
    assert read(tmp_path, tmp_path / "a.csv", tmp_path / "b.xlsx").counts == WANTED
