"""Multiply-adds against formulas written by hand; latency for what can be known of it."""

import pytest
import torch

from fusion.models.config import BiLSTMConfig, ConvLSTMConfig, InputSpec, NetworkConfig, VisionConfig
from fusion.models.network import build_network
from fusion.training.cost import count_multiply_adds, example_batch, measure_latency

SPEC = InputSpec(chip_px=8, steps=6, channels=6, kernel=5, grid="hex", classes=9)
VISION = VisionConfig(depth=3, width=16, heads=2, mlp_ratio=2.0, patch=4)
WIDTH, PATCHES, STEPS, CHANNELS, HIDDEN, CLASSES = 16, 4, 6, 6, 5, 9


def _block(tokens: int, width: int = WIDTH, mlp_ratio: int = 2) -> int:
    """Queries, keys and values, the two products of attention, its output, and the two layers of the MLP."""
    attention = 3 * tokens * width**2 + 2 * tokens**2 * width + tokens * width**2
    return attention + 2 * tokens * width * mlp_ratio * width


def _patches() -> int:
    return PATCHES * 3 * 4 * 4 * WIDTH


def _convlstm() -> int:
    """Two layers on 19 cells and the zero place, seven taps, four gates; the first hidden state is zero and skipped."""
    places, taps = 20, 7
    layer = [STEPS * places * taps * inputs * 4 * HIDDEN for inputs in (CHANNELS, HIDDEN)]
    hidden = (STEPS - 1) * places * taps * HIDDEN * 4 * HIDDEN
    return sum(layer) + 2 * hidden


def _count(config: NetworkConfig) -> int:
    return count_multiply_adds(build_network(config, SPEC))


def test_vit_by_hand() -> None:
    assert _count(NetworkConfig(VISION)) == _patches() + 3 * _block(PATCHES + 1) + WIDTH * CLASSES


def test_bilstm_by_hand() -> None:
    signal = BiLSTMConfig(width=WIDTH, heads=2, hidden=HIDDEN)
    gates = 2 * STEPS * 4 * HIDDEN * ((CHANNELS + HIDDEN) + (2 * HIDDEN + HIDDEN))  # two directions, two layers
    assert _count(NetworkConfig(signal=signal)) == gates + 2 * HIDDEN * WIDTH + WIDTH * CLASSES


def test_convlstm_by_hand() -> None:
    signal = ConvLSTMConfig(width=WIDTH, heads=2, hidden=HIDDEN)
    assert _count(NetworkConfig(signal=signal)) == _convlstm() + HIDDEN * WIDTH + WIDTH * CLASSES


@pytest.mark.parametrize(("fusion_layer", "bottlenecks"), [(0, 3), (1, 3), (2, 3)])
def test_bottleneck_fusion_by_hand(fusion_layer: int, bottlenecks: int) -> None:
    signal = ConvLSTMConfig(width=WIDTH, heads=2, mlp_ratio=2.0, hidden=HIDDEN, blocks=2)
    config = NetworkConfig(VISION, signal, "bottleneck", fusion_layer=fusion_layer, bottlenecks=bottlenecks)
    image, series = PATCHES + 1, STEPS + 1
    alone = (1 + fusion_layer) * _block(image) + fusion_layer * _block(series)  # the ViT is a block deeper
    fused = (2 - fusion_layer) * (_block(image + bottlenecks) + _block(series + bottlenecks))
    heads = 2 * WIDTH * CLASSES
    assert _count(config) == _patches() + _convlstm() + STEPS * HIDDEN * WIDTH + alone + fused + heads


def test_counting_leaves_the_network_as_it_was() -> None:
    network = build_network(NetworkConfig(VISION), SPEC).double().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    first, again = count_multiply_adds(network), count_multiply_adds(network)

    assert first == again
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_the_example_is_what_the_network_reads() -> None:
    square = InputSpec(chip_px=8, steps=6, channels=6, kernel=7, grid="square", classes=9, columns=24)
    network = build_network(NetworkConfig(signal=ConvLSTMConfig(width=WIDTH, heads=2, hidden=HIDDEN)), square)

    batch = example_batch(network, 3, torch.device("cpu"))

    assert batch["cube"].shape == (3, 6, 6, 7, 24)
    assert batch["present"].all()
    assert network.eval()(batch).shape == (3, 9)


def test_latency_is_the_median_of_the_rounds_after_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build_network(NetworkConfig(VISION), SPEC).train()
    ticks = iter([0.0, 90.0, 100.0, 180.0, 200.0, 200.001, 300.0, 300.005, 400.0, 400.003])  # two warm-ups, three
    monkeypatch.setattr("fusion.training.cost.time.perf_counter", lambda: next(ticks))

    assert measure_latency(network, "cpu", batches=(4,), rounds=3) == {"4": pytest.approx(3.0)}
    assert network.training


def test_latency_of_both_batches_is_told() -> None:
    found = measure_latency(build_network(NetworkConfig(VISION), SPEC), "cpu", rounds=5)

    assert list(found) == ["1", "32"]
    assert min(found.values()) > 0
