"""No device's id is ever in the city's folder, in an error, or in what a preview shows; nor is the tower table."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fusion.city import open_city
from fusion.errors import FusionError
from fusion.ingest import devices
from fusion.ingest.preview import preview_signaling
from fusion.ingest.signaling import SignalingOptions, ingest_signaling

SECRETS = [f"SECRET{number:04d}x" for number in range(40)]
PHONE = "13800138000"
TOWER = "TOWER-7F"
OPTIONS = SignalingOptions(preset="devices", min_count=2)


def lines() -> list[str]:
    """Good records, and bad ones of each kind with ids in every field that may hold one."""
    good = [f"{secret},2021-07-24 08:{n:02d}:00,113.65,34.76,{PHONE},备注" for n, secret in enumerate(SECRETS)]
    bad = [
        f"{SECRETS[0]},2021-07-24 08:00:00,113.65",
        f"{SECRETS[0]},2021-07-24 08:00:00,113.65,34.76,{PHONE},a,b",
        f"2021-07-24 08:00:00,{SECRETS[1]},113.65,34.76,{PHONE},a",
        f"{SECRETS[2]},2021-07-24 08:00:00,{SECRETS[3]},34.76,{PHONE},a",
        f"{SECRETS[2]},2021-07-24 08:00:00,{PHONE},34.76,{PHONE},a",
        f"{SECRETS[2]},{PHONE},113.65,34.76,{PHONE},a",
        f"{SECRETS[4]},2021-07-24 08:00:00,9.19,45.46,{PHONE},{SECRETS[5]}",
        f",2021-07-24 08:00:00,113.65,34.76,{PHONE},{SECRETS[6]}",
    ]
    return ["user_id,time,lon,lat,msisdn,note", *good, *bad]


def everything_in(folder: Path) -> bytes:
    """Names and bytes of all files, in UTF-8 whatever their encoding."""
    found = b""
    for path in folder.rglob("*"):
        found += str(path.relative_to(folder)).encode()
        if path.is_file() and not path.is_symlink():
            found += path.read_bytes()
    return found


def assert_no_id(found: bytes | str) -> None:
    for encoding in ("utf-8", "utf-16-le"):
        for mark in ("SECRET", PHONE, PHONE[3:]):
            assert mark.encode(encoding) not in (found if isinstance(found, bytes) else found.encode(encoding))


@pytest.mark.parametrize("kind", ["csv", "gbk", "quoted", "parquet", "zip", "gz"])
def test_no_byte_of_the_city_holds_an_id(tmp_path, kind, monkeypatch):
    text = "\n".join(lines()) + "\n"
    export = tmp_path / "a.csv"
    if kind == "gbk":
        export.write_bytes(text.encode("gb18030"))
    elif kind == "quoted":
        export.write_text(text.replace(SECRETS[7], f'"{SECRETS[7]}"'))
    elif kind == "zip":
        export = tmp_path / "a.zip"
        with zipfile.ZipFile(export, "w") as archive:
            archive.writestr("a.csv", text)
    elif kind == "gz":
        import gzip

        export = tmp_path / "a.csv.gz"
        export.write_bytes(gzip.compress(text.encode()))
    elif kind == "parquet":
        import pandas as pd

        rows = [line.split(",") for line in lines() if line.count(",") == 5]
        export = tmp_path / "a.parquet"
        pd.DataFrame(rows[1:], columns=rows[0]).to_parquet(export)
    else:
        export.write_text(text)
    seen: list[bytes] = []
    judge = devices.DeviceScan.judge

    def judge_and_look(scan: devices.DeviceScan) -> None:
        judge(scan)
        seen.append(everything_in(tmp_path / "town"))

    monkeypatch.setattr(devices.DeviceScan, "judge", judge_and_look)
    quality = ingest_signaling([export], tmp_path / "town", OPTIONS)
    assert quality["rows_rejected"] == (6 if kind == "parquet" else 8)
    assert quality["rows_taken"] == 40
    assert len(seen[0]) > 1000  # scratch files of the ingest under way
    assert_no_id(seen[0])
    assert_no_id(everything_in(tmp_path / "town"))


def test_the_columns_of_others_ids_are_hidden_and_time_and_place_are_not(tmp_path):
    (tmp_path / "a.csv").write_text("\n".join(lines()))
    ingest_signaling([tmp_path / "a.csv"], tmp_path / "town", OPTIONS)
    import duckdb

    texts = duckdb.sql(f"SELECT text FROM '{tmp_path / 'town' / 'rejects.parquet'}' WHERE reason = 'outside'")
    assert texts.fetchall() == [("***,2021-07-24 08:00:00,9.19,45.46,***,***",)]


def test_the_same_device_has_another_hash_at_another_ingest(tmp_path):
    (tmp_path / "a.csv").write_text("\n".join(lines()))
    salts: list[str] = []
    for _ in range(2):
        scan = devices.DeviceScan(None, [], [], tmp_path)  # type: ignore[arg-type]
        salts.append(scan.salt)
        assert scan.salt not in repr(scan)
    assert salts[0] != salts[1]
    assert min(map(len, salts)) >= 22


BAD_FILES = {
    "no header": [line for line in lines() if not line.startswith("user_id")],
    "no header, no numbers": [f"{secret},2021-07-24 08:00:00,{TOWER}" for secret in SECRETS],
    "unknown columns": ["who,when,x,y", f"{SECRETS[0]},{SECRETS[1]},1,2"],
    "no time": ["user_id,time,lon,lat", *(f"a,{secret},113.65,34.76" for secret in SECRETS)],
    "nothing taken": ["user_id,time,lon,lat", *(f"{secret},2021-07-24 08:00:00,{PHONE},99" for secret in SECRETS)],
    "unclosed quote": ["user_id,time,lon,lat", f'"{SECRETS[0]},2021-07-24 08:00:00,113.65,34.76', f"{SECRETS[1]},x"],
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_no_error_shows_an_id(tmp_path, name):
    (tmp_path / "a.csv").write_text("\n".join(BAD_FILES[name]) + "\n")
    with pytest.raises(FusionError) as error:
        ingest_signaling([tmp_path / "a.csv"], tmp_path / "town", OPTIONS)
    assert_no_id(str(error.value))
    assert not (tmp_path / "town").exists()


@pytest.mark.parametrize("name", ["good", *BAD_FILES])
def test_no_preview_shows_an_id(tmp_path, name):
    (tmp_path / "a.csv").write_text("\n".join(lines() if name == "good" else BAD_FILES[name]) + "\n")
    try:
        shown = json.dumps(preview_signaling([tmp_path / "a.csv"], None, OPTIONS).to_dict(), default=str)
    except FusionError as error:
        shown = str(error)
    assert_no_id(shown)


def test_the_tower_table_stays_out_of_the_city(tmp_path):
    (tmp_path / "t.csv").write_bytes(f"基站,经度,纬度\n{TOWER},113.65,34.76\nUNUSED-9,113.66,34.77\n".encode("gb18030"))
    (tmp_path / "a.csv").write_text("user,time,tower\n" + "".join(f"{s},2021-07-24 08:00,{TOWER}\n" for s in SECRETS))
    ingest_signaling(
        [tmp_path / "a.csv"], tmp_path / "town", SignalingOptions(preset="devices", towers=tmp_path / "t.csv")
    )
    found = everything_in(tmp_path / "town")
    assert_no_id(found)
    assert b"UNUSED" not in found
    assert TOWER.encode() not in found


_KILLED = """
import sys, time
from pathlib import Path
from fusion.ingest import devices
from fusion.ingest.signaling import SignalingOptions, ingest_signaling
def wait(scan):
    print("judging", flush=True)
    time.sleep(60)
devices.DeviceScan.judge = wait
ingest_signaling([Path(sys.argv[1])], Path(sys.argv[2]), SignalingOptions(preset="devices"))
"""


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="copies keep their names without /proc")
def test_a_killed_ingest_of_a_rewritten_file_leaves_hashes_only(tmp_path):
    (tmp_path / "a.csv").write_bytes(("\n".join(lines()) + "\n").encode("gb18030"))
    command = [sys.executable, "-c", _KILLED, str(tmp_path / "a.csv"), str(tmp_path / "town")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"judging\n"
        process.kill()
    assert list((tmp_path / "town").rglob("records.parquet"))
    assert_no_id(everything_in(tmp_path / "town"))
    ingest_signaling([tmp_path / "a.csv"], tmp_path / "town", OPTIONS)
    assert not list((tmp_path / "town").rglob("*.new"))
    assert open_city(tmp_path / "town").has_activity
