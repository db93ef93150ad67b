"""A URFC folder becomes a city without a map: exact, accounted for, whole or not at all."""

import json
import os
import signal
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fusion.city import City, open_city, write_city
from fusion.cli import main
from fusion.errors import CityError, InputError
from fusion.extract import urfc
from fusion.extract.build import build_samples
from fusion.extract.urfc import UrfcOptions, ingest_urfc
from fusion.extract.urfc_groups import group_regions
from fusion.ingest.quality import accounts, load_quality, load_rejects
from fusion.samples.sampleset import SampleSet
from fusion.samples.split import make_folds
from tests.extract.test_urfc_visits import count_by_definition
from tests.extract.urfc_folder import (
    DATES,
    LACKING,
    visit_lines,
    write_blank,
    write_folder,
    write_image,
    write_visits,
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder without fault: 27 regions of nine classes and 3 without a class."""
    return write_folder(tmp_path_factory.mktemp("urfc") / "urfc")


@pytest.fixture(scope="module")
def city(sound: Path, tmp_path_factory: pytest.TempPathFactory) -> City:
    """Its city, read-only."""
    path = tmp_path_factory.mktemp("data") / "urfc"
    ingest_urfc(sound, path)
    return open_city(path)


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder with every fault."""
    root = write_folder(tmp_path / "odd", regions=9, tests=0, users=3)
    images, visits = root / "train_image", root / "train_visit"
    for number, code in ((20, "001"), (21, "001"), (22, "002"), (23, "003"), (24, "004"), (25, "005"), (26, "006")):
        write_image(images / code / f"{number:06d}_{code}.jpg", number)
        write_visits(visits / code / f"{number:06d}_{code}.txt", visit_lines(number, 3, 9))
    (images / "001" / "000020_001.jpg").write_bytes((images / "001" / "000020_001.jpg").read_bytes()[:900])
    write_image(images / "001" / "000021_001.jpg", 21, (90, 100))
    write_blank(images / "002" / "000022_002.jpg")
    (visits / "003" / "000023_003.txt").write_bytes(b"\n\nnothing\n")
    (visits / "004" / "000024_004.txt").unlink()
    (images / "005" / "000025_005.jpg").rename(images / "006" / "000025_005.jpg")
    write_visits(visits / "000026_006.txt", "u\t20181221&09\n")  # a second file of that name
    write_visits(visits / "001" / "notes.md", "")
    write_visits(visits / "000027_010.txt", "u\t20181221&09\n")
    write_visits(images / "001" / "Thumbs.db", "")
    return root


def test_series_are_the_users_of_each_hour(sound: Path, city: City) -> None:
    samples = SampleSet.load(city.region_samples)
    assert samples.series.shape == (30, 26, 1, 7, 24)
    for row, name in enumerate(samples.ids):
        part = "train" if "_" in name else "test"
        seen, _, _ = count_by_definition((sound / f"{part}_visit" / f"{name}.txt").read_bytes())
        expected = np.zeros((182, 24))
        for (day, hour), number in seen.items():
            expected[DATES.index(day), int(hour)] = number
        np.testing.assert_array_equal(samples.series[row].reshape(182, 24), expected)


def test_images_are_the_pixels(sound: Path, city: City) -> None:
    samples = SampleSet.load(city.region_samples)
    row = samples.ids.tolist().index("000004_005")
    with Image.open(sound / "train_image" / "005" / "000004_005.jpg") as image:
        np.testing.assert_array_equal(samples.images[row], np.asarray(image).transpose(2, 0, 1))


def test_labels_are_those_of_the_names_and_test_regions_have_none(city: City) -> None:
    samples = SampleSet.load(city.region_samples)
    assert [(str(name), int(label)) for name, label in zip(samples.ids, samples.labels, strict=True)] == [
        (str(name), int(name[7:]) - 1 if "_" in name else -1) for name in samples.ids
    ]
    assert (samples.labels == -1).sum() == 3


def test_hours_that_are_missing_everywhere_are_missing_and_not_zero(city: City) -> None:
    state = SampleSet.load(city.region_samples).state.reshape(30, 182, 24)
    for date in LACKING:
        assert (state[:, DATES.index(date), 0] == 0).all()
        assert (state[:, DATES.index(date), 1:] == 2).all()
    assert (state == 2).sum() == 30 * len(LACKING) * 23
    assert [flag.date for flag in city.info.flagged] == ["2018-10-31", "2018-11-21"]


def test_no_user_is_stored(sound: Path, city: City) -> None:
    users = {line.split(b"\t")[0] for path in sound.rglob("*.txt") for line in path.read_bytes().splitlines()}
    held = b"".join(path.read_bytes() for path in city.path.rglob("*") if path.is_file())
    assert len(users) == 360
    assert not [user for user in users if user in held]


def test_the_description_is_that_of_real_data(city: City) -> None:
    assert (city.info.provenance, city.info.hours, city.info.first_hour) == ("real", 4368, "2018-09-30T16:00:00Z")
    assert not city.has_map
    assert city.can_train
    assert build_samples(city, layout="hours", k=3).meta.city_fingerprint == city.fingerprint()


def test_files_lines_and_entries_add_up(odd: Path, tmp_path: Path) -> None:
    write_visits(
        odd / "train_visit" / "000000_001.txt", "\nu\t20181221&09|09|77,20181399&01,20200101&00\nu\t20181221&10\n"
    )
    report = ingest_urfc(odd, tmp_path / "town")
    part = report["urfc"]
    assert accounts(report) == []
    for unit in ("files", "lines", "entries"):
        assert part[f"{unit}_read"] == part[f"{unit}_taken"] + part[f"{unit}_rejected"]
        assert part[f"{unit}_rejected"] == sum(part[f"{unit}_rejected_by_reason"].values())
    assert part["files_rejected_by_reason"] == {
        "bad_name": 1, "class_conflict": 1, "corrupt_image": 1, "no_entries": 1, "no_partner": 2,
        "partner_rejected": 3, "repeated_name": 1, "unknown_file": 1, "wrong_size": 1,
    }  # fmt: skip
    assert part["files_read"] == sum(path.is_file() and path.name != "Thumbs.db" for path in odd.rglob("*"))
    assert part["lines_rejected_by_reason"] == {"blank_line": 3, "no_tab": 1}
    assert part["entries_rejected_by_reason"] == {"bad_date": 1, "outside_dates": 1, "bad_hour": 1, "repeated": 1}
    town = open_city(tmp_path / "town")
    assert SampleSet.load(town.region_samples).series.sum() == part["entries_taken"]
    assert load_quality(town) == json.loads(json.dumps(report))


def test_rejects_name_file_line_and_reason(odd: Path, tmp_path: Path) -> None:
    write_visits(odd / "train_visit" / "000000_001.txt", "\nsecretuser\t20181221&09|77|78\nsecretuser no tab\n")
    report = ingest_urfc(odd, tmp_path / "town")
    rejects = load_rejects(open_city(tmp_path / "town"))
    own = rejects[rejects["file"] == "train_visit/000000_001.txt"]
    assert own[["row", "reason", "text"]].to_numpy().tolist() == [
        [1, "blank_line", ""], [2, "bad_hour", "2 of its entries"], [3, "no_tab", ""],
    ]  # fmt: skip
    assert (rejects["row"] == 0).sum() == report["urfc"]["files_rejected"]
    assert set(rejects["part"]) == {"urfc"}


def test_blank_images_are_counted_and_dropped_on_demand(odd: Path, tmp_path: Path) -> None:
    kept = ingest_urfc(odd, tmp_path / "kept")["urfc"]
    dropped = ingest_urfc(odd, tmp_path / "dropped", UrfcOptions(drop_blank=True))["urfc"]
    assert (kept["blank_images"], kept["blank_images_listed"]) == (1, ["000022_002"])
    assert dropped["files_rejected_by_reason"]["blank_image"] == 1
    assert dropped["regions"] == kept["regions"] - 1


def test_resize_takes_images_of_another_size(odd: Path, tmp_path: Path) -> None:
    part = ingest_urfc(odd, tmp_path / "town", UrfcOptions(resize=True))["urfc"]
    assert "wrong_size" not in part["files_rejected_by_reason"]
    assert "000021_001" in SampleSet.load(open_city(tmp_path / "town").region_samples).ids


def test_repeated_and_identical_regions_are_one_group() -> None:
    #            0    1    2    3    4    5    6    7
    numbers = ["a", "b", "c", "a", "d", "e", "f", "g"]
    images = ["1", "2", "2", "3", "4", "0", "0", "5"]
    visits = ["x", "y", "z", "y", "w", "v", "u", "x"]
    blank = [False] * 5 + [True] * 2 + [False]
    # 0-3 by number, 1-2 by image, 1-3 and 0-7 by visits; 4 alone, and 5 and 6, whose images show nothing.
    assert group_regions(numbers, images, visits, blank).tolist() == [0, 0, 0, 0, 1, 2, 3, 0]


def test_folds_never_part_what_is_repeated(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "urfc", regions=36, tests=0, users=2)
    for number in range(9):  # the same region under another class, as oversampled lists have it
        source = f"{number:06d}_{number + 1:03d}"
        code = f"{(number + 1) % 9 + 1:03d}"
        for kind, ending, folder in (("image", "jpg", f"{number + 1:03d}/"), ("visit", "txt", "")):
            data = (root / f"train_{kind}" / f"{folder}{source}.{ending}").read_bytes()
            write_visits(root / f"train_{kind}" / f"{number:06d}_{code}.{ending}", data)
    report = ingest_urfc(root, tmp_path / "town")["urfc"]
    samples = SampleSet.load(open_city(tmp_path / "town").region_samples)
    assert (report["repeated_numbers"], report["identical_images"], report["identical_visits"]) == (9, 9, 9)
    numbers = np.array([name.split("_")[0] for name in samples.ids])
    for fold in make_folds(samples, 3):
        assert fold.kind == "random"
        sides = [set(numbers[rows]) for rows in (fold.train, fold.validation, fold.test)]
        assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]


