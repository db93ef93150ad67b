"""Loss weights, their correction, and augmentation against answers worked by hand."""

import dataclasses

import numpy as np
import pytest
import torch

from fusion.metrics.calibration import apply_temperature
from fusion.models.blocks import Output
from fusion.models.config import InputSpec
from fusion.models.network import build_network
from fusion.training import augment
from fusion.training.experiment import TrainingConfig
from fusion.training.experiments import EXPERIMENTS
from fusion.training.infer import correct_logits
from fusion.training.task import Task, class_log_weights


def test_balanced_weights_give_each_class_the_same_total_and_average_one() -> None:
    labels = np.repeat([0, 1, 2], [60, 30, 10])

    weights = class_log_weights(labels, 3, 1.0).exp().numpy()

    np.testing.assert_allclose(weights * [60, 30, 10], [100 / 3] * 3)
    np.testing.assert_allclose(weights[labels].mean(), 1)


def test_power_zero_weighs_all_alike_and_absent_class_stays_finite() -> None:
    np.testing.assert_allclose(class_log_weights(np.array([0, 0, 1]), 3, 0.0), [0, 0, 0])
    assert torch.isfinite(class_log_weights(np.array([0, 0, 1]), 3, 1.0)).all()


def test_correction_turns_a_balanced_posterior_into_bayes_rule() -> None:
    # Prior 0.8 / 0.2, likelihoods 0.3 / 0.6: the posterior is 0.24 / 0.12 -> 2/3, 1/3; under equal priors 1/3, 2/3.
    labels = np.repeat([0, 1], [80, 20])
    balanced = np.log([[1 / 3, 2 / 3]])

    corrected = correct_logits(balanced, class_log_weights(labels, 2, 1.0).numpy())

    np.testing.assert_allclose(apply_temperature(corrected, 1.0), [[2 / 3, 1 / 3]])


