"""Cities on disk: commits that finish or never happened, locks, descriptions, names."""

from dataclasses import replace
from pathlib import Path

import pytest

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
from fusion.commit import finish_commit, has_commit, lock_path
from fusion.errors import CityError, InputError

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


def test_a_commit_writes_replaces_and_keeps_the_rest(tmp_path):
    with write_city(tmp_path / "town") as first:
        first.new("quality.json").write_text("1")
        first.new("rejects.parquet").write_text("1")
        first.commit(INFO)
    with write_city(tmp_path / "town") as second:
        assert second.info == replace(INFO, fingerprints={})
        second.new("quality.json").write_text("2")
        second.new_folder("scratch").joinpath("x").write_text("x")
        second.commit(INFO)
    names = ["city.toml", "quality.json", "rejects.parquet"]
    assert sorted(path.name for path in (tmp_path / "town").iterdir()) == names
    assert [(tmp_path / "town" / name).read_text() for name in names[1:]] == ["2", "1"]


def test_a_commit_that_cannot_be_finished_keeps_its_files(tmp_path, monkeypatch):
    def stuck(path: Path) -> None:
        if has_commit(path):
            raise PermissionError("busy")

    with write_city(tmp_path / "town") as writer:
        writer.new("quality.json").write_text("1")
        monkeypatch.setattr("fusion.city.finish_commit", stuck)
        with pytest.raises(PermissionError):
            writer.commit(INFO)
    monkeypatch.undo()
    assert open_city(tmp_path / "town").quality.read_text() == "1"


def test_a_reader_that_finishes_an_older_commit_late_leaves_a_newer_one_whole(tmp_path, monkeypatch):
    """It has read the first plan when another finishes that, and a second writer commits and dies half-way."""
    town = tmp_path / "town"
    with write_city(town) as first, monkeypatch.context() as stuck:
        first.new("quality.json").write_text("1")
        stuck.setattr("fusion.city.finish_commit", lambda path: None)
        first.commit(INFO)
    read_text = Path.read_text

    def held_up(path: Path, *args: object, **options: object) -> str:
        text = read_text(path, *args, **options)
        monkeypatch.undo()
        with write_city(town) as second:
            second.new("quality.json").write_text("2")
            second.new("rejects.parquet").write_text("2")
            monkeypatch.setattr("fusion.city.finish_commit", lambda path: None)  # killed before any renaming
            second.commit(INFO)
        monkeypatch.undo()
        return text

    monkeypatch.setattr(Path, "read_text", held_up)
    finish_commit(town)

    assert has_commit(town)
    assert [path.read_text() for path in (open_city(town).quality, open_city(town).rejects)] == ["2", "2"]
    assert sorted(path.name for path in town.iterdir()) == ["city.toml", "quality.json", "rejects.parquet"]


def test_a_commit_of_an_older_version_is_finished(tmp_path):
    (tmp_path / "town").mkdir()
    (tmp_path / "town" / "city.toml.1.new").write_text(INFO.to_toml())
    (tmp_path / "town" / "commit.json").write_text('{"files": {"city.toml": "city.toml.1.new"}, "remove": []}')
    assert [city.name for city in list_cities(tmp_path)] == ["town"]
    assert [path.name for path in (tmp_path / "town").iterdir()] == ["city.toml"]


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


@pytest.mark.parametrize(
    "name", ["", "Town", "a b", "../x", "a/b", "城", "-a", "reference", "incoming", "a" * 65, "a_b"]
)
def test_names_that_no_folder_should_have(name):
    with pytest.raises(InputError, match="cannot name a city"):
        check_name(name)


def test_names_that_are_fine():
    for name in ("a", "zhengzhou-2021", "0"):
        assert check_name(name) == name
