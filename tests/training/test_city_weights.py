"""A city's weights are made once a fold, and a run says truly where its weights came from."""

import dataclasses
import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from fusion.errors import ConfigError
from fusion.models.config import BiLSTMConfig, InputSpec, NetworkConfig
from fusion.models.network import build_network
from fusion.samples.sampleset import SampleSet
from fusion.samples.split import Fold
from fusion.training import city_weights as cache
from fusion.training.city_weights import city_weights, describe_pretraining, resolve_weights, weights_recipe
from fusion.training.pretrain import PretrainConfig, pretrain_vision, pretraining_rows
from tests.training.chip_line import CPU, QUICK, VIT, fold_of, write_line


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> SampleSet:
    return write_line(tmp_path_factory.mktemp("samples") / "line")


def test_a_citys_weights_are_made_once_a_fold(line: SampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(cache, "pretrain_vision", lambda *given, **more: made.append(given[0]) or pretrain_vision(
        *given, **more))  # fmt: skip
    first = city_weights(line, fold_of([10]), VIT, tmp_path, CPU, pretraining=QUICK)
    assert first.name.startswith("mae-spatial-f0of3-")
    assert city_weights(line, fold_of([10]), VIT, tmp_path, CPU, pretraining=QUICK) == first
    assert len(made) == 1
    # how much is dropped in fine-tuning, and the signaling's layout, have no part in it
    dropping = dataclasses.replace(VIT, dropout=0.2, drop_path=0.1)
    hours = write_line(tmp_path / "hours", layout="hours")
    assert hours.meta.fingerprint != line.meta.fingerprint
    assert city_weights(hours, fold_of([10]), dropping, tmp_path, CPU, pretraining=QUICK) == first
    assert len(made) == 1

    wider, longer = dataclasses.replace(VIT, width=32), dataclasses.replace(QUICK, epochs=1)
    images = np.array(line.images)
    images[50] += 1
    repainted = write_line(tmp_path / "repainted", images=images)
    others = {
        city_weights(line, fold_of([40]), VIT, tmp_path, CPU, pretraining=QUICK),
        city_weights(line, fold_of([10]), wider, tmp_path, CPU, pretraining=QUICK),
        city_weights(line, fold_of([10]), VIT, tmp_path, CPU, pretraining=longer),
        city_weights(repainted, fold_of([10]), VIT, tmp_path, CPU, pretraining=QUICK),
    }
    assert len(others | {first}) == 5


def test_one_process_makes_them_while_others_wait(
    line: SampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, told, paths = [], [], []

    def slow(*given: object, **more: object) -> None:
        made.append(1)
        time.sleep(0.3)
        save_file({"a": torch.zeros(1)}, given[6])

    monkeypatch.setattr(cache, "pretrain_vision", slow)

    def ask() -> None:
        paths.append(city_weights(line, fold_of([10]), VIT, tmp_path, CPU, lambda share, text: told.append(text)))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(paths) == 3
    assert len(set(paths)) == 1
    assert told == ["waiting for the pretraining in another process"] * 2


def test_a_run_gets_the_file_and_keeps_the_word(
    line: SampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "PretrainConfig", lambda: QUICK)
    city = NetworkConfig(dataclasses.replace(VIT, weights="city"), BiLSTMConfig(width=16, heads=2), "late")
    spec = InputSpec(chip_px=16)
    with pytest.raises(ConfigError, match="'city' belong to a city and a fold"):
        build_network(city, spec)
    build_network(city, spec, initial_weights=False)  # a checkpoint brings its own

    resolved = resolve_weights(city, line, fold_of([10]), tmp_path / "runs", CPU)

    assert city.vision is not None
    assert resolved.vision is not None
    assert city.vision.weights == "city"
    path = Path(str(resolved.vision.weights))
    assert path.parent == tmp_path / "pretrained"
    assert dataclasses.replace(resolved, vision=city.vision) == city
    network = build_network(resolved, spec)
    torch.testing.assert_close(
        network.streams["vision"].blocks[0].block.attn.qkv.weight, load_file(path)["blocks.0.attn.qkv.weight"]
    )
    record = describe_pretraining(city, network, line, fold_of([10]))
    assert record is not None
    assert (record["source"], record["file"], record["transductive"]) == ("city", path.name, False)
    assert (record["missing"], record["unexpected"]) == ([], [])
    assert record["loaded"] == len(load_file(path))
    assert record["pretraining"]["fold"] == 0
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert str(tmp_path) not in json.dumps(record)
    for scratch in (NetworkConfig(VIT), NetworkConfig(signal=BiLSTMConfig(width=16, heads=2))):
        assert resolve_weights(scratch, line, fold_of([10]), tmp_path / "runs", CPU) is scratch
        assert describe_pretraining(scratch, build_network(scratch, spec), line, fold_of([10])) is None


def test_weights_of_another_folds_pretraining_are_called_transductive(line: SampleSet, tmp_path: Path) -> None:
    own, every, foreign = (tmp_path / f"{name}.safetensors" for name in ("own", "every", "foreign"))
    pretrain_vision(line, pretraining_rows(line, fold_of([10])), VIT, QUICK, 0, CPU, own, fold=fold_of([10]))
    pretrain_vision(line, np.arange(60), VIT, QUICK, 0, CPU, every)
    head = {"head.weight": torch.zeros(5, 16), "head.bias": torch.zeros(5)}
    save_file({**load_file(own), **head}, foreign)
    elsewhere = SampleSet(line.folder, dataclasses.replace(line.meta, city="else"), {
        name: getattr(line, name)
        for name in ("images", "series", "state", "neighbours", "labels", "ids", "groups", "position")
    })  # fmt: skip

    def judged(path: Path, fold: Fold, samples: SampleSet = line) -> bool | None:
        config = NetworkConfig(dataclasses.replace(VIT, weights=str(path)))
        record = describe_pretraining(config, build_network(config, InputSpec(chip_px=16)), samples, fold)
        assert record is not None
        assert record["source"] == str(path)
        assert record["unexpected"] == (["head.bias", "head.weight"] if path == foreign else [])
        return record["transductive"]

    assert judged(own, fold_of([10])) is False
    assert judged(own, fold_of([40])) is True
    assert judged(every, fold_of([10])) is True
    assert judged(every, fold_of([10]), elsewhere) is False
    assert judged(foreign, fold_of([10])) is None


def test_a_runs_name_follows_what_its_weights_follow(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    config = NetworkConfig(dataclasses.replace(VIT, weights=str(path)))
    assert weights_recipe(config) is None  # no file yet: building the network says so
    path.write_bytes(b"one")
    first = weights_recipe(config)
    path.write_bytes(b"two")
    assert first is not None
    assert weights_recipe(config) != first
    assert weights_recipe(NetworkConfig(VIT)) is None
    recipe = weights_recipe(NetworkConfig(dataclasses.replace(VIT, weights="city")))
    assert recipe == {"pretraining": dataclasses.asdict(PretrainConfig()), "seed": 0}
