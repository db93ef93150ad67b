"""The named rows are frozen, complete and refuse what they do not know."""

import dataclasses

import pytest

from fusion.errors import ConfigError
from fusion.models.config import ConvLSTMConfig, NetworkConfig
from fusion.training.experiment import TrainingConfig
from fusion.training.experiments import EXPERIMENTS, experiment_named
from fusion.training.suites import AXES, CONTRASTS, SUITES, suite_rows


def test_the_names_that_the_design_promises_are_there() -> None:
    assert {
        "vit", "vit-pretrained", "bilstm", "convlstm", "convlstm-transformer", "transformer", "trans-blstm-1",
        "trans-blstm-2", "vit+bilstm-late", "vit-pretrained+bilstm-late", "vit+convlstm-late",
        "vit+convlstm-bottleneck",
        *(
            f"vit-pretrained+convlstm-{name}"
            for name in (
                "late", "joint", "cross", "bottleneck", "bottleneck-mid", "bottleneck-late", "bottleneck-share",
                "bottleneck-distance", "bottleneck-contrastive", "bottleneck-orthogonal",
            )
        ),
    } <= set(EXPERIMENTS)  # fmt: skip


def test_core_and_contrasts_are_small_and_declared_of_rows_that_exist() -> None:
    assert len(SUITES["core"]) == len(set(SUITES["core"])) <= 12
    assert set(SUITES["core"]) | set(SUITES["fine"]) <= set(SUITES["all"]) == set(EXPERIMENTS)
    assert {EXPERIMENTS[name].training.epochs for name in SUITES["fine"]} == {20}
    assert 1 <= len(CONTRASTS) <= 12
    assert {name for one in CONTRASTS for name in (one.a, one.b)} <= set(SUITES["core"])
    assert {name for rows in AXES.values() for name in rows} <= set(EXPERIMENTS)


@pytest.mark.parametrize("axis", ["fusion-layer", "bottlenecks", "merging", "modality-dropout"])
def test_rows_of_an_axis_differ_in_that_thing_alone(axis: str) -> None:
    option = {"fusion-layer": "fusion_layer", "bottlenecks": "bottlenecks", "merging": "merge"}.get(axis)
    first, *others = (EXPERIMENTS[name] for name in AXES[axis])
    for row in others:
        same = (
            dataclasses.replace(row.network, **{option: getattr(first.network, option)})
            if option
            else dataclasses.replace(row.network, absent_tokens=False)
        )
        assert row != first
        assert same == first.network
        assert option is None or row.training == first.training


def test_suites_and_rows_mix_without_doubles() -> None:
    assert suite_rows(["bilstm", "core", "vit-pretrained"]) == ("bilstm", *SUITES["core"])
    with pytest.raises(ConfigError, match=r"unknown experiment or suite 'cor' \(did you mean core"):
        suite_rows(["cor"])


