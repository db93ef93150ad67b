"""Archives and files that were made to harm: one line each, nothing written, nothing unpacked beyond its limit."""

import gzip
import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from fusion.errors import InputError
from fusion.ingest import archives
from fusion.ingest.archives import list_members, unpack
from fusion.ingest.signaling import ingest_signaling

TABLE = b"time,lon,lat,people\n2021-07-24 08:00,113.65,34.76,100\n"


def archive(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            file.writestr(name, content, zipfile.ZIP_DEFLATED)
    return path


def refused(tmp_path: Path, path: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        ingest_signaling([path], tmp_path / "town")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "town").exists()


NAMES = [
    "../a.csv",
    "七月/../../a.csv",
    "/etc/a.csv",
    "C:/a.csv",
    "c:\\a.csv",
    "..\\a.csv",
    "\\\\host\\a.csv",
    "a\x1b[2J.csv",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_lead_away(tmp_path, name):
    refused(
        tmp_path, archive(tmp_path / "a.zip", (name, TABLE)), r"a.zip has a member named .* leads out of the archive"
    )


def test_links(tmp_path):
    link = zipfile.ZipInfo("a.csv")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    refused(tmp_path, archive(tmp_path / "a.zip", (link, b"/etc/passwd")), r"a.zip/a.csv is a link")


def test_archives_in_archives(tmp_path):
    inner = archive(tmp_path / "inner.zip", ("a.csv", TABLE)).read_bytes()
    refused(tmp_path, archive(tmp_path / "a.zip", ("b.zip", inner)), r"a.zip/b.zip is an archive in an archive")
    refused(tmp_path, archive(tmp_path / "c.zip", ("d.csv.gz", gzip.compress(TABLE))), r"c.zip/d.csv.gz is an archive")


def test_encrypted_members(tmp_path):
    path = archive(tmp_path / "a.zip", ("a.csv", TABLE))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    refused(tmp_path, path, r"a.zip/a.csv is encrypted: pack it without a password")


def test_a_bomb_of_zeros(tmp_path):
    path = archive(tmp_path / "a.zip", ("a.csv", bytes(70 << 20)))
    refused(tmp_path, path, r"a.zip/a.csv unpacks to 70 MB, 1,\d\d\d times its size")


def test_a_bomb_of_many_members(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_RATIO_FROM_BYTES", 1 << 20)
    path = archive(tmp_path / "a.zip", *((f"{number}.csv", bytes(1 << 19)) for number in range(8)))
    refused(tmp_path, path, r"a.zip unpacks to 4 MB, \d\d\d times its size")


def test_too_many_members(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_MEMBERS", 3)
    path = archive(tmp_path / "a.zip", *((f"{number}.csv", TABLE) for number in range(4)))
    refused(tmp_path, path, r"a.zip has 4 members, more than 3")


def test_more_than_the_disk_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_SPARE_BYTES", 1 << 60)
    refused(tmp_path, archive(tmp_path / "a.zip", ("a.csv", TABLE)), r"a.zip: .* are free on the disk: make room")


def test_a_member_longer_than_the_archive_says(tmp_path):
    path = archive(tmp_path / "a.zip", ("a.csv", TABLE * 100))
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 24, 40)
    path.write_bytes(data)
    (member,) = list_members(path, tmp_path)
    with pytest.raises(InputError, match=r"a.zip/a.csv cannot be unpacked"):
        unpack(member, tmp_path / "out")
    assert (tmp_path / "out").stat().st_size <= 40


@pytest.mark.parametrize("keep", [0, 10, 60, -30])
def test_torn_archives(tmp_path, keep):
    path = archive(tmp_path / "a.zip", ("a.csv", TABLE))
    path.write_bytes(path.read_bytes()[:keep])
    refused(tmp_path, path, r"a.zip (cannot be read as a zip archive|is empty)")


def test_a_damaged_member(tmp_path):
    path = archive(tmp_path / "a.zip", ("a.csv", TABLE * 50))
    data = bytearray(path.read_bytes())
    data[45] ^= 0xFF
    path.write_bytes(data)
    refused(tmp_path, path, r"a.zip/a.csv cannot be unpacked")


def test_an_archive_without_files(tmp_path):
    refused(tmp_path, archive(tmp_path / "a.zip", ("__MACOSX/._a.csv", b"x")), r"a.zip has no files")


def test_chinese_names_of_windows(tmp_path):
    """Windows in Chinese writes names in GBK and says nothing of it; some second bytes are a backslash."""
    path = archive(tmp_path / "a.zip", ("ab12345.csv", TABLE))
    name = "郑廫1.csv".encode("gbk")
    assert b"\\" in name
    path.write_bytes(path.read_bytes().replace(b"ab12345.csv", name.ljust(11, b"0")[:11]))
    (member,) = list_members(path, tmp_path)
    assert member.name.startswith("郑廫1.csv")


def test_gzip_bombs(tmp_path):
    path = tmp_path / "a.csv.gz"
    with gzip.open(path, "wb") as file:
        file.write(TABLE + bytes(70 << 20))
    refused(tmp_path, path, r"a.csv.gz unpacks to more than 200 times its size")


def test_gzip_bombs_that_begin_as_a_table(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_RATIO_FROM_BYTES", 1 << 20)
    good = b"".join(
        b"2021-07-24 08:00,113.%06d,34.76,%d\n" % (number * 7919 % 1000003, number) for number in range(3000)
    )
    path = tmp_path / "a.csv.gz"
    with gzip.open(path, "wb") as file:
        file.write(TABLE + good + bytes(40 << 20))
    refused(tmp_path, path, r"a.csv.gz unpacks to more than 200 times its size")


def test_a_workbook_bomb(tmp_path):
    path = archive(tmp_path / "a.xlsx", ("xl/worksheets/sheet1.xml", bytes(70 << 20)))
    refused(tmp_path, path, r"a.xlsx unpacks to 70 MB")


def test_huge_fields(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(TABLE + b"2021-07-24 09:00,113.65,34.76," + b"9" * 200_000 + b"\n")
    refused(tmp_path, path, r"a.csv is no table of counts \(field larger than field limit")


def test_a_huge_field_far_down_is_a_rejected_row(tmp_path):
    rows = b"".join(b"2021-07-24 08:00,113.%06d,34.76,100\n" % number for number in range(9000))
    path = tmp_path / "a.csv"
    path.write_bytes(TABLE + rows + b"2021-07-24 09:00,113.65,34.76," + b"9" * 3_000_000 + b"\n")
    quality = ingest_signaling([path], tmp_path / "town")
    assert quality["rejected_by_reason"] == {"malformed": 1}
    assert quality["rows_read"] == 9002


def test_a_workbook_is_no_way_to_read_other_files(tmp_path):
    """An external entity in a sheet's XML must not be resolved."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(
            "xl/workbook.xml", '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><workbook>&e;</workbook>'
        )
        file.writestr("[Content_Types].xml", "<Types/>")
    path = tmp_path / "a.xlsx"
    path.write_bytes(buffer.getvalue())
    refused(tmp_path, path, r"a.xlsx (cannot be read as a workbook|has no sheet)")


@pytest.mark.parametrize("city", ["../town", "a/b", "..", ".", "", "c:\\town", "town\x00"])
def test_city_names_with_path_tricks(city):
    from fusion.city import check_name

    with pytest.raises(InputError):
        check_name(city)
