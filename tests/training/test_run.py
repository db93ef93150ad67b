"""A training leaves a whole run or none, whatever stops it, and goes on where it stopped."""

import dataclasses
import json
from pathlib import Path

import filelock
import numpy as np
import pandas as pd
import pytest
import torch

from fusion.classes import IDS
from fusion.errors import ConfigError, RunError
from fusion.metrics.scores import evaluate
from fusion.models.network import build_network
from fusion.samples.batches import make_batch
from fusion.samples.sampleset import SampleSet
from fusion.samples.scalers import fit_scalers
from fusion.samples.split import spatial_folds
from fusion.training.data import to_tensors
from fusion.training.experiments import EXPERIMENTS
from fusion.training.predict import load_predictor
from fusion.training.recipe import input_spec, run_name
from fusion.training.run import train_run
from fusion.training.runs import load_run, run_lock
from tests.training.conftest import fitted_to_chips, quick

RUN_KEYS = {
    "id", "experiment", "seed", "fold", "folds", "fold_kind", "share_kept", "counts", "not_evaluable", "config", "city",
    "provenance", "city_fingerprint", "samples_fingerprint", "model_version", "versions", "device", "precision",
    "started", "seconds", "parameters", "cost", "pretrained", "shipped",
}  # fmt: skip
METRIC_KEYS = {
    "overall_accuracy", "balanced_accuracy", "macro_f1", "per_class_f1", "confusion", "kappa", "quantity_disagreement",
    "allocation_disagreement", "ece_before", "ece_after", "temperature", "n_test", "ceilings", "similarity",
}  # fmt: skip


class Killed(BaseException):
    """Not an Exception, so that nothing on the way may swallow it."""


WHOLE = (
    "vit-pretrained",
    "convlstm",
    "trans-blstm-2",
    "vit+bilstm-late",
    "vit-pretrained+convlstm-joint",
    "vit-pretrained+convlstm-bottleneck-dropout",
)  # a row of every kind of stream and fusion; that all others build is tested below


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name not in WHOLE])
def test_every_row_builds_and_answers(planted: SampleSet, name: str) -> None:
    network = fitted_to_chips(EXPERIMENTS[name]).network
    if network.vision is not None:  # weights of a city are made by a run
        network = dataclasses.replace(network, vision=dataclasses.replace(network.vision, weights=None))
    rows = np.arange(3)
    batch = to_tensors(make_batch(planted, rows, fit_scalers(planted, rows)))
    with torch.inference_mode():
        logits = build_network(network, input_spec(planted)).eval()(batch)
    assert logits.shape == (3, len(IDS))
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", WHOLE)
def test_every_kind_leaves_a_whole_run_without_pickle(planted: SampleSet, tmp_path: Path, name: str) -> None:
    told: list[tuple[float, str]] = []
    folder = train_run(
        planted, quick(name, epochs=1), 0, 1, 3, tmp_path / "runs", device="cpu", ceilings=lambda ids: {"joint": 1.0},
        progress=lambda share, text: told.append((share, text)),
    )  # fmt: skip

    assert [share for share, _ in told] == sorted(share for share, _ in told)
    pretraining = [share for share, text in told if text.startswith("pretraining: epoch")]
    assert len(set(pretraining)) == (30 if "pretrained" in name else 0)
    assert sorted(path.name for path in folder.iterdir()) == [
        "history.csv", "metrics.json", "model.json", "model.safetensors", "predictions.parquet", "run.json",
    ]  # fmt: skip
    record = load_run(folder)
    assert set(record.run) >= RUN_KEYS
    assert set(record.metrics) >= METRIC_KEYS
    assert record.metrics["ceilings"] == {"joint": 1.0}
    assert (record.fold, record.folds, record.shipped, record.has_weights) == (1, 3, False, True)
    fold = spatial_folds(planted, 3)[1]
    table = record.predictions()
    assert table["id"].tolist() == planted.ids[fold.test].tolist()
    probability = table[[f"p_{id_}" for id_ in IDS]].to_numpy()
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-5)
    scored = evaluate(planted.labels[fold.test], probability, fold.not_evaluable)
    assert scored["overall_accuracy"] == record.metrics["overall_accuracy"]
    assert (record.run["pretrained"] is None) == ("pretrained" not in name)
    assert (record.metrics["similarity"] is None) == ("+" not in name)
    assert record.run["cost"]["multiply_adds"] > record.run["cost"]["parameters"] > 0
    assert list(record.history().columns) == ["epoch", "train_loss", "val_loss", "val_macro_f1", "lr", "seconds"]