def test_options_change_a_row_and_its_name() -> None:
    row = EXPERIMENTS["vit-pretrained+convlstm-bottleneck-distance"]

    changed = row.with_options({"network.coupling.strength": "0.5", "training.epochs": "3"})

    assert changed.network.coupling is not None
    assert (changed.network.coupling.strength, changed.training.epochs) == (0.5, 3)
    assert changed.name.startswith(f"{row.name}-x")
    assert changed.name != row.with_options({"training.epochs": "3"}).name
    assert row.with_options({}) is row


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"network.fusion_lair": "1"}, "no option 'network.fusion_lair': there are absent_tokens"),
        ({"epochs": "1"}, "no option 'epochs'"),
        ({"network.signal.peephole": "true"}, "peephole"),
        ({"network.fusion_layer": "-1"}, "fusion_layer is -1"),
        ({"training.lr": "fast"}, "^training option lr is 'fast': give a finite number$"),
        ({"training.lr": "1" + 400 * "0"}, "give a finite number$"),
        ({"training.weight_decay": "NaN"}, "^training option weight_decay is nan: give a finite number$"),
        ({"training.turn": "no"}, "^training option turn is 'no': give true or false$"),
        ({"training.turn": "1"}, "^training option turn is 1: give true or false$"),
        ({"training.epochs": "2.5"}, "^training option epochs is 2.5: give a whole number$"),
        ({"training.epochs": "true"}, "^training option epochs is True: give a whole number$"),
        ({"training.batch_size": "2.5"}, "^training option batch_size is 2.5: give a whole number$"),
        ({"network.shared_blocks": "no"}, "^NetworkConfig.shared_blocks is 'no': give true or false$"),
        ({"network.absent_tokens": "no"}, "^NetworkConfig.absent_tokens is 'no': give true or false$"),
        ({"network.signal.peepholes": "0"}, "^ConvLSTMConfig.peepholes is 0: give true or false$"),
        ({"network.vision.weights": "7"}, "^VisionConfig.weights is 7: give a text or null$"),
        ({"network.coupling": "{}"}, "wrong kind"),
        ({"network.vision": "3"}, "VisionConfig is 3"),
    ],
)
def test_wrong_options_are_named(options: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        EXPERIMENTS["vit-pretrained+convlstm-bottleneck"].with_options(options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "value"), [("False", False), ("false", False), ("True", True), ("true", True)])
def test_truth_is_spelled_as_in_json_or_in_python(text: str, value: bool) -> None:
    changed = EXPERIMENTS["vit-pretrained+convlstm-bottleneck"].with_options(
        {"training.turn": text, "network.signal.peepholes": text, "network.shared_blocks": text}
    )

    assert isinstance(changed.network.signal, ConvLSTMConfig)
    found = (changed.training.turn, changed.network.signal.peepholes, changed.network.shared_blocks)
    assert [got is value for got in found] == [True] * 3


def test_none_takes_an_option_away() -> None:
    row = EXPERIMENTS["vit-pretrained+convlstm-bottleneck-distance"]

    assert row.with_options({"network.coupling": "None"}).network.coupling is None


def test_a_whole_number_does_for_a_float() -> None:
    assert TrainingConfig.from_dict({"clip": 1, "weight_decay": 0}) == TrainingConfig(clip=1.0, weight_decay=0.0)


@pytest.mark.parametrize("name", sorted(EXPERIMENTS))
def test_row_says_what_it_is_and_survives_json(name: str) -> None:
    row = EXPERIMENTS[name]

    assert row.name == name
    assert f"python -m fusion train {name} " in row.description
    assert row.expected in row.description
    assert row.training.epochs <= 20
    assert NetworkConfig.from_dict(row.to_dict()["network"]) == row.network
    assert TrainingConfig.from_dict(row.to_dict()["training"]) == row.training


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if "+" in name])
def test_partners_train_the_fusions_own_streams(name: str) -> None:
    row = EXPERIMENTS[name]
    assert row.partners is not None
    image, signal = (EXPERIMENTS[partner] for partner in row.partners)

    assert image.network == NetworkConfig(vision=row.network.vision)
    assert signal.network == NetworkConfig(signal=row.network.signal)
    assert (image.layout, image.k, signal.layout, signal.k) == (row.layout, row.k) * 2


def test_rows_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        EXPERIMENTS["vit"].name = "mine"  # type: ignore[misc]


def test_unknown_row_and_option_name_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"unknown experiment 'vitt' \(did you mean vit\?\): there are vit, vit-"):
        experiment_named("vitt")
    with pytest.raises(ConfigError, match="no training option epoch: there are epochs"):
        TrainingConfig.from_dict({"epoch": 3})


@pytest.mark.parametrize(("option", "value"), [("epochs", 0), ("lr", -1.0), ("label_smoothing", 1.5), ("mixup", -0.1)])
def test_option_out_of_range_is_named(option: str, value: float) -> None:
    with pytest.raises(ConfigError, match=option):
        TrainingConfig(**{option: value})