def test_weighted_training_recovers_the_true_posterior() -> None:
    # One binary feature, two classes: the network is a table, whose optimum is known.
    torch.manual_seed(0)
    feature = torch.tensor([0] * 80 + [1] * 20 + [0] * 4 + [1] * 16)
    label = torch.tensor([0] * 100 + [1] * 20)
    log_weights = class_log_weights(label.numpy(), 2, 1.0)

    class Table(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.logits = torch.nn.Parameter(torch.zeros(2, 2))

        def outputs(self, batch: dict[str, torch.Tensor]) -> Output:
            return Output(self.logits[batch["feature"]])

        def penalty(self, output: Output, batch: dict[str, torch.Tensor]) -> None:
            return None

    config = TrainingConfig(label_smoothing=0.0, turn=False, light_jitter=0.0, series_noise=0.0, series_shift=0.0)
    task = Task(Table(), config, log_weights, total_steps=1)
    optimiser = torch.optim.LBFGS(task.network.parameters(), max_iter=200)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = task.training_step({"feature": feature, "label": label}, 0)
        loss.backward()
        return loss

    optimiser.step(closure)
    corrected = correct_logits(task.network.logits.detach().numpy(), log_weights.numpy())
    np.testing.assert_allclose(apply_temperature(corrected, 1.0), [[80 / 84, 4 / 84], [20 / 36, 16 / 36]], atol=1e-3)


def test_turned_chips_are_symmetries_and_all_eight_occur() -> None:
    torch.manual_seed(0)
    chip = torch.arange(16.0).reshape(1, 1, 4, 4).expand(200, 3, 4, 4)

    turned = augment.turn_chips(chip)

    symmetries = {
        tuple(image.flatten().tolist())
        for k in range(4)
        for image in (torch.rot90(chip[0, 0], k), torch.rot90(chip[0, 0], k).flip(1))
    }
    assert {tuple(image[0].flatten().tolist()) for image in turned} == symmetries
    assert len(symmetries) == 8


def test_turned_neighbourhoods_keep_who_neighbours_whom() -> None:
    radius = 2
    offsets = [(i, j) for i in range(-2, 3) for j in range(-2, 3)]
    inside = [place for place, (i, j) in enumerate(offsets) if abs(i - j) <= radius]

    def near(a: int, b: int) -> bool:
        i, j = (offsets[a][axis] - offsets[b][axis] for axis in (0, 1))
        return max(abs(i), abs(j)) == 1 and abs(i - j) <= 1

    torch.manual_seed(0)
    cube = torch.arange(25.0).reshape(1, 1, 1, 5, 5).expand(400, 1, 3, 5, 5)
    present = cube[:, :, 0] % 2 == 0

    turned = augment.turn_neighbourhoods({"cube": cube, "present": present}, "hex")

    assert torch.equal(turned["present"], turned["cube"][:, :, 0] % 2 == 0)
    maps = {tuple(int(value) for value in one.flatten()) for one in turned["cube"][:, 0, 0]}
    assert len(maps) == 12
    for image in maps:
        assert sorted(image) == list(range(25))
        assert image[12] == 12
        assert all(near(a, b) == near(image[a], image[b]) for a in inside for b in inside)


def test_disturbed_series_leaves_invalid_values_and_flags_alone() -> None:
    torch.manual_seed(0)
    cube = torch.zeros(3, 4, 6, 2, 2)  # two channels: values, suppressed, missing
    cube[:, :, 2, 0, 0] = 1  # channel 0 suppressed at one place
    cube[:, :, 5, 1, 1] = 1  # channel 1 missing at another

    disturbed = augment.disturb_series(cube, noise=0.0, shift=1.0)

    torch.testing.assert_close(disturbed[:, :, 2:], cube[:, :, 2:])
    assert (disturbed[:, :, 0, 0, 0] == 0).all()
    assert (disturbed[:, :, 1, 1, 1] == 0).all()
    valid = disturbed[:, :, :2][cube[:, :, 2:4] + cube[:, :, 4:] == 0].reshape(3, -1)
    assert (valid == valid[:, :1]).all()
    assert valid[:, 0].unique().numel() == 3


def _whole(count: int) -> dict[str, torch.Tensor]:
    return {
        "image": torch.ones(count, 3, 2, 2), "cube": torch.full((count, 2, 3, 1, 1), 0.5),
        "present": torch.ones(count, 2, 1, 1, dtype=torch.bool), "label": torch.zeros(count, dtype=torch.int64),
    }  # fmt: skip


def test_dropped_modality_is_blank_or_wholly_missing_and_keys_say_which() -> None:
    torch.manual_seed(0)

    dropped = augment.drop_modality(_whole(20_000), 0.5)

    no_image = (dropped["image"] == 0).flatten(1).all(1)
    no_signal = ~dropped["present"].flatten(1).any(1)
    assert torch.equal(dropped["absent_vision"], no_image)
    assert torch.equal(dropped["absent_signal"], no_signal)
    assert (dropped["image"][~no_image] == 1).all()
    assert dropped["cube"][no_signal].flatten(2).unique(dim=0).tolist() == [[[0, 0, 1], [0, 0, 1]]]
    assert (dropped["cube"][~no_signal] == 0.5).all()
    # half the samples lose something: 45 % of them the image, 45 % the signal, 10 % both; 5 deviations of a share
    for lost, share in ((no_image | no_signal, 0.5), (no_image & ~no_signal, 0.225), (no_image & no_signal, 0.05)):
        assert lost.float().mean() == pytest.approx(share, abs=5 * (share * (1 - share) / 20_000) ** 0.5)


def test_hidden_modalities_are_those_asked_for() -> None:
    hidden = augment.hide_modalities(_whole(3), torch.tensor([True, False, False]), torch.tensor([False, True, False]))

    assert (hidden["image"].flatten(1).sum(1) == torch.tensor([0, 12, 12])).all()
    assert hidden["present"].flatten(1).sum(1).tolist() == [2, 0, 2]


def test_mixed_samples_are_absent_only_where_both_are() -> None:
    torch.manual_seed(0)
    batch = augment.hide_modalities(_whole(64), torch.arange(64) < 48, torch.zeros(64, dtype=torch.bool))

    mixed, _ = augment.mix(batch, torch.eye(64), 0.4)

    seen = mixed["image"].flatten(1).sum(1) > 0
    assert torch.equal(mixed["absent_vision"], ~seen)
    assert 0 < mixed["absent_vision"].sum() < 48
    assert not mixed["absent_signal"].any()


def test_mixup_keeps_targets_probabilities_and_presence() -> None:
    torch.manual_seed(0)
    batch = {"image": torch.eye(4).reshape(4, 1, 2, 2).expand(4, 3, 2, 2), "cube": torch.zeros(4, 1, 3, 1, 1),
             "present": torch.tensor([True, False, False, False]).reshape(4, 1, 1, 1)}  # fmt: skip
    target = torch.eye(4)

    mixed, mixed_target = augment.mix(batch, target, 0.4)

    torch.testing.assert_close(mixed_target.sum(1), torch.ones(4))
    torch.testing.assert_close(mixed["image"][:, 0].flatten(1), mixed_target)
    assert mixed["present"].sum() >= 1


def test_vectors_alone_are_spared_the_decay() -> None:
    row = EXPERIMENTS["vit+convlstm-bottleneck"]
    network = build_network(row.network, InputSpec(chip_px=48))
    task = Task(network, row.training, torch.zeros(9), total_steps=10)

    decayed, plain = task.configure_optimizers()["optimizer"].param_groups

    names = {id(parameter): name for name, parameter in network.named_parameters()}
    heavy = {names[id(parameter)] for parameter in decayed["params"]}
    assert (decayed["weight_decay"], plain["weight_decay"]) == (row.training.weight_decay, 0.0)
    assert {"fusion.bottlenecks", "streams.vision.stem.cls_token", "streams.vision.stem.pos_embed"} <= heavy
    assert all(names[id(parameter)].endswith("bias") or "norm" in names[id(parameter)] for parameter in plain["params"])
    assert len(decayed["params"]) + len(plain["params"]) == len(names)


def test_diverged_loss_raises_before_the_step() -> None:
    from fusion.errors import RunError

    network = torch.nn.Module()
    network.outputs = lambda batch: Output(torch.full((2, 3), float("nan"), requires_grad=True))
    network.penalty = lambda output, batch: None
    config = dataclasses.replace(TrainingConfig(), turn=False, light_jitter=0, series_noise=0, series_shift=0)
    task = Task(network, config, torch.zeros(3), 1)

    with pytest.raises(RunError, match="became nan"):
        task.training_step({"label": torch.tensor([0, 1])}, 0)


def test_the_coupling_joins_the_loss() -> None:
    network = torch.nn.Module()
    network.outputs = lambda batch: Output(torch.zeros(2, 3, requires_grad=True))
    network.penalty = lambda output, batch: torch.tensor(0.25)
    config = dataclasses.replace(
        TrainingConfig(), turn=False, light_jitter=0, series_noise=0, series_shift=0, label_smoothing=0
    )
    task = Task(network, config, torch.zeros(3), 1)

    loss = task.training_step({"label": torch.tensor([0, 1])}, 0)

    assert float(loss.detach()) == pytest.approx(np.log(3) + 0.25)
