"""Runs on disk: read, listed, told stale, paired, deleted; a torn folder is reported and hurts nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from fusion.classes import IDS
from fusion.errors import RunError
from fusion.models import MODEL_VERSION
from fusion.training.runs import (
    RUN_ID,
    delete_run,
    list_runs,
    load_run,
    load_runs,
    partners,
    run_lock,
    stale_reasons,
)


class FakeCity:
    def __init__(self, root: Path, fingerprint: str = "city-one") -> None:
        self.root = root
        self._fingerprint = fingerprint

    def run_folders(self) -> list[Path]:
        return sorted(path for path in self.root.iterdir() if not path.name.startswith("."))

    def fingerprint(self) -> str:
        return self._fingerprint


def write_run(root: Path, experiment: str = "vit", weights: bool = False, **changes: object) -> Path:
    run = {
        "id": f"{experiment}-s0-f0of3-0123abcd", "experiment": experiment, "seed": 0, "fold": 0, "folds": 3,
        "fold_kind": "spatial", "share_kept": 0.4, "city_fingerprint": "city-one", "model_version": MODEL_VERSION,
        "shipped": False, "seconds": {"train": 2.5, "predict": 0.1}, "parameters": 10, "device": "cpu",
        "started": "2026-11-23T12:00:00+00:00", **changes,
    }  # fmt: skip
    metrics = {
        "overall_accuracy": 0.5, "balanced_accuracy": 0.4, "macro_f1": 0.3, "confusion": [[1]], "temperature": 1.0,
        "n_test": 2, "ece_after": 0.02,
    }  # fmt: skip
    folder = root / str(run["id"])
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(run))
    (folder / "metrics.json").write_text(json.dumps(metrics))
    table = pd.DataFrame({"id": ["a", "b"], "group": [1, 1], "true": "park", "predicted": "park"})
    table.assign(**{f"p_{id_}": 1 / 9 for id_ in IDS}).to_parquet(folder / "predictions.parquet")
    (folder / "history.csv").write_text("epoch,train_loss,val_loss,val_macro_f1,lr,seconds\n1,2.0,2.1,0.1,0.001,3.0\n")
    if weights:
        (folder / "model.safetensors").write_bytes(b"")
        (folder / "model.json").write_text("{}")
    return folder


def test_load_run_gives_what_was_written(tmp_path: Path) -> None:
    record = load_run(write_run(tmp_path))

    assert (record.id, record.experiment, record.seed, record.fold, record.folds) == (
        "vit-s0-f0of3-0123abcd", "vit", 0, 0, 3,
    )  # fmt: skip
    assert record.metrics["overall_accuracy"] == 0.5
    assert record.history()["val_loss"].tolist() == [2.1]
    assert record.predictions()["id"].tolist() == ["a", "b"]
    assert not record.has_weights


@pytest.mark.parametrize("name", ["run.json", "metrics.json", "predictions.parquet", "history.csv"])
def test_run_without_a_file_is_torn(tmp_path: Path, name: str) -> None:
    folder = write_run(tmp_path)
    (folder / name).unlink()

    with pytest.raises(RunError, match=f"no {name}"):
        load_run(folder)


@pytest.mark.parametrize("content", ["", "{", "[1]", "{}"])
def test_run_with_a_torn_json_is_reported_in_one_line(tmp_path: Path, content: str) -> None:
    folder = write_run(tmp_path)
    (folder / "metrics.json").write_text(content)

    with pytest.raises(RunError, match=r"metrics\.json") as caught:
        load_run(folder)
    assert "\n" not in str(caught.value)


def test_truncated_predictions_are_reported(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    path = folder / "predictions.parquet"
    path.write_bytes(path.read_bytes()[:100])

    with pytest.raises(RunError, match=r"predictions\.parquet: cannot be read"):
        load_run(folder).predictions()


@pytest.mark.parametrize(
    ("city_fingerprint", "version", "reasons"),
    [
        ("city-one", MODEL_VERSION, ()),
        ("city-two", MODEL_VERSION, ("data",)),
        ("city-one", MODEL_VERSION + 1, ("model",)),
        ("city-two", MODEL_VERSION + 1, ("data", "model")),
    ],
)
def test_stale_reasons(tmp_path: Path, city_fingerprint: str, version: int, reasons: tuple[str, ...]) -> None:
    record = load_run(write_run(tmp_path))

    assert stale_reasons(record, city_fingerprint, version) == reasons


def test_list_runs_keeps_a_torn_folder_in_view(tmp_path: Path) -> None:
    write_run(tmp_path, "bilstm", city_fingerprint="old")
    torn = write_run(tmp_path, "vit")
    (torn / "run.json").write_text("{")

    table = list_runs(FakeCity(tmp_path)).set_index("id")

    assert table.loc["bilstm-s0-f0of3-0123abcd", "stale"] == "data"
    assert table.loc["bilstm-s0-f0of3-0123abcd", "overall_accuracy"] == 0.5
    assert table["problem"].isna().tolist() == [True, False]
    assert "run.json" in table.loc[torn.name, "problem"]
    records, problems = load_runs([torn, tmp_path / "bilstm-s0-f0of3-0123abcd"])
    assert [record.experiment for record in records] == ["bilstm"]
    assert list(problems) == [torn]


def test_list_runs_of_a_city_without_runs_has_the_columns(tmp_path: Path) -> None:
    table = list_runs(FakeCity(tmp_path))

    assert table.empty
    assert {"id", "overall_accuracy", "stale", "problem"} <= set(table.columns)


def test_partners_share_seed_fold_and_data_and_prefer_weights(tmp_path: Path) -> None:
    fusion = load_run(write_run(tmp_path, "vit+convlstm-bottleneck"))
    bare = load_run(write_run(tmp_path / "bare", "vit"))
    full = load_run(write_run(tmp_path / "full", "vit", weights=True))
    other_fold = load_run(write_run(tmp_path / "other", "convlstm", fold=1))
    bilstm = load_run(write_run(tmp_path, "bilstm"))

    found = partners(fusion, [bare, full, other_fold, bilstm, fusion])

    assert found == {"image": full, "signal": None}
    assert partners(bilstm, [bare, full, fusion]) == {"image": None, "signal": None}


def test_delete_removes_a_run_of_ones_own_even_torn(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    (folder / "run.json").write_text("{")

    delete_run(folder)

    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


def test_delete_refuses_what_ships_what_trains_and_what_is_no_run(tmp_path: Path) -> None:
    shipped = write_run(tmp_path / "a", shipped=True)
    training = write_run(tmp_path / "b")
    stranger = tmp_path / "holiday-photos"
    stranger.mkdir()

    with pytest.raises(RunError, match="shipped"):
        delete_run(shipped)
    with run_lock(training.parent, training.name), pytest.raises(RunError, match="being trained"):
        delete_run(training)
    with pytest.raises(RunError, match="no such run"):
        delete_run(stranger)
    assert shipped.is_dir()
    assert training.is_dir()
    assert stranger.is_dir()


def test_run_id_has_the_designed_form() -> None:
    match = RUN_ID.match("vit+convlstm-bottleneck-s0-f2of3-09af13cd")

    assert match is not None
    assert match.groupdict() == {
        "experiment": "vit+convlstm-bottleneck", "seed": "0", "fold": "2", "folds": "3", "digits": "09af13cd",
    }  # fmt: skip


def test_reading_runs_does_not_import_torch() -> None:
    code = "import sys, fusion.training.runs, fusion.training.experiments; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
