"""Pretraining sees no pixel of the test area, and leaves a whole file or none."""

import dataclasses
import errno
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fusion.errors import ConfigError, RunError, SampleError
from fusion.models.mae import MaskedAutoencoder
from fusion.models.vision import build_vit
from fusion.models.weights import load_weights, read_about
from fusion.samples.sampleset import SampleSet
from fusion.samples.split import random_folds, spatial_folds
from fusion.training import pretrain
from fusion.training.pretrain import PretrainConfig, pretrain_vision, pretraining_rows
from tests.training.chip_line import CPU, QUICK, VIT, fold_of, write_line


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> SampleSet:
    return write_line(tmp_path_factory.mktemp("samples") / "line")


def test_no_chip_that_shares_a_pixel_with_a_test_chip_is_seen(line: SampleSet) -> None:
    # 384 m wide, 100 m apart: the third neighbour still overlaps by 84 m, the fourth is 16 m away
    rows = pretraining_rows(line, fold_of([10, 30]))
    assert sorted(set(range(60)) - set(rows.tolist())) == [*range(7, 14), *range(27, 34)]
    assert 5 in rows  # unlabelled chips are learned from too


def test_every_fold_of_a_map_keeps_its_test_pixels_unseen(planted: SampleSet) -> None:
    for fold in spatial_folds(planted, 3):
        rows = pretraining_rows(planted, fold)
        apart = np.abs(planted.position[rows][:, None] - planted.position[fold.test][None]).max(axis=2)
        assert apart.min() >= planted.meta.chip_m
        assert set(fold.train) <= set(rows)
        assert (planted.labels[rows] < 0).any()


def test_random_folds_of_a_map_leave_out_the_test_cells_alone(planted: SampleSet) -> None:
    fold = random_folds(planted, 3)[1]
    assert pretraining_rows(planted, fold).tolist() == sorted(set(range(len(planted))) - set(fold.test.tolist()))


def test_copies_of_a_test_region_without_a_map_stay_unseen(line: SampleSet) -> None:
    arrays = {
        name: getattr(line, name) for name in ("images", "series", "state", "labels", "ids", "groups", "position")
    }
    regions = SampleSet(line.folder, dataclasses.replace(line.meta, grid="square"), arrays)
    rows = pretraining_rows(regions, fold_of([10, 30], kind="random"))
    assert sorted(set(range(60)) - set(rows.tolist())) == [8, 9, 10, 11, 28, 29, 30, 31]  # groups of four


def test_without_a_fold_all_chips_are_seen_and_too_few_are_refused(line: SampleSet) -> None:
    assert pretraining_rows(line, None).tolist() == list(range(60))
    with pytest.raises(SampleError, match=r"^\d+ chips of lineville.*at least 32"):
        pretraining_rows(line, fold_of(list(range(0, 60, 7))))
    with pytest.raises(SampleError, match=r"^0 chips"):
        pretrain_vision(line, np.arange(0), VIT, QUICK, 0, CPU, Path("never.safetensors"))


def test_the_file_is_a_whole_encoder_and_says_how_it_came_about(line: SampleSet, tmp_path: Path) -> None:
    path, fold, told = tmp_path / "new" / "w.safetensors", fold_of([10]), []
    rows = pretraining_rows(line, fold)

    report = pretrain_vision(line, rows, VIT, QUICK, 3, CPU, path, lambda *news: told.append(news), fold=fold)

    taken = load_weights(build_vit(VIT, 16), path)
    assert (taken.missing, taken.unexpected) == ((), ())
    about = read_about(path)
    assert about is not None
    expected = {
        "method": "masked autoencoding", "city": "lineville", "samples_fingerprint": line.meta.fingerprint, "fold": 0,
        "folds": 3, "fold_kind": "spatial", "transductive": False, "chips": 53, "chip_px": 16, "seed": 3,
    }  # fmt: skip
    assert {key: about[key] for key in expected} == expected
    assert about["options"] == dataclasses.asdict(QUICK)
    assert about["loss"] == pytest.approx(report.losses[-1], abs=1e-6)
    assert (report.path, report.chips, report.transductive, len(report.losses)) == (path, 53, False, 2)
    assert [share for share, _ in told] == [0.5, 1.0]
    assert [path.name for path in path.parent.iterdir()] == ["w.safetensors"]


