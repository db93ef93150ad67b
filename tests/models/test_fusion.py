"""Late fusions, and what every fusion refuses."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import Tensor

from fusion.errors import ConfigError
from fusion.models.config import BiLSTMConfig, ConvLSTMConfig, InputSpec, NetworkConfig, TransformerConfig, VisionConfig
from fusion.models.network import Network, build_network
from tests.models import equations

MakeBatch = Callable[..., dict[str, Tensor]]
SMALL: dict[str, Any] = {"width": 16, "heads": 2, "mlp_ratio": 2.0}


def late_network(fusion: str, spec: InputSpec) -> Network:
    """An image stream of width 8 and a signal stream of width 12, all parameters random."""
    vision, signal = VisionConfig(depth=1, width=8, heads=1, patch=4), BiLSTMConfig(width=12, hidden=5)
    network = build_network(NetworkConfig(vision, signal, fusion), spec).double().eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network


def readouts(network: Network, batch: dict[str, Tensor]) -> tuple[np.ndarray, np.ndarray]:
    image, signal = (network.streams[name].readout(batch).detach().numpy() for name in ("vision", "signal"))
    return image, signal


def test_late_fusion_is_one_linear_head_on_both_readouts(spec: InputSpec, make_batch: MakeBatch) -> None:
    network, batch = late_network("late", spec), make_batch(spec)
    w, (image, signal) = equations.weights(network.fusion), readouts(network, batch)
    expected = image @ w["head.weight"][:, :8].T + signal @ w["head.weight"][:, 8:].T + w["head.bias"]
    np.testing.assert_allclose(network(batch).detach().numpy(), expected, atol=1e-12)


def test_late_mean_is_the_mean_of_two_heads(spec: InputSpec, make_batch: MakeBatch) -> None:
    network, batch = late_network("late-mean", spec), make_batch(spec)
    w, (image, signal) = equations.weights(network.fusion), readouts(network, batch)
    of_image = image @ w["heads.vision.weight"].T + w["heads.vision.bias"]
    of_signal = signal @ w["heads.signal.weight"].T + w["heads.signal.bias"]
    np.testing.assert_allclose(network(batch).detach().numpy(), (of_image + of_signal) / 2, atol=1e-12)


def test_late_gated_is_arevalos_equation(spec: InputSpec, make_batch: MakeBatch) -> None:
    network, batch = late_network("late-gated", spec), make_batch(spec)
    w, (image, signal) = equations.weights(network.fusion), readouts(network, batch)
    z = expit(np.concatenate([image, signal], axis=1) @ w["gate.weight"].T)
    assert z.min() < 0.5 < z.max()
    h = z * np.tanh(image @ w["project.vision.weight"].T) + (1 - z) * np.tanh(signal @ w["project.signal.weight"].T)
    expected = h @ w["head.weight"].T + w["head.bias"]
    np.testing.assert_allclose(network(batch).detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("fusion", ["late", "late-mean", "late-gated"])
def test_the_one_level_of_late_fusion_is_the_readouts(spec: InputSpec, make_batch: MakeBatch, fusion: str) -> None:
    network, batch = late_network(fusion, spec), make_batch(spec)
    levels = network.outputs(batch).levels
    assert list(levels) == ["vision", "signal"]
    for name, expected in zip(levels, readouts(network, batch), strict=True):
        assert len(levels[name]) == 1
        np.testing.assert_array_equal(levels[name][0].detach().numpy(), expected)


@pytest.mark.parametrize("fusion", ["joint", "cross", "bottleneck"])
@pytest.mark.parametrize(
    ("signal", "layer", "message"),
    [
        (ConvLSTMConfig(**SMALL, blocks=2), 3, "give 0 to 2"),
        (ConvLSTMConfig(**SMALL, blocks=5), 4, "give 0 to 3"),
        (ConvLSTMConfig(width=24, heads=2, blocks=2), 1, "vision 16, signal 24"),
        (ConvLSTMConfig(**SMALL), 0, "signal's blocks"),
    ],
)
def test_streams_that_do_not_fit_are_refused(
    vision: VisionConfig, spec: InputSpec, fusion: str, signal: ConvLSTMConfig, layer: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build_network(NetworkConfig(vision, signal, fusion, fusion_layer=layer), spec)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fusion", "blocks", "options", "message"),
    [
        ("bottleneck", 3, {"shared_blocks": True}, "shared blocks"),
        ("cross", 4, {"shared_blocks": True}, "shared blocks"),
        ("joint", 3, {"fusion_layer": 0}, "joint fusion from level 0 on replaces them all"),
        ("bottleneck", 3, {"merge": 0.5}, "no order in time"),
        ("cross", 3, {"merge": 0.5}, "no order in time"),
    ],
)
def test_recurrent_blocks_are_refused_where_they_cannot_serve(
    vision: VisionConfig, spec: InputSpec, fusion: str, blocks: int, options: dict[str, Any], message: str
) -> None:
    signal = TransformerConfig(**SMALL, blocks=blocks, block="trans-blstm-2")
    with pytest.raises(ConfigError, match=rf"{message}.*TransBLSTMBlock.*use attention blocks") as caught:
        build_network(NetworkConfig(vision, signal, fusion, **options), spec)
    assert "\n" not in str(caught.value)


def test_merging_without_a_fused_level_is_refused(vision: VisionConfig, spec: InputSpec) -> None:
    config = NetworkConfig(vision, TransformerConfig(**SMALL, blocks=2), "bottleneck", fusion_layer=2, merge=0.5)
    with pytest.raises(ConfigError, match="fusion_layer 2 leaves none"):
        build_network(config, spec)
