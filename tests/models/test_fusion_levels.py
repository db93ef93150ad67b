"""Joint, cross and bottleneck fusion against facts §3, written out as loops over numpy arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fusion.models.blocks import AttentionBlock
from fusion.models.config import ConvLSTMConfig, InputSpec, NetworkConfig, TransformerConfig, VisionConfig
from fusion.models.network import Network, build_network, parameters_count
from tests.models import equations

MakeBatch = Callable[..., dict[str, Tensor]]
Arrays = dict[str, NDArray[Any]]
SMALL: dict[str, Any] = {"width": 16, "heads": 2, "mlp_ratio": 2.0}
NAMES = ("vision", "signal")


def level_network(vision: VisionConfig, spec: InputSpec, fusion: str, blocks: int = 2, **options: Any) -> Network:
    """Vision has 3 blocks; every parameter is random, so that a forgotten bias or norm shows."""
    signal = ConvLSTMConfig(**SMALL, blocks=blocks, hidden=5)
    network = build_network(NetworkConfig(vision, signal, fusion, **options), spec).double().eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network


def written_out(network: Network, batch: dict[str, Tensor]) -> tuple[NDArray[Any], dict[str, list[NDArray[Any]]]]:
    """Logits and pooled levels by the equations: levels counted from 1, streams in turn, a mask a stream."""
    config, streams, w = network.config, network.streams, equations.weights(network.fusion)
    xs, valid = {}, {}
    for name in NAMES:
        x, mask = streams[name].embed(batch)
        xs[name] = x.detach().numpy()
        valid[name] = np.ones(x.shape[:2], dtype=bool) if mask is None else mask.numpy()
    top = min(len(streams[name].blocks) for name in NAMES)

    def apply(name: str, level: int, x: NDArray[Any], keys: NDArray[np.bool_]) -> NDArray[Any]:
        shared = level > 0 and (config.shared_blocks or (config.fusion == "joint" and level > config.fusion_layer))
        blocks = streams["vision" if shared else name].blocks
        return equations.transformer_block(blocks[len(blocks) - top + level - 1], x, 2, keys)

    for name in NAMES:
        for level in range(1 - (len(streams[name].blocks) - top), 1):
            xs[name] = apply(name, level, xs[name], valid[name])
    bottlenecks = np.repeat(w["bottlenecks"], len(xs["vision"]), axis=0) if "bottlenecks" in w else None
    pooled: dict[str, list[NDArray[Any]]] = {name: [] for name in NAMES}
    for level in range(1, top + 1):
        if level <= config.fusion_layer:
            xs = {name: apply(name, level, xs[name], valid[name]) for name in NAMES}
        elif config.fusion == "joint":
            both = np.concatenate([xs[name] for name in NAMES], axis=1)
            keys = np.concatenate([valid[name] for name in NAMES], axis=1)
            y = apply("vision", level, both, keys)
            count = xs["vision"].shape[1]
            xs = {"vision": y[:, :count], "signal": y[:, count:]}
        elif config.fusion == "cross":
            new = {}
            for name, other in (NAMES, NAMES[::-1]):  # [other ; own], as in the official code
                y = np.concatenate([xs[other], xs[name]], axis=1)
                y = apply(name, level, y, np.concatenate([valid[other], valid[name]], axis=1))
                new[name] = y[:, xs[other].shape[1] :]
            xs = new
        else:
            assert bottlenecks is not None
            new, updated = {}, []
            for name in NAMES:
                y = np.concatenate([xs[name], bottlenecks], axis=1)
                keys = np.concatenate([valid[name], np.ones(bottlenecks.shape[:2], dtype=bool)], axis=1)
                y = apply(name, level, y, keys)
                count = xs[name].shape[1]
                new[name] = y[:, :count]
                updated.append(y[:, count:])
            xs, bottlenecks = new, (updated[0] + updated[1]) / 2
        for name in NAMES:
            pooled[name].append(np.stack([x[v].mean(axis=0) for x, v in zip(xs[name], valid[name], strict=True)]))
    heads = []
    for name in NAMES:
        readout = equations.layer_norm(xs[name][:, 0], w["norm.weight"], w["norm.bias"])
        heads.append(readout @ w["head.weight"].T + w["head.bias"])
    return (heads[0] + heads[1]) / 2, pooled


def check(network: Network, batch: dict[str, Tensor]) -> None:
    found = network.outputs(batch)
    logits, levels = written_out(network, batch)
    np.testing.assert_allclose(found.logits.detach().numpy(), logits, atol=1e-10, rtol=0)
    for name in NAMES:
        assert len(found.levels[name]) == len(levels[name])
        for level, expected in zip(found.levels[name], levels[name], strict=True):
            np.testing.assert_allclose(level.detach().numpy(), expected, atol=1e-10, rtol=0)


# signal blocks 2: vision is deeper; 3: as deep; 4: the signal is deeper. Lf early, mid and late.
DEPTHS = [(0, 2), (1, 2), (2, 2), (0, 3), (2, 3), (3, 3), (0, 4), (1, 4)]


@pytest.mark.parametrize(("layer", "blocks"), DEPTHS)
@pytest.mark.parametrize("bottlenecks", [1, 4])
@pytest.mark.parametrize("shared", [False, True])
def test_bottleneck_fusion_is_the_equations(
    vision: VisionConfig,
    spec: InputSpec,
    make_batch: MakeBatch,
    layer: int,
    blocks: int,
    bottlenecks: int,
    shared: bool,
) -> None:
    options = {"fusion_layer": layer, "bottlenecks": bottlenecks, "shared_blocks": shared}
    network = level_network(vision, spec, "bottleneck", blocks, **options)
    check(network, make_batch(spec, size=2, missing=0.3))


@pytest.mark.parametrize(("layer", "blocks"), DEPTHS)
@pytest.mark.parametrize(("fusion", "shared"), [("joint", False), ("cross", False), ("cross", True)])
def test_the_baselines_are_the_equations(
    vision: VisionConfig, spec: InputSpec, make_batch: MakeBatch, layer: int, blocks: int, fusion: str, shared: bool
) -> None:
    network = level_network(vision, spec, fusion, blocks, fusion_layer=layer, shared_blocks=shared)
    check(network, make_batch(spec, size=2, missing=0.3))


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("bottlenecks", [1, 4])
def test_bottlenecks_masked_out_leave_both_streams_alone(
    vision: VisionConfig, spec: InputSpec, make_batch: MakeBatch, layer: int, bottlenecks: int
) -> None:
    network = level_network(vision, spec, "bottleneck", fusion_layer=layer, bottlenecks=bottlenecks)
    batch = make_batch(spec, missing=0.3)
    hidden = []

    def hide(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        x, context, mask = (*args, *[None] * (3 - len(args)))
        if context is None:
            return args, kwargs
        own = torch.ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
        hidden.append(context.shape[1])
        return (x, context, nn.functional.pad(own, (0, context.shape[1]), value=False)), kwargs

    alone = [network.fusion.head(network.fusion.norm(network.streams[name].readout(batch))) for name in NAMES]
    open_logits = network(batch)
    for name in NAMES:
        for block in network.streams[name].blocks:
            block.register_forward_pre_hook(hide, with_kwargs=True)

    masked_logits = network(batch)

    assert hidden == [bottlenecks] * 2 * (2 - layer)
    # a masked key has weight exp(-inf) = 0: what differs is the last bit of sums in another order
    torch.testing.assert_close(masked_logits, sum(alone) / 2, atol=1e-13, rtol=0)
    assert (open_logits - masked_logits).abs().max() > 1e-3


@pytest.mark.parametrize("fusion", ["joint", "cross", "bottleneck"])
def test_late_end_is_the_mean_of_logits_with_shared_norm_and_head(
    vision: VisionConfig, spec: InputSpec, make_batch: MakeBatch, fusion: str
) -> None:
    network = level_network(vision, spec, fusion, fusion_layer=2)
    batch = make_batch(spec)
    assert "bottlenecks" not in dict(network.fusion.named_parameters())
    # the streams have no norm of their own: their readout is the bare token
    logits = [network.fusion.head(network.fusion.norm(network.streams[name].readout(batch))) for name in NAMES]
    torch.testing.assert_close(network(batch), sum(logits) / 2, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("fusion", "layer", "meets"),
    [
        ("bottleneck", 2, False),
        ("bottleneck", 1, False),  # both read the same initial bottlenecks: nothing of the other has reached them yet
        ("bottleneck", 0, True),
        ("cross", 2, False),
        ("cross", 1, True),
        ("joint", 2, False),
        ("joint", 1, True),
    ],
)
def test_modalities_meet_only_above_the_fusion_layer(
    vision: VisionConfig, spec: InputSpec, make_batch: MakeBatch, fusion: str, layer: int, meets: bool
) -> None:
    """The gradient of the image's representation at the top reaches the cube only if a level below lets it."""
    network = level_network(vision, spec, fusion, fusion_layer=layer)
    batch = make_batch(spec, missing=0.0)
    batch["cube"].requires_grad_()
    top = network.outputs(batch).levels["vision"][-1]
    gradient = torch.autograd.grad(top.sum(), batch["cube"], allow_unused=True)[0]
    assert (gradient is not None and bool(gradient.abs().sum() > 0)) is meets


