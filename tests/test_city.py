"""Cities on disk: commits that finish or never happened, locks, descriptions, names."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from fusion.city import (
    CityInfo,
    FlaggedDate,
    Measure,
    check_name,
    delete_city,
    list_cities,
    open_city,
    write_city,
)
from fusion.commit import COMMIT, lock_path
from fusion.errors import CityError, CityLockedError, InputError
from fusion.fingerprint import fingerprint_file
from fusion.ingest.imagery import ingest_imagery
from fusion.ingest.signaling import ingest_signaling

INFO = CityInfo(
    name="town",
    title_en="Town",
    title_zh="城",
    bounds=(113.4, 34.6, 113.9, 34.9),
    resolution=9,
    timezone="Asia/Shanghai",
    provenance="real",
    first_hour="2021-07-23T16:00:00Z",
    hours=192,
    measures=(Measure("people", "people", "People", "人数", 15),),
    sources=("signaling: a.csv",),
    flagged=(FlaggedDate("2021-07-30", "Covid cases", "出现新冠病例"),),
)


def export(path: Path, people: int) -> Path:
    rows = [f"2021-07-24 {hour:02d}:00,113.65,34.76,{people + hour}" for hour in range(6)]
    path.write_text("\n".join(["time,lon,lat,people", *rows, "bad"]) + "\n")
    return path


def image(path: Path, value: int) -> Path:
    profile = {"driver": "GTiff", "count": 3, "height": 600, "width": 600, "dtype": "uint8", "crs": 32649}
    pixels = np.random.default_rng(value).integers(1, 256, (3, 600, 600), dtype=np.uint8)
    x, y = 742_600.0, 3_850_000.0
    with rasterio.open(path, "w", transform=Affine(2, 0, x, 0, -2, y), **profile) as target:
        target.write(pixels)
    return path


def state(city_path: Path) -> tuple[str, int, str]:
    """What a city holds, checked for being of one piece: description, data and quality of the same ingest."""
    city = open_city(city_path)
    assert fingerprint_file(city.activity) == city.info.fingerprints["activity"]
    if city.has_imagery:
        assert fingerprint_file(city.imagery) == city.info.fingerprints["imagery"]
    quality = json.loads(city.quality.read_text())
    assert city.info.sources[0] == f"signaling: {quality['files'][0]}"
    assert not (city_path / COMMIT).exists()
    return city.fingerprint(), quality["rows_read"], city.info.sources[-1]


class Writer:
    """The process that dies, and what it says."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("killed_writer.py")
        environment = os.environ | {"PYTHONPATH": str(script.parents[1]), "PYTHONWARNINGS": "ignore"}
        command = [sys.executable, str(script)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(self, files: list[Path], city: Path, **command: object) -> tuple[int, str]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        line = {"files": [str(file) for file in files], "city": str(city), **command}
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer["status"], answer["message"]


@pytest.fixture(scope="module")
def writer():
    process = Writer()
    yield process
    process.process.stdin.close()
    process.process.stdout.close()
    process.process.wait(timeout=30)


@pytest.fixture(scope="module")
def towns(tmp_path_factory):
    """Two exports, and the city as each leaves it; treat as read-only."""
    root = tmp_path_factory.mktemp("towns")
    old, new = export(root / "old.csv", 100), export(root / "new.csv", 300)
    ingest_signaling([old], root / "old" / "town")
    ingest_signaling([new], root / "new" / "town")
    return root


BEFORE = [
    {"die_at": "reading"},
    {"die_at": "judging rows"},
    {"die_at": "writing"},
    {"die_at": "committing"},
    {"die_on": ["sync", 1, "after"]},
    {"die_on": ["sync", 5, "after"]},
    {"die_on": ["replace", 1, "before"]},
]
AFTER = [
    {"die_on": ["replace", 1, "after"]},
    {"die_on": ["replace", 2, "after"]},
    {"die_on": ["replace", 4, "before"]},
    {"die_on": ["replace", 5, "after"]},
    {"die_at": "done"},
]


@pytest.mark.parametrize(
    ("command", "survivor"),
    [(command, "old") for command in BEFORE] + [(command, "new") for command in AFTER],
    ids=lambda value: (
        "-".join(str(part) for part in np.atleast_1d(next(iter(value.values())))) if isinstance(value, dict) else value
    ),
)
def test_a_killed_ingest_leaves_the_old_city_or_the_new(tmp_path, towns, writer, command, survivor):
    town = tmp_path / "town"
    shutil.copytree(towns / "old" / "town", town)
    status, _ = writer.run([towns / "new.csv"], town, **command)
    assert status == -signal.SIGKILL
    assert state(town) == state(towns / survivor / "town")
    ingest_signaling([towns / "new.csv"], town)
    assert state(town) == state(towns / "new" / "town")
    assert sorted(path.name for path in town.iterdir()) == sorted(p.name for p in (towns / "new" / "town").iterdir())


@pytest.mark.parametrize("command", [{"die_at": "writing overviews"}, {"die_on": ["replace", 3, "after"]}])
def test_a_killed_ingest_of_imagery_does_too(tmp_path, towns, writer, command):
    town = tmp_path / "town"
    shutil.copytree(towns / "old" / "town", town)
    ingest_imagery([image(tmp_path / "a.tif", 1)], town)
    old = state(town)
    status, _ = writer.run([image(tmp_path / "b.tif", 2)], town, **command)
    assert status == -signal.SIGKILL
    # Of the replacements the first puts the image among the new files and the second is the commit.
    assert (state(town) == old) == ("die_at" in command)
    ingest_imagery([tmp_path / "b.tif"], town)
    assert not list(town.glob("*.new"))


@pytest.mark.parametrize("command", BEFORE[:5:2])
def test_a_kill_before_the_first_commit_leaves_no_city(tmp_path, towns, writer, command):
    status, _ = writer.run([towns / "new.csv"], tmp_path / "town", **command)
    assert status == -signal.SIGKILL
    with pytest.raises(CityError, match="no city 'town'"):
        open_city(tmp_path / "town")
    assert list_cities(tmp_path) == []
    ingest_signaling([towns / "new.csv"], tmp_path / "town")
    assert state(tmp_path / "town") == state(towns / "new" / "town")


@pytest.mark.parametrize("limit", [0, 300, 600])
def test_a_full_disk_is_one_line_and_the_city_stays(tmp_path, towns, writer, limit):
    town = tmp_path / "town"
    shutil.copytree(towns / "old" / "town", town)
    before = {path.name: path.read_bytes() for path in town.iterdir()}
    status, message = writer.run([towns / "new.csv"], town, file_limit=limit)
    assert (status, message.count("\n")) == (2, 0), message
    assert message.startswith("city town was not changed: ")
    assert {path.name: path.read_bytes() for path in town.iterdir()} == before


@pytest.mark.parametrize("limit", [1000, 200_000, 1_100_000])
def test_a_full_disk_under_imagery_is_too(tmp_path, towns, writer, limit):
    town = tmp_path / "town"
    shutil.copytree(towns / "old" / "town", town)
    before = {path.name: path.read_bytes() for path in town.iterdir()}
    status, message = writer.run([image(tmp_path / "a.tif", 1)], town, file_limit=limit)
    assert (status, message.count("\n")) == (2, 0), message
    assert message.startswith("city town was not changed: ")
    assert {path.name: path.read_bytes() for path in town.iterdir()} == before


def test_a_second_writer_is_told_at_once_and_readers_never_wait(tmp_path, towns, writer):
    town = tmp_path / "town"
    shutil.copytree(towns / "old" / "town", town)
    with write_city(town):
        status, message = writer.run([towns / "new.csv"], town)
        assert (status, message) == (
            2,
            "city town is being written by another process: wait until it ends, then try again",
        )
        with pytest.raises(CityLockedError), write_city(town):
            pass
        with pytest.raises(CityLockedError):
            delete_city(open_city(town))
        assert state(town) == state(towns / "old" / "town")
    assert writer.run([towns / "new.csv"], town) == (0, "")
    assert state(town) == state(towns / "new" / "town")


def test_a_transaction_without_commit_changes_nothing(tmp_path):
    with write_city(tmp_path / "town") as one:
        one.new("quality.json").write_text("{}")
        one.new_folder("scratch").joinpath("x").write_text("x")
    assert not (tmp_path / "town").exists()

    def fail() -> None:
        with write_city(tmp_path / "town") as two:
            two.new("quality.json").write_text("{}")
            raise ValueError("midway")

    with pytest.raises(ValueError, match="midway"):
        fail()
    assert not (tmp_path / "town").exists()


def test_a_commit_writes_replaces_and_removes(tmp_path):
    with write_city(tmp_path / "town") as first:
        first.new("quality.json").write_text("1")
        first.new("rejects.parquet").write_text("1")
        first.commit(INFO)
    with write_city(tmp_path / "town") as second:
        assert second.info == replace(INFO, fingerprints={})
        second.new("quality.json").write_text("2")
        second.remove("rejects.parquet")
        second.new_folder("scratch").joinpath("x").write_text("x")
        second.commit(INFO)
    assert sorted(path.name for path in (tmp_path / "town").iterdir()) == ["city.toml", "quality.json"]
    assert (tmp_path / "town" / "quality.json").read_text() == "2"


def test_a_commit_that_cannot_be_finished_keeps_its_files(tmp_path, monkeypatch):
    def stuck(path: Path) -> None:
        if (path / COMMIT).is_file():
            raise PermissionError("busy")

    with write_city(tmp_path / "town") as writer:
        writer.new("quality.json").write_text("1")
        monkeypatch.setattr("fusion.city.finish_commit", stuck)
        with pytest.raises(PermissionError):
            writer.commit(INFO)
    monkeypatch.undo()
    assert open_city(tmp_path / "town").quality.read_text() == "1"


def test_a_description_survives_toml(tmp_path):
    with write_city(tmp_path / "town") as writer:
        writer.commit(INFO)
    assert open_city(tmp_path / "town").info == replace(INFO, fingerprints={})
    assert open_city("town", tmp_path).path == tmp_path / "town"


def test_a_torn_description_is_named(tmp_path):
    (tmp_path / "town").mkdir()
    for text in ("name = ", "name = 'town'", INFO.to_toml() + "\n[colours]\nred = 1\n"):
        (tmp_path / "town" / "city.toml").write_text(text)
        with pytest.raises(CityError, match=r"town/city.toml: not a city description"):
            open_city(tmp_path / "town")
        assert list_cities(tmp_path) == []


def test_cities_are_listed_by_name_and_deleted_whole(tmp_path):
    for name in ("b-town", "a-town"):
        with write_city(tmp_path / name) as writer:
            writer.commit(INFO)
    (tmp_path / "notes").mkdir()
    assert [city.name for city in list_cities(tmp_path)] == ["a-town", "b-town"]
    delete_city(open_city("a-town", tmp_path))
    assert [city.name for city in list_cities(tmp_path)] == ["b-town"]
    assert not (tmp_path / "a-town").exists()
    assert not lock_path(tmp_path / "a-town").exists()
    with pytest.raises(CityError, match=r"no city 'a-town' in .*: have b-town"):
        open_city("a-town", tmp_path)


@pytest.mark.parametrize("name", ["", "Town", "a b", "../x", "a/b", "城", "-a", "reference", "a" * 65, "a_b"])
def test_names_that_no_folder_should_have(name):
    with pytest.raises(InputError, match="cannot name a city"):
        check_name(name)


def test_names_that_are_fine():
    for name in ("a", "zhengzhou-2021", "0"):
        assert check_name(name) == name


def test_fingerprints_follow_values_not_files(tmp_path, towns):
    """The same values in another order of rows, and written anew, have the same fingerprint."""
    town = tmp_path / "town"
    shutil.copytree(towns / "old" / "town", town)
    lines = (towns / "old.csv").read_text().splitlines()
    (tmp_path / "other.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    ingest_signaling([tmp_path / "other.csv"], town)
    assert open_city(town).fingerprint() == open_city(towns / "old" / "town").fingerprint()
    assert open_city(town).fingerprint() != open_city(towns / "new" / "town").fingerprint()