def test_fusion_sees_what_neither_stream_sees_alone(planted: SampleSet, tmp_path: Path) -> None:
    scores = {}
    for name in ("vit", "vit+bilstm-late"):
        folder = train_run(planted, quick(name, epochs=12, batch_size=16), 0, 0, 3, tmp_path, device="cpu")
        scores[name] = load_run(folder).metrics["overall_accuracy"]

    # Looks alone tell three groups of three classes apart: a third is right at best, bar luck.
    assert 0.2 < scores["vit"] < 0.55
    assert scores["vit+bilstm-late"] > 0.7


def test_a_killed_run_resumes_and_ends_as_if_never_killed(planted: SampleSet, tmp_path: Path) -> None:
    row = quick("vit+convlstm-late", epochs=4)
    whole = train_run(planted, row, 3, 0, 3, tmp_path / "whole", device="cpu")
    told: list[float] = []

    def kill_after_two(share: float, text: str) -> None:
        told.append(share)
        if len(told) == 2:
            raise Killed

    with pytest.raises(Killed):
        train_run(planted, row, 3, 0, 3, tmp_path / "killed", device="cpu", progress=kill_after_two)
    run_id = run_name(planted, row, 3, 0, 3)
    assert not (tmp_path / "killed" / run_id).exists()
    assert (tmp_path / "killed" / f".{run_id}.tmp" / "resume.ckpt").is_file()
    resumed_epochs: list[str] = []
    resumed = train_run(
        planted, row, 3, 0, 3, tmp_path / "killed", device="cpu", resume=True,
        progress=lambda share, text: resumed_epochs.append(text),
    )  # fmt: skip

    assert [text.split(":")[0] for text in resumed_epochs if text.startswith("epoch")] == [
        "epoch 3 of 4",
        "epoch 4 of 4",
    ]
    first, second = load_run(whole), load_run(resumed)
    figures = ["epoch", "train_loss", "val_loss", "val_macro_f1", "lr"]
    pd.testing.assert_frame_equal(first.history()[figures], second.history()[figures], rtol=1e-4)
    pd.testing.assert_frame_equal(first.predictions(), second.predictions(), rtol=1e-3, atol=1e-4)
    assert not list((tmp_path / "killed").glob(".*.tmp"))