def test_shared_and_joint_blocks_exist_once(vision: VisionConfig, spec: InputSpec) -> None:
    """Of the signal's blocks those go that the image's replace: all at levels 1 to L, or those above Lf."""
    d = 16
    block = 2 * 2 * d + (3 * d * d + 3 * d) + (d * d + d) + (d * 32 + 32) + (32 * d + d)
    own = parameters_count(level_network(vision, spec, "cross", blocks=4, fusion_layer=1))
    shared = parameters_count(level_network(vision, spec, "cross", blocks=4, fusion_layer=1, shared_blocks=True))
    joint = parameters_count(level_network(vision, spec, "joint", blocks=4, fusion_layer=1))
    assert own - shared == 3 * block
    assert own - joint == 2 * block


@pytest.mark.parametrize("block", ["trans-blstm-1", "trans-blstm-2"])
def test_cross_attention_of_recurrent_blocks_keeps_the_own_tokens(
    vision: VisionConfig, spec: InputSpec, make_batch: MakeBatch, block: str
) -> None:
    """As if the other's tokens were context, updated and thrown away: the wasteful form of the official code."""
    signal = TransformerConfig(**SMALL, blocks=3, block=block)
    network = build_network(NetworkConfig(vision, signal, "cross", fusion_layer=1), spec).double().eval()
    batch = make_batch(spec, missing=0.3)
    streams = network.streams
    (x, _), (s, mask) = (streams[name].embed(batch) for name in NAMES)
    x, s = streams["vision"].blocks[0](x)[0], streams["signal"].blocks[0](s, mask=mask)[0]
    both = torch.cat([torch.ones(x.shape[:2], dtype=torch.bool), mask], dim=1)
    for level in (1, 2):
        x, s = streams["vision"].blocks[level](x, s, both)[0], streams["signal"].blocks[level](s, x, mask)[0]
    head = nn.Sequential(network.fusion.norm, network.fusion.head)
    torch.testing.assert_close(network(batch), (head(x[:, 0]) + head(s[:, 0])) / 2, atol=1e-12, rtol=0)


