"""The folder goes through disk unchanged, and a torn or foreign one says so in one line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from fusion.errors import SampleError
from fusion.samples.sampleset import SampleMeta, SampleSet, new_sampleset, write_sampleset
from tests.samples.conftest import small_arrays, small_meta


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_sampleset(tmp_path / "set", small_meta(), **small_arrays()).folder


def test_what_is_written_is_read(folder: Path) -> None:
    samples, arrays = SampleSet.load(folder), small_arrays()
    for name, values in arrays.items():
        np.testing.assert_array_equal(getattr(samples, name), values)
    assert isinstance(samples.images, np.memmap)
    assert len(samples) == 6
    assert samples.labelled.tolist() == [0, 1, 2, 4, 5]
    expected = {**vars(small_meta()), "fingerprint": samples.meta.fingerprint}
    assert vars(samples.meta) == expected


def test_rows_of_keeps_the_order_asked(folder: Path) -> None:
    samples = SampleSet.load(folder)
    assert samples.rows_of(["d", "a", "d"]).tolist() == [3, 0, 3]
    assert samples.rows_of([]).tolist() == []
    with pytest.raises(SampleError, match=r"2 of 3 ids .*'zz'"):
        samples.rows_of(["a", "zz", "y"])


def test_fingerprint_follows_values_and_meta(tmp_path: Path) -> None:
    def fingerprint(name: str, meta: SampleMeta, **changes: object) -> str:
        return write_sampleset(tmp_path / name, meta, **{**small_arrays(), **changes}).meta.fingerprint

    first = fingerprint("a", small_meta())
    assert fingerprint("b", small_meta()) == first
    labels = small_arrays()["labels"].copy()
    labels[0] = 2
    assert fingerprint("c", small_meta(), labels=labels) != first
    assert fingerprint("d", small_meta(timezone="UTC")) != first


def test_writing_again_replaces(folder: Path) -> None:
    labels = np.zeros(6)
    write_sampleset(folder, small_meta(), **{**small_arrays(), "labels": labels})
    assert SampleSet.load(folder).labels.tolist() == [0] * 6
    assert [path.name for path in folder.parent.iterdir()] == ["set"]


def test_draft_without_commit_leaves_nothing(tmp_path: Path) -> None:
    with new_sampleset(tmp_path / "set") as draft:
        draft.put("labels", [1])
    assert list(tmp_path.iterdir()) == []


def test_square_grid_has_no_neighbours(tmp_path: Path) -> None:
    arrays = {name: values for name, values in small_arrays().items() if name != "neighbours"}
    series = np.zeros((6, 2, 4, 7, 24))
    samples = write_sampleset(
        tmp_path / "set", small_meta(grid="square"), **{**arrays, "series": series, "state": series}
    )
    assert samples.series.shape == (6, 2, 4, 7, 24)
    assert not (samples.folder / "neighbours.npy").exists()


def _one_line(folder: Path, words: str) -> None:
    with pytest.raises(SampleError, match=words) as caught:
        SampleSet.load(folder)
    assert "\n" not in str(caught.value)


def test_foreign_folder_is_named(tmp_path: Path) -> None:
    _one_line(tmp_path, "is not a SampleSet")


@pytest.mark.parametrize("name", ["images", "series", "state", "neighbours", "labels", "ids", "groups", "position"])
@pytest.mark.parametrize("keep", [0, 40, -1])
def test_truncated_array_is_named(folder: Path, name: str, keep: int) -> None:
    path = folder / f"{name}.npy"
    path.write_bytes(path.read_bytes()[:keep])
    _one_line(folder, f"{name}.npy is torn")


def test_absent_array_is_named(folder: Path) -> None:
    (folder / "state.npy").unlink()
    _one_line(folder, r"state\.npy is absent")


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "cannot be read"), ("[]", "has version 'list'"), ('{"version": 99}', "has version 99"),
     ('{"version": 1, "colour": 2}', "unknown keys")],
)  # fmt: skip
def test_torn_description_is_named(folder: Path, text: str, words: str) -> None:
    (folder / "sampleset.json").write_text(text)
    _one_line(folder, words)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [("labels", np.zeros(5, np.int16), "(images|labels|ids) has shape"), ("labels", np.zeros(6), "holds float64"),
     ("labels", np.full(6, 3, np.int16), "labels go beyond -1 to 2"),
     ("neighbours", np.full((6, 3, 3), 5, np.int32), "neighbours go beyond -1 to 4"),
     ("state", np.zeros((5, 2, 3), np.uint8), "state has shape")],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_named(folder: Path, name: str, values: np.ndarray, words: str) -> None:
    np.save(folder / f"{name}.npy", values)
    _one_line(folder, words)


def test_pickled_array_is_not_opened(folder: Path) -> None:
    np.save(folder / "groups.npy", np.array([{}] * 6, dtype=object), allow_pickle=True)
    _one_line(folder, "torn or not an array")


@pytest.mark.parametrize(("key", "value"), [("grid", "round"), ("layout", "weeks"), ("channel_measure", [0, 0, 1, 7])])
def test_impossible_description_is_named(folder: Path, key: str, value: object) -> None:
    path = folder / "sampleset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    _one_line(folder, "extract it again|use")


def test_unknown_array_is_named(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="no array 'weights'"):
        write_sampleset(tmp_path / "set", small_meta(), **small_arrays(), weights=[1])
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    with pytest.raises(SampleError, match="free some disk space"), new_sampleset(tmp_path / "set") as draft:
        draft.create("images", (10, 3, 4, 4))
