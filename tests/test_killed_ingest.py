"""Processes that die while they write a city: at chosen moments, at random ones, on a full disk."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from fusion.city import delete_city, list_cities, open_city, write_city
from fusion.commit import has_commit
from fusion.errors import CityError, CityLockedError
from fusion.fingerprint import fingerprint_file
from fusion.ingest.imagery import ingest_imagery
from fusion.ingest.signaling import ingest_signaling


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
    assert not has_commit(city_path)
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
        """Return the exit status and the message."""
        answer = self.ask(files, city, **command)
        return answer["status"], answer["message"]

    def ask(self, files: list[Path], city: Path, **command: object) -> dict:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        line = {"files": [str(file) for file in files], "city": str(city), **command}
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


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


def test_fingerprints_follow_values_not_files(tmp_path, towns):
    """The same values in another order of rows, and written anew, have the same fingerprint."""
    town = tmp_path / "town"
    shutil.copytree(towns / "old" / "town", town)
    lines = (towns / "old.csv").read_text().splitlines()
    (tmp_path / "other.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    ingest_signaling([tmp_path / "other.csv"], town)
    assert open_city(town).fingerprint() == open_city(towns / "old" / "town").fingerprint()
    assert open_city(town).fingerprint() != open_city(towns / "new" / "town").fingerprint()


KILLS = 50


def test_kills_at_random_moments_leave_the_old_city_or_the_new(tmp_path, towns, writer):
    rng = np.random.default_rng(4)
    states = {name: state(towns / name / "town") for name in ("old", "new")}
    town, new = tmp_path / "town", [towns / "new.csv"]
    shutil.copytree(towns / "old" / "town", town)
    whole_s = writer.ask(new, town)["lived_s"]
    killed: list[str] = []
    for attempt in range(4 * KILLS):
        shutil.rmtree(town)
        shutil.copytree(towns / "old" / "town", town)
        # Half of them over the whole ingest, half where its commit is.
        after_s = whole_s * rng.uniform(*((0, 1) if attempt % 2 else (0.7, 1.05)))
        answer = writer.ask(new, town, kill_after_s=after_s)
        assert answer["status"] in (0, -signal.SIGKILL), answer
        found = state(town)
        left = [name for name, known in states.items() if found == known]
        assert len(left) == 1, f"killed after {after_s:.3f} of {whole_s:.3f} s"
        ingest_signaling(new, town)
        assert state(town) == states["new"]
        assert not list(town.glob("*.new"))
        # How long an ingest takes changes with the load: what ended in time says, and what was killed may have
        # been killed too early.
        if answer["status"] == 0:
            whole_s = answer["lived_s"]
        else:
            whole_s *= 1.05
            killed.extend(left)
        if len(killed) == KILLS:
            break
    assert len(killed) == KILLS, killed
    assert "old" in killed, killed
