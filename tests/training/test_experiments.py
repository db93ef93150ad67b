"""The named rows are frozen, complete and refuse what they do not know."""

import dataclasses

import pytest

from fusion.errors import ConfigError
from fusion.models.config import NetworkConfig
from fusion.training.experiments import EXPERIMENTS, TrainingConfig, experiment_named


def test_the_six_rows_of_first_light_are_there() -> None:
    assert list(EXPERIMENTS) == [
        "vit", "bilstm", "convlstm", "vit+bilstm-late", "vit+convlstm-late", "vit+convlstm-bottleneck",
    ]  # fmt: skip


@pytest.mark.parametrize("name", sorted(EXPERIMENTS))
def test_row_says_what_it_is_and_survives_json(name: str) -> None:
    row = EXPERIMENTS[name]

    assert row.name == name
    assert f"python -m fusion train {name} " in row.description
    assert row.expected in row.description
    assert row.training.epochs <= 15
    assert NetworkConfig.from_dict(row.to_dict()["network"]) == row.network
    assert TrainingConfig.from_dict(row.to_dict()["training"]) == row.training


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if "+" in name])
def test_partners_train_the_fusions_own_streams(name: str) -> None:
    row = EXPERIMENTS[name]
    assert row.partners is not None
    image, signal = (EXPERIMENTS[partner] for partner in row.partners)

    assert image.network.vision == row.network.vision
    assert image.network.signal is None
    assert type(signal.network.signal) is type(row.network.signal)
    assert (image.training, signal.layout, signal.k) == (row.training, row.layout, row.k)


def test_rows_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        EXPERIMENTS["vit"].name = "mine"  # type: ignore[misc]


def test_unknown_row_and_option_name_what_there_is() -> None:
    with pytest.raises(ConfigError, match="unknown experiment 'vitt': there are vit, bilstm"):
        experiment_named("vitt")
    with pytest.raises(ConfigError, match="no training option epoch: there are epochs"):
        TrainingConfig.from_dict({"epoch": 3})


@pytest.mark.parametrize(("option", "value"), [("epochs", 0), ("lr", -1.0), ("label_smoothing", 1.5), ("mixup", -0.1)])
def test_option_out_of_range_is_named(option: str, value: float) -> None:
    with pytest.raises(ConfigError, match=option):
        TrainingConfig(**{option: value})