def test_joint_fusion_keeps_recurrent_blocks_below(
    vision: VisionConfig, spec: InputSpec, make_batch: MakeBatch
) -> None:
    signal = TransformerConfig(**SMALL, blocks=3, block="trans-blstm-2")
    network = build_network(NetworkConfig(vision, signal, "joint", fusion_layer=1, merge=0.5), spec).double().eval()
    kinds = [type(block).__name__ for block in network.streams["signal"].blocks]
    assert kinds == ["TransBLSTMBlock", "AttentionBlock", "AttentionBlock"]
    assert network(make_batch(spec)).isfinite().all()


def test_cross_attention_of_another_timm_block_keeps_the_own_tokens() -> None:
    from timm.models.vision_transformer import ParallelThingsBlock  # not before fusion.models.torchvision_guard

    block = AttentionBlock(ParallelThingsBlock(16, 2)).double().eval()
    x, other = torch.randn(2, 3, 16, dtype=torch.float64), torch.randn(2, 4, 16, dtype=torch.float64)
    mask = torch.tensor([[True] * 7, [True, False, True, True, False, True, True]])
    torch.testing.assert_close(block.cross(x, other, mask), block(x, other, mask)[0], atol=0, rtol=0)
    assert not torch.equal(block.cross(x, other), block.cross(x, other, mask))