def test_a_zip_of_the_folder_gives_the_same(sound: Path, city: City, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in sorted(sound.rglob("*")):
            archive.write(path, Path("URFC") / path.relative_to(sound))
    ingest_urfc(tmp_path / "all.zip", tmp_path / "town")
    assert open_city(tmp_path / "town").info.fingerprints == city.info.fingerprints
    assert not list((tmp_path / "town").glob("*.new"))


def test_ingesting_again_gives_the_same_and_leaves_one_set(sound: Path, tmp_path: Path) -> None:
    ingest_urfc(sound, tmp_path / "town", UrfcOptions(jobs=1))
    before = open_city(tmp_path / "town")
    write_visits(tmp_path / "town" / "samples" / ".regions.0.tmp" / "torn.npy", "")
    ingest_urfc(sound, tmp_path / "town", UrfcOptions(jobs=3))
    after = open_city(tmp_path / "town")
    assert (after.fingerprint(), after.region_samples) == (before.fingerprint(), before.region_samples)
    assert [path.name for path in after.samples.iterdir()] == [after.region_samples.name]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "is not a folder"),
        (lambda root: (root / "train_image").mkdir(parents=True), "has no train_image and train_visit"),
        (lambda root: [(root / name).mkdir(parents=True) for name in ("train_image", "train_visit")], "no region can"),
    ],
    ids=["absent", "half", "empty"],
)
def test_what_is_no_urfc_folder_is_refused(make: object, message: str, tmp_path: Path) -> None:
    make(tmp_path / "urfc")  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        ingest_urfc(tmp_path / "urfc", tmp_path / "data" / "town")
    assert not (tmp_path / "data" / "town").exists()


