import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fusion.errors import RunError
from fusion.models.checkpoint import ModelCard, load_card, load_checkpoint, save_checkpoint
from fusion.models.config import InputSpec, NetworkConfig, VisionConfig
from fusion.models.network import build_network

MakeBatch = Callable[..., dict[str, Tensor]]
SCALERS = {"measure_mean": [1.25], "measure_std": [0.5], "image_mean": [0.1, 0.2, 0.3], "image_std": [1.0, 1.0, 1.0]}


@pytest.fixture
def folder(tmp_path: Path, configs: dict[str, NetworkConfig], spec: InputSpec) -> Path:
    config = configs["convlstm"]
    save_checkpoint(tmp_path, build_network(config, spec), ModelCard(config, spec, SCALERS, 1.5, "convlstm"))
    return tmp_path


def test_round_trip(tmp_path: Path, configs: dict[str, NetworkConfig], spec: InputSpec, make_batch: MakeBatch) -> None:
    batch = make_batch(spec, dtype=torch.float32)
    for name, config in configs.items():
        network, card = build_network(config, spec).eval(), ModelCard(config, spec, SCALERS, 1.5, name)
        save_checkpoint(tmp_path / name, network, card)

        again, card_again = load_checkpoint(tmp_path / name)

        assert card_again == card
        assert not again.training
        torch.testing.assert_close(again(batch), network(batch), atol=0, rtol=0)
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == ["model.json", "model.safetensors"]


def test_a_checkpoint_needs_no_pretrained_file(tmp_path: Path, spec: InputSpec, vision: VisionConfig) -> None:
    config = NetworkConfig(vision)
    network = build_network(config, spec)
    config = NetworkConfig(replace(vision, weights=str(tmp_path / "gone.safetensors")))
    save_checkpoint(tmp_path, network, ModelCard(config, spec, SCALERS, 1.0, "vit-pretrained"))
    load_checkpoint(tmp_path)


def edit(folder: Path, **changes: object) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def tear_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


def tear_card(folder: Path) -> None:
    path = folder / "model.json"
    path.write_text(path.read_text()[:-10])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (tear_weights, "model.safetensors is torn"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b""), "model.safetensors is torn"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no model.safetensors"),
        (lambda folder: (folder / "model.json").unlink(), "no model.json"),
        (tear_card, "model.json is torn"),
        (lambda folder: (folder / "model.json").write_text("[1]"), "model.json is torn"),
        (lambda folder: (folder / "model.json").write_bytes(b"\xff\xfe\x00"), "model.json is torn"),
        (lambda folder: edit(folder, classes=["house", "field"]), "other classes"),
        (lambda folder: edit(folder, classes=None), "model.json is torn"),
        (lambda folder: edit(folder, model_version=0), "model version 0"),
        (lambda folder: edit(folder, temperature=0), "temperature"),
        (lambda folder: edit(folder, more=1), "more"),
        (lambda folder: edit(folder, network={"signal": {"kind": "lstm"}}), "lstm"),
        (lambda folder: edit(folder, network={"signal": {"kind": "bilstm"}}), "of another network"),
        (lambda folder: edit(folder, network={"signal": {"kind": "convlstm", "hidden": 7}}), "of another network"),
        (lambda folder: edit(folder, network={"vision": {"patch": 3}}), "cannot be built|no network"),
    ],
)
def test_a_damaged_checkpoint_gets_one_line(folder: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(folder)
    with pytest.raises(RunError, match=message) as caught:
        load_checkpoint(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_the_card_is_read_without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert load_card(folder).temperature == 1.5


def test_classes_are_as_many_as_logits(tmp_path: Path, spec: InputSpec, configs: dict[str, NetworkConfig]) -> None:
    config = configs["vit"]
    card = ModelCard(config, spec, SCALERS, 1.0, "vit", classes=("a", "b"))
    with pytest.raises(RunError, match="2 classes"):
        save_checkpoint(tmp_path, build_network(config, spec), card)
