"""Disk use by part, and what may be deleted when."""

import sys
from pathlib import Path

import pytest

from fusion.city import City, list_cities, open_city, write_city
from fusion.errors import CityError, CityLockedError
from fusion.serving import background, ingest_jobs, storage
from fusion.serving.ingest_jobs import IngestRequest
from tests.miniature import build_miniature


@pytest.fixture
def city(tmp_path: Path) -> City:
    city = build_miniature(tmp_path)
    (city.samples / "a").mkdir(parents=True)
    (city.samples / "a" / "images.npy").write_bytes(b"x" * 1000)
    (city.runs / "r").mkdir(parents=True)
    (city.runs / "r" / "run.json").write_bytes(b"x" * 10)
    return city


def test_every_byte_belongs_to_one_part(city: City) -> None:
    use = storage.disk_use(city)

    assert use["samples"] == 1000
    assert use["runs"] == 10
    assert use["activity"] == city.activity.stat().st_size
    assert use["imagery"] == city.imagery.stat().st_size
    assert use["other"] == (city.path / "city.toml").stat().st_size
    assert use["total"] == sum(path.stat().st_size for path in city.path.rglob("*") if path.is_file())
    assert use["total"] == sum(use[part] for part in storage.PARTS)


def test_samples_go_and_the_rest_stays(city: City) -> None:
    assert storage.delete_samples(city) == 1000

    assert not city.samples.exists()
    assert city.has_activity
    assert (city.runs / "r" / "run.json").exists()


def test_samples_that_are_the_data_stay(tmp_path: Path) -> None:
    city = build_miniature(tmp_path, "bare", activity=False, imagery=False)
    city.samples.mkdir()

    with pytest.raises(CityError, match="cannot be made again"):
        storage.delete_samples(city)
    assert city.samples.exists()


def test_a_city_goes_as_a_whole(city: City) -> None:
    storage.delete_whole(city)

    assert list_cities(city.path.parent) == []
    assert not city.path.exists()


def test_a_city_that_is_written_stays(city: City) -> None:
    with write_city(city.path), pytest.raises(CityLockedError, match="being written"):
        storage.delete_whole(city)
    assert open_city(city.path).has_activity


def test_nothing_goes_while_an_ingest_works_with_it(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        IngestRequest, "command", lambda self, city: [sys.executable, "-c", "import time; time.sleep(600)"]
    )
    job = ingest_jobs.start(city.path.parent, city.name, IngestRequest("demo"))
    try:
        for delete in (storage.delete_samples, storage.delete_whole):
            with pytest.raises(CityError, match="a data import of miniature is running"):
                delete(city)
    finally:
        background.cancel(job, patience_s=0)
    storage.delete_whole(city)
