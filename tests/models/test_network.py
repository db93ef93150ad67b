from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fusion.errors import InputError
from fusion.models.config import BiLSTMConfig, ConvLSTMConfig, InputSpec, NetworkConfig, VisionConfig
from fusion.models.network import build_network, parameters_count

MakeBatch = Callable[..., dict[str, Tensor]]

D, MLP, CLASSES = 16, 32, 9
ATTENTION, FEED_FORWARD = (3 * D * D + 3 * D) + (D * D + D), (D * MLP + MLP) + (MLP * D + D)
BLOCK = 2 * 2 * D + ATTENTION + FEED_FORWARD
HEAD, NORM = D * CLASSES + CLASSES, 2 * D


def test_parameters_are_those_of_the_formulas(configs: dict[str, NetworkConfig], spec: InputSpec) -> None:
    counted = {name: parameters_count(build_network(config, spec)) for name, config in configs.items()}

    vit = (3 * 16 * D + D) + D + 5 * D + 3 * BLOCK + NORM
    lstm = 2 * (4 * 5 * (6 + 5) + 8 * 5) + 2 * (4 * 5 * (10 + 5) + 8 * 5) + (10 * D + D)
    conv = sum(4 * 5 * 9 * (c + 5) + 4 * 5 for c in (6, 5)) + (5 * D + D)
    tokens = D + 7 * D + 2 * BLOCK + NORM
    peepholes = 2 * 3 * 5 * 19
    both = vit + conv + peepholes + tokens - NORM + HEAD  # one norm and one head for both
    hours, learned = 6 * D + D, D + 7 * D + NORM  # the projection of an hour's channels; class token, positions, norm
    full = 2 * 4 * (D * D + D * D + 2 * D) + 2 * D * D + D
    half = 2 * 4 * (D // 2) * (D + D // 2 + 2)
    second = 2 * 2 * D + ATTENTION + FEED_FORWARD + half
    assert counted == {
        "vit": vit + HEAD,
        "bilstm": lstm + NORM + HEAD,
        "bilstm-transformer": lstm + tokens + HEAD,
        "convlstm": conv + NORM + HEAD,
        "convlstm-transformer": conv + peepholes + tokens + HEAD,
        "convlstm-trans-blstm-2": conv + learned + 2 * second + HEAD,
        "transformer": hours + tokens + HEAD,
        "trans-blstm-1": hours + learned + 2 * (2 * 2 * D + ATTENTION + full) + HEAD,
        "trans-blstm-2": hours + learned + 2 * second + HEAD,
        "vit+bilstm-late": vit + lstm + NORM + 2 * D * CLASSES + CLASSES,
        "vit+bilstm-late-gated": vit + lstm + NORM + 4 * D * D + HEAD,
        "vit+bilstm-late-mean": vit + lstm + NORM + 2 * HEAD,
        "vit+convlstm-bottleneck": both + 3 * D,
        "vit+convlstm-bottleneck-merged": both + 4 * D,
        "vit+convlstm-bottleneck-shared": both + 3 * D - 2 * BLOCK,
        "vit+convlstm-cross": both,
        "vit+convlstm-joint": both - BLOCK,
    }


def test_every_parameter_learns(configs: dict[str, NetworkConfig], spec: InputSpec, make_batch: MakeBatch) -> None:
    for name, config in configs.items():
        network = build_network(config, spec).double()
        network(make_batch(spec)).square().sum().backward()
        idle = [key for key, p in network.named_parameters() if p.grad is None or not p.grad.any()]
        assert not idle, f"{name}: {idle}"


def test_a_sample_does_not_depend_on_the_others(
    configs: dict[str, NetworkConfig], spec: InputSpec, make_batch: MakeBatch
) -> None:
    batch = make_batch(spec)
    for config in configs.values():
        network = build_network(config, spec).double().eval()
        alone = torch.cat([network({key: value[n : n + 1] for key, value in batch.items()}) for n in range(4)])
        torch.testing.assert_close(network(batch), alone, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("config", "change", "message"),
    [
        (NetworkConfig(VisionConfig(patch=4)), {"image": torch.zeros(1, 3, 16, 16)}, "image"),
        (NetworkConfig(signal=BiLSTMConfig()), {"cube": torch.zeros(1, 7, 6, 5, 5)}, "cube"),
        (NetworkConfig(signal=ConvLSTMConfig()), {"present": torch.ones(1, 6, 3, 3).bool()}, "present"),
        (NetworkConfig(signal=ConvLSTMConfig()), {"present": None}, "no present"),
    ],
)
def test_a_batch_of_other_samples_is_refused(
    spec: InputSpec, make_batch: MakeBatch, config: NetworkConfig, change: dict[str, Tensor | None], message: str
) -> None:
    batch = {key: value for key, value in {**make_batch(spec), **change}.items() if value is not None}
    with pytest.raises(InputError, match=message):
        build_network(config, spec)(batch)


def test_a_network_reads_only_its_own_modality(spec: InputSpec, make_batch: MakeBatch) -> None:
    batch = make_batch(spec, dtype=torch.float32)
    image = {"image": batch.pop("image")}
    assert build_network(NetworkConfig(VisionConfig(patch=4)), spec)(image).shape == (4, 9)
    assert build_network(NetworkConfig(signal=ConvLSTMConfig()), spec)(batch).shape == (4, 9)