def test_a_run_that_another_process_just_finished_is_not_trained_again(
    planted: SampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = quick("bilstm", epochs=1)
    finished = tmp_path / run_name(planted, row, 0, 0, 3)

    def lock(runs_dir: Path, run_id: str) -> filelock.BaseFileLock:
        finished.mkdir()
        (finished / "run.json").write_text("{}")
        return run_lock(runs_dir, run_id)

    monkeypatch.setattr("fusion.training.run.run_lock", lock)

    assert train_run(planted, row, 0, 0, 3, tmp_path, device="cpu") == finished
    assert [path.name for path in finished.iterdir()] == ["run.json"]
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_run_killed_while_being_measured_trains_no_further_epoch(planted: SampleSet, tmp_path: Path) -> None:
    row = quick("bilstm", epochs=2)

    def kill_at_measuring(share: float, text: str) -> None:
        if text == "measuring":
            raise Killed

    with pytest.raises(Killed):
        train_run(planted, row, 0, 0, 3, tmp_path, device="cpu", progress=kill_at_measuring)
    resumed = train_run(planted, row, 0, 0, 3, tmp_path, device="cpu", resume=True)

    assert load_run(resumed).history()["epoch"].tolist() == [1, 2]


def test_early_stopping_keeps_the_best_epoch(planted: SampleSet, tmp_path: Path) -> None:
    # A rate this small learns nothing, so that no epoch beats the first by validation.
    row = quick("bilstm", epochs=6, lr=1e-12, patience=2)

    record = load_run(train_run(planted, row, 0, 0, 3, tmp_path, device="cpu"))

    assert len(record.history()) == record.run["best_epoch"] + 2


def test_checkpoint_predicts_what_the_run_measured(planted: SampleSet, tmp_path: Path) -> None:
    folder = train_run(planted, quick("vit+convlstm-bottleneck"), 0, 2, 3, tmp_path, device="cpu")
    kept = load_run(folder).predictions()

    now = load_predictor(folder, "cpu").predict(planted, planted.rows_of(kept["id"].to_numpy(dtype=str)))

    pd.testing.assert_frame_equal(now, kept, atol=1e-4)


def test_finished_run_is_returned_as_it_is(planted: SampleSet, tmp_path: Path) -> None:
    row = quick("bilstm", epochs=1)
    folder = train_run(planted, row, 0, 0, 3, tmp_path, device="cpu")
    written = (folder / "run.json").stat().st_mtime_ns

    assert train_run(planted, row, 0, 0, 3, tmp_path, device="cpu") == folder
    assert (folder / "run.json").stat().st_mtime_ns == written


def test_id_changes_with_configuration_but_not_with_words(planted: SampleSet) -> None:
    names = {run_name(planted, quick("vit", lr=lr), 0, 0, 3) for lr in (1e-3, 2e-3)}

    assert len(names) == 2
    assert all(name.startswith("vit-s0-f0of3-") for name in names)


def test_second_training_of_a_run_gets_a_clear_line(planted: SampleSet, tmp_path: Path) -> None:
    row = quick("bilstm")
    lock = filelock.FileLock(run_lock(tmp_path, run_name(planted, row, 0, 0, 3)).lock_file)

    with lock, pytest.raises(RunError, match="another process is training this run"):
        train_run(planted, row, 0, 0, 3, tmp_path, device="cpu")


def test_diverging_loss_is_one_clear_line_and_no_run(planted: SampleSet, tmp_path: Path) -> None:
    row = quick("vit", lr=1e30, clip=1e30)

    with pytest.raises(RunError, match=r"loss became .* lower the learning rate"):
        train_run(planted, row, 0, 0, 3, tmp_path, device="cpu")

    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]


def test_full_disk_is_one_clear_line_and_no_run(
    planted: SampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fusion.training.run.save_checkpoint", full)

    with pytest.raises(RunError, match=r"No space left on device.*--resume") as caught:
        train_run(planted, quick("bilstm", epochs=1), 0, 0, 3, tmp_path, device="cpu")

    assert "\n" not in str(caught.value)
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]


def test_torn_resume_file_is_one_clear_line(planted: SampleSet, tmp_path: Path) -> None:
    row = quick("bilstm", epochs=1)
    temporary = tmp_path / f".{run_name(planted, row, 0, 0, 3)}.tmp"
    temporary.mkdir()
    (temporary / "resume.ckpt").write_bytes(b"torn")

    with pytest.raises(RunError, match="without resuming"):
        train_run(planted, row, 0, 0, 3, tmp_path, device="cpu", resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"experiment": "resnet"}, "unknown experiment 'resnet'.*vit, vit-pretrained"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
        ({"device": "cuda:99"}, "this machine has"),
        ({"fold": 3}, "fold 3 of 3"),
    ],
)
def test_bad_argument_names_what_there_is(planted: SampleSet, tmp_path: Path, change: dict, message: str) -> None:
    arguments = {"experiment": "vit", "seed": 0, "fold": 0, "folds": 3, "runs_dir": tmp_path, **change}

    with pytest.raises(ConfigError, match=message):
        train_run(planted, **arguments)


def test_run_json_is_strict_json(planted: SampleSet, tmp_path: Path) -> None:
    folder = train_run(planted, quick("bilstm", epochs=1), 0, 0, 3, tmp_path, device="cpu")

    def refuse(text: str) -> None:
        raise AssertionError(text)

    for name in ("run.json", "metrics.json", "model.json"):
        json.loads((folder / name).read_text(encoding="utf-8"), parse_constant=refuse)