def test_without_a_fold_it_is_called_transductive(line: SampleSet, tmp_path: Path) -> None:
    report = pretrain_vision(line, pretraining_rows(line, None), VIT, QUICK, 0, CPU, tmp_path / "w.safetensors")
    about = read_about(report.path)
    assert about is not None
    assert report.transductive
    assert about["transductive"] is True
    assert about["fold"] is None


def test_the_test_areas_pixels_change_nothing(line: SampleSet, tmp_path: Path) -> None:
    fold = fold_of([10, 11])
    images = np.array(line.images)
    images[7:15] = 255 - images[7:15]  # the test chips, and all that share a pixel with them
    other = write_line(tmp_path / "other", images=images)

    files = []
    for number, samples in enumerate((line, other)):
        path = tmp_path / f"{number}.safetensors"
        pretrain_vision(samples, pretraining_rows(samples, fold), VIT, QUICK, 0, CPU, path, fold=fold)
        files.append(load_file(path))

    assert all(torch.equal(files[0][name], files[1][name]) for name in files[0])


def test_a_seed_gives_the_same_weights_and_leaves_the_callers_generator_alone(line: SampleSet, tmp_path: Path) -> None:
    rows = np.arange(60)

    def weights(seed: int) -> torch.Tensor:
        pretrain_vision(line, rows, VIT, QUICK, seed, CPU, tmp_path / "w.safetensors")
        return load_file(tmp_path / "w.safetensors")["blocks.0.mlp.fc1.weight"]

    torch.manual_seed(5)
    first, drawn = weights(0), torch.rand(1)
    torch.manual_seed(6)
    assert torch.equal(weights(0), first)
    assert not torch.equal(weights(1), first)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), drawn)


def test_waves_are_learned_from_chips(tmp_path: Path) -> None:
    """Chips of stripes whose phase and direction every visible patch gives away: painting beats flat patches."""
    rng = np.random.default_rng(0)
    wave = np.sin(np.arange(16) * 2 * np.pi / 8 + rng.uniform(0, 2 * np.pi, (256, 1)))
    images = (127 + 100 * wave)[:, None, None, :].repeat(16, axis=2).repeat(3, axis=1)
    samples = write_line(tmp_path / "waves", count=256, images=images)
    options = PretrainConfig(epochs=40, batch_size=64, lr=5e-3, decoder_width=32, decoder_blocks=1, mask=0.5)
    report = pretrain_vision(samples, np.arange(256), VIT, options, 0, CPU, tmp_path / "w.safetensors")
    assert report.losses[0] > 0.9
    assert report.losses[-1] < 0.6


class Killed(BaseException):
    """Not an Exception, so that nothing on the way may swallow it."""


def test_what_ends_a_pretraining_leaves_no_file(
    line: SampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.safetensors"

    def ends(error: type[BaseException], message: str, progress: pretrain.Progress | None = None) -> None:
        with pytest.raises(error, match=message) as caught:
            pretrain_vision(line, np.arange(60), VIT, QUICK, 0, CPU, path, progress)
        assert "\n" not in str(caught.value)
        assert list(tmp_path.iterdir()) == []

    def kill(share: float, text: str) -> None:
        raise Killed("now")

    def full(state: object, place: Path, metadata: object) -> None:
        Path(place).write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    ends(Killed, "now", kill)
    with monkeypatch.context() as patch:
        patch.setattr(pretrain, "save_file", full)
        ends(RunError, r"w\.safetensors: cannot be written \(No space left on device\): free the disk")
    monkeypatch.setattr(MaskedAutoencoder, "loss", lambda self, patches, painted, hidden: painted.sum() * torch.nan)
    ends(RunError, "pretraining loss became nan in epoch 1: lower")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"epochs": 0}, "epochs is 0"), ({"mask": 1.0}, "mask is 1.0"), ({"lr": float("nan")}, "lr is nan"),
     ({"weight_decay": -1}, "weight_decay is -1"), ({"batch_size": 2.5}, "batch_size is 2.5"),
     ({"turn": "False"}, "turn is 'False': give true or false")],
)  # fmt: skip
def test_options_out_of_range_are_named(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PretrainConfig(**options)
