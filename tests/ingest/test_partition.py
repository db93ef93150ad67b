"""An export in parts gives what one process gives: the same rows, rejects and report, whatever the parts."""

import os
import signal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from fusion.backends import Backend
from fusion.errors import CityError, ConfigError, InputError
from fusion.ingest import merge, partition
from fusion.ingest.engine import parse_memory
from fusion.ingest.merge import divide
from fusion.ingest.signaling import Resources, SignalingOptions, ingest_signaling

HEADER = "time,lon,lat,people"
# Rows of each file; places and times of one come again in another, with the same count, another count, or spelled anew.
FILES = {
    "a.csv": [
        "2021-07-24 08:00,113.650,34.760,100",
        "2021-07-24 08:00,113.651,34.760,9",
        "2021-07-24 08:00,113.700,34.760,20",
        "",
        "2021-07-24 08:00,113.700,34.760,x",
        "2021-07-24 09:00,113.650,34.760,30",
    ],
    "b.csv": [
        "2021-07-24 08:00,113.650,34.760,100",
        "2021-07-24 09:00,113.650,34.760,31",
        "2021-07-24 09:00,113.651,34.760,-2",
        "2021-07-24 09:00,113.651,34.760,8",
        "2021-07-24 09:00",
    ],
    "c.csv": [
        "noon,113.650,34.760,5",
        "2021-07-24 09:00:00,113.650,34.760,7",
        "2021-07-24 09:00,113.651,34.760,8",
        "2021-07-24 09:00,1,2,8",
        "2021-07-24 10:00,113.651,34.760,",
    ],
}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "export"
    folder.mkdir()
    for name, rows in FILES.items():
        (folder / name).write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return [folder / name for name in FILES]


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts one after the other here: what they find does not depend on where they are worked on."""
    monkeypatch.setattr(Backend, "inside", property(lambda self: True))


def contents(city: Path) -> dict[str, Any]:
    """What an ingest left, as rows in their order."""
    tables = {
        name: duckdb.sql(f"FROM read_parquet('{city / name}.parquet')").fetchall() for name in ("activity", "rejects")
    }
    return tables | {name: (city / name).read_text(encoding="utf-8") for name in ("quality.json", "city.toml")}


@pytest.mark.parametrize("preset", ["daas", "milan"])
def test_parts_give_what_one_process_gives(
    files: list[Path], tmp_path: Path, preset: str, in_this_process: None
) -> None:
    columns = {"time": "time", "lon": "lon", "lat": "lat", "values": ("people",), "timezone": "Asia/Shanghai"}
    options = SignalingOptions(preset=preset, min_count=15, **columns)  # type: ignore[arg-type]
    one = ingest_signaling(files, tmp_path / "one" / "town", options)
    other = ingest_signaling(files, tmp_path / "parts" / "town", options, resources=Resources(jobs=3))

    assert other == one
    assert contents(tmp_path / "parts" / "town") == contents(tmp_path / "one" / "town")
    assert one["rows_read"] == 15
    assert one["rejected_by_reason"]["malformed"] == 1
    # Only where rows are not summed can one repeat another, and here it does so from file to file.
    repeated = {reason: one["rejected_by_reason"].get(reason, 0) for reason in ("duplicate", "conflict")}
    assert repeated == ({"duplicate": 2, "conflict": 2} if preset == "daas" else {"duplicate": 0, "conflict": 0})


def test_days_without_a_common_hour_look_for_no_repeated_rows(
    tmp_path: Path, in_this_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = []
    for day in (24, 25):
        days.append(tmp_path / f"{day}.csv")
        days[-1].write_text(f"{HEADER}\n2021-07-{day} 08:00,113.65,34.76,100\n")
    written: list[str] = []
    write = partition.write_table
    monkeypatch.setattr(merge, "write_table", lambda *args: (written.append(args[2].name), write(*args)))

    ingest_signaling(days, tmp_path / "town", resources=Resources(jobs=2))

    assert written == ["all-places.parquet", "all-times.parquet"]


def kill_once(part: partition.Part) -> None:
    """Group a part, but the first time that part 1 comes the worker is killed when half is done."""
    mark = part.folder.parents[2] / "killed"
    if part.number == 1 and not mark.exists():
        mark.touch()
        partition.write_table = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    _group_part(part)


_group_part = partition.group_part


def test_a_killed_worker_has_its_part_done_again(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = ingest_signaling(files, tmp_path / "one" / "town")
    monkeypatch.setattr(merge, "group_part", kill_once)

    other = ingest_signaling(files, tmp_path / "parts" / "town", resources=Resources(jobs=2))

    assert (tmp_path / "killed").exists()
    assert not list((tmp_path / "parts" / "town").glob("*.new"))
    assert other == one
    assert contents(tmp_path / "parts" / "town") == contents(tmp_path / "one" / "town")


def test_workers_that_die_each_time_leave_the_city_as_it_was(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: Backend, calls: list, **_: object) -> list:
        raise merge.WorkersLostError("killed")

    ingest_signaling(files[:1], tmp_path / "town")
    before = contents(tmp_path / "town")
    monkeypatch.setattr(Backend, "run", die)

    with pytest.raises(CityError, match=r"workers were lost 3 times .* 3 of 3 parts are not done: take fewer --jobs"):
        ingest_signaling(files, tmp_path / "town", resources=Resources(jobs=2))

    assert contents(tmp_path / "town") == before


def test_a_part_that_is_done_is_not_done_again(
    files: list[Path], tmp_path: Path, in_this_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Backend.run
    started: list[int] = []

    def lose_the_last(self: Backend, calls: list, **options: Any) -> list:
        started.append(len(calls))
        if len(started) == 1:
            run(self, calls[:-1], **options)
            raise merge.WorkersLostError("killed")
        return run(self, calls, **options)

    monkeypatch.setattr(Backend, "run", lose_the_last)
    ingest_signaling(files, tmp_path / "town", resources=Resources(jobs=3))

    assert started == [3, 1, 3]


def vanish(part: partition.Part) -> None:
    """Group a part whose file is not there, as on a machine that does not see the folder."""
    for table in part.tables:
        table.path.unlink(missing_ok=True)
    _group_part(part)


def test_an_error_in_another_process_is_one_line_here(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge, "group_part", vanish)

    with pytest.raises(CityError, match=r"could not be read on .*: check that all workers see") as caught:
        ingest_signaling(files, tmp_path / "town", resources=Resources(jobs=2))

    assert "\n" not in str(caught.value)
    assert not (tmp_path / "town").exists()


def test_an_unknown_backend_leaves_no_city(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown backend 'slurm': use local or ray"):
        ingest_signaling(files, tmp_path / "town", resources=Resources(backend="slurm"))
    assert not (tmp_path / "town").exists()


@pytest.mark.parametrize(
    ("sizes", "most", "parts"),
    [
        ([1, 1, 1], 4, [[0], [1], [2]]),
        ([10, 10, 10, 10], 2, [[0, 1], [2, 3]]),
        ([100, 1, 1, 1], 2, [[0], [1, 2, 3]]),
        ([0, 0, 0], 1, [[0, 1, 2]]),
    ],
)
def test_files_are_divided_by_size(sizes: list[int], most: int, parts: list[list[int]]) -> None:
    assert divide(sizes, most) == parts


@pytest.mark.parametrize(
    ("text", "amount"), [("1GB", 10**9), ("800 MB", 8 * 10**8), ("1.5GiB", 3 << 29), ("2gb", 2 * 10**9)]
)
def test_amounts_of_memory(text: str, amount: int) -> None:
    assert parse_memory(text) == amount


@pytest.mark.parametrize(
    ("text", "why"), [("1", "write 1GB"), ("GB", "write 1GB"), ("1 XB", "write 1GB"), ("100MB", "at least 700MB")]
)
def test_amounts_that_are_none(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        parse_memory(text)
