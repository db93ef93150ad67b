from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from fusion.errors import ConfigError
from fusion.models.config import BiLSTMConfig, ConvLSTMConfig, InputSpec, NetworkConfig, VisionConfig
from fusion.models.network import Network, build_network
from tests.models import equations

MakeBatch = Callable[..., dict[str, Tensor]]


def bottleneck_network(vision: VisionConfig, spec: InputSpec, layer: int, blocks: int = 2) -> Network:
    """Vision has 3 blocks; every parameter is random, so that a forgotten bias or norm shows."""
    signal = ConvLSTMConfig(width=16, blocks=blocks, heads=2, mlp_ratio=2.0, hidden=5)
    config = NetworkConfig(vision, signal, "bottleneck", fusion_layer=layer, bottlenecks=3)
    network = build_network(config, spec).double().eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network


def bottleneck_logits(network: Network, batch: dict[str, Tensor], layer: int) -> np.ndarray:
    """Facts §3, MBT steps 3 to 5, written out: streams in turn, levels counted from 1."""
    w = equations.weights(network.fusion)
    xs, valid = {}, {}
    for name, stream in network.streams.items():
        x, mask = stream.embed(batch)
        xs[name] = x.detach().numpy()
        valid[name] = np.ones(x.shape[:2], dtype=bool) if mask is None else mask.numpy()
    levels = min(len(stream.blocks) for stream in network.streams.values())
    for name, stream in network.streams.items():
        for extra in stream.blocks[: len(stream.blocks) - levels]:
            xs[name] = equations.transformer_block(extra, xs[name], 2, valid[name])
    size = len(xs["vision"])
    b = np.repeat(w["bottlenecks"], size, axis=0) if layer < levels else None
    for level in range(1, levels + 1):
        new = {}
        for name, stream in network.streams.items():
            block = stream.blocks[len(stream.blocks) - levels + level - 1]
            if level <= layer:
                xs[name] = equations.transformer_block(block, xs[name], 2, valid[name])
            else:
                keys = np.concatenate([valid[name], np.ones((size, 3), dtype=bool)], axis=1)
                y = equations.transformer_block(block, np.concatenate([xs[name], b], axis=1), 2, keys)
                n = xs[name].shape[1]
                xs[name], new[name] = y[:, :n], y[:, n:]
        if new:
            b = (new["vision"] + new["signal"]) / 2
    heads = []
    for x in xs.values():
        readout = equations.layer_norm(x[:, 0], w["norm.weight"], w["norm.bias"])
        heads.append(readout @ w["head.weight"].T + w["head.bias"])
    return (heads[0] + heads[1]) / 2


@pytest.mark.parametrize(("layer", "blocks"), [(0, 2), (1, 2), (2, 2), (0, 3), (2, 3), (1, 4)])
def test_bottleneck_fusion_is_the_equations(
    vision: VisionConfig, spec: InputSpec, make_batch: MakeBatch, layer: int, blocks: int
) -> None:
    network = bottleneck_network(vision, spec, layer, blocks)
    batch = make_batch(spec, missing=0.3)
    found = network(batch).detach().numpy()
    np.testing.assert_allclose(found, bottleneck_logits(network, batch, layer), atol=1e-10, rtol=0)


def test_late_end_is_the_mean_of_logits_with_shared_norm_and_head(
    vision: VisionConfig, spec: InputSpec, make_batch: MakeBatch
) -> None:
    network = bottleneck_network(vision, spec, layer=2)
    batch = make_batch(spec)
    fusion = network.fusion
    assert fusion.bottlenecks is None
    # the streams have no norm of their own: their readout is the bare token
    logits = [fusion.head(fusion.norm(stream.readout(batch))) for stream in network.streams.values()]
    torch.testing.assert_close(network(batch), sum(logits) / 2, atol=1e-12, rtol=0)


def test_modalities_meet_only_above_the_fusion_layer(
    vision: VisionConfig, spec: InputSpec, make_batch: MakeBatch
) -> None:
    """The gradient of the image's own logits reaches the cube if, and only if, a level is fused below the last."""
    for layer, meets in ((2, False), (1, False), (0, True)):
        network = bottleneck_network(vision, spec, layer)
        batch = make_batch(spec, missing=0.0)
        batch["cube"].requires_grad_()
        seen: list[Tensor] = []
        network.streams["vision"].blocks[-1].register_forward_hook(lambda _, __, out, seen=seen: seen.append(out[0]))
        network(batch)
        # with one fused level both read the same initial bottlenecks: nothing of the other has reached them yet
        gradient = torch.autograd.grad(seen[0][:, 0].sum(), batch["cube"], allow_unused=True)[0]
        assert (gradient is not None and bool(gradient.abs().sum() > 0)) is meets


def test_late_fusion_is_one_linear_head_on_both_readouts(spec: InputSpec, make_batch: MakeBatch) -> None:
    config = NetworkConfig(
        VisionConfig(depth=1, width=8, heads=1, patch=4), BiLSTMConfig(width=12, hidden=5), "late", dropout=0.0
    )
    network = build_network(config, spec).double().eval()
    batch = make_batch(spec)
    image, signal = network.streams["vision"].readout(batch), network.streams["signal"].readout(batch)
    weight, bias = network.fusion.head.weight, network.fusion.head.bias
    expected = image @ weight[:, :8].T + signal @ weight[:, 8:].T + bias
    torch.testing.assert_close(network(batch), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("signal", "layer", "message"),
    [
        (ConvLSTMConfig(width=16, heads=2, blocks=2), 3, "give 0 to 2"),
        (ConvLSTMConfig(width=24, heads=2, blocks=2), 1, "vision 16, signal 24"),
        (ConvLSTMConfig(width=16, heads=2), 0, "signal's blocks"),
    ],
)
def test_streams_that_do_not_fit_are_refused(
    vision: VisionConfig, spec: InputSpec, signal: ConvLSTMConfig, layer: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build_network(NetworkConfig(vision, signal, "bottleneck", fusion_layer=layer), spec)