def test_a_city_is_of_a_map_or_of_regions(city: City, sound: Path, tmp_path: Path) -> None:
    with pytest.raises(CityError, match="regions without a map"), write_city(city.path):
        pass
    with write_city(tmp_path / "mapped") as writer:
        writer.new("functions.parquet").write_bytes(b"")
        (tmp_path / "mapped" / "functions.parquet").write_bytes(b"")
        (tmp_path / "mapped" / "city.toml").write_text(
            (city.path / "city.toml").read_text().replace("regions", "other")
        )
    with pytest.raises(CityError, match="has a map"):
        ingest_urfc(sound, tmp_path / "mapped")


def test_a_failure_before_the_commit_leaves_the_old_city(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest_urfc(write_folder(tmp_path / "small", regions=9, tests=0), tmp_path / "town")
    before = open_city(tmp_path / "town")
    monkeypatch.setattr(urfc, "write_rejects", lambda *arguments: (_ for _ in ()).throw(OSError(28, "disk full")))
    with pytest.raises(CityError, match="was not changed"):
        ingest_urfc(sound, tmp_path / "town")
    after = open_city(tmp_path / "town")
    assert after.fingerprint() == before.fingerprint()
    assert len(SampleSet.load(after.region_samples)) == 9


def test_killed_at_any_moment_it_is_the_old_city_or_the_new(sound: Path, tmp_path: Path) -> None:
    town = tmp_path / "town"
    ingest_urfc(write_folder(tmp_path / "small", regions=9, tests=0), town)
    took = -time.perf_counter()
    ingest_urfc(sound, tmp_path / "timed", UrfcOptions(jobs=1))
    took += time.perf_counter()
    sizes = set()
    for moment in range(8):
        child = os.fork()
        if child == 0:
            try:
                ingest_urfc(sound, town, UrfcOptions(jobs=1))
            finally:
                os._exit(0)
        time.sleep(took * (moment + 1) / 8)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        found = open_city(town)
        samples = SampleSet.load(found.region_samples)
        assert samples.meta.city_fingerprint == found.fingerprint()
        sizes.add(len(samples))
    assert sizes <= {9, 30}
    ingest_urfc(sound, town)  # and nothing that was left is in the way
    assert len(SampleSet.load(open_city(town).region_samples)) == 30


def test_the_command_says_what_it_took(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FUSION_DATA", str(tmp_path))
    assert main(["ingest", "urfc", str(sound), "--city", "urfc"]) == 0
    assert capsys.readouterr().out.startswith("urfc: 30 regions of 60 files, 0 rejected; ")
    assert main(["quality", "--city", "urfc"]) == 0
    assert "urfc files: 60 read = 60 taken + 0 rejected" in capsys.readouterr().out
    assert main(["ingest", "urfc", str(tmp_path / "nowhere"), "--city", "urfc"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
