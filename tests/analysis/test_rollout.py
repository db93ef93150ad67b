"""Rollout: the true weights of every kind of block, and answers that can be worked out by hand."""

import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from fusion.analysis.findings import LIMITS
from fusion.analysis.rollout import attention_rollout, attention_weights, own_attention, roll_out, watch_attention
from fusion.errors import RunError
from fusion.models.config import BiLSTMConfig, CouplingConfig, NetworkConfig, VisionConfig
from fusion.models.network import Network, build_network
from fusion.samples.sampleset import SampleSet
from tests.analysis.conftest import SPEC

VISION = VisionConfig(depth=3, width=16, heads=2, mlp_ratio=2.0, patch=8)  # 32 px: 4 x 4 patches and a class token
SIGNAL = BiLSTMConfig(width=16, heads=2, mlp_ratio=2.0, hidden=5, blocks=2)
CONFIGS = {
    "vit": NetworkConfig(VISION),
    "late": NetworkConfig(VISION, SIGNAL, "late"),
    "bottleneck": NetworkConfig(VISION, SIGNAL, "bottleneck", fusion_layer=0, bottlenecks=3),
    "bottleneck-shared": NetworkConfig(VISION, SIGNAL, "bottleneck", fusion_layer=0, shared_blocks=True),
    "bottleneck-share": NetworkConfig(VISION, SIGNAL, "bottleneck", fusion_layer=1, coupling=CouplingConfig("share")),
    "cross": NetworkConfig(VISION, SIGNAL, "cross", fusion_layer=1, absent_tokens=True),
    "joint": NetworkConfig(VISION, SIGNAL, "joint", fusion_layer=1),
}
# tokens that the image's tokens could attend to at each of the three blocks, besides their own 17
OTHERS = {
    "vit": [0, 0, 0], "late": [0, 0, 0], "bottleneck": [0, 3, 3], "bottleneck-shared": [0, 4, 4],
    "bottleneck-share": [0, 0, 4], "cross": [0, 0, 25], "joint": [0, 0, 25],
}  # fmt: skip


def _network(name: str) -> Network:
    torch.manual_seed(0)
    network = build_network(CONFIGS[name], SPEC).eval()
    for parameter in network.parameters():  # attention of fresh weights is all but even
        parameter.data += 0.2 * torch.randn_like(parameter)
    return network


def _batch(size: int = 2) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "image": torch.randn(size, 3, 32, 32, generator=generator),
        "cube": torch.randn(size, 24, 6, 5, 5, generator=generator),
        "present": torch.ones(size, 24, 5, 5, dtype=torch.bool),
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_the_weights_are_those_that_unfused_attention_multiplies_by(name: str) -> None:
    network, batch = _network(name), _batch()
    with torch.no_grad():
        weights = watch_attention(network.streams["vision"].blocks, lambda: network(batch))

    for found, others, expected in zip(weights, OTHERS[name], _unfused(network, batch), strict=True):
        assert found.shape[2] == 17 + others
        # crosswise only own tokens ask: the first rows of the attention of all to all
        torch.testing.assert_close(found, expected[:, : found.shape[1]], atol=1e-6, rtol=0)
        torch.testing.assert_close(found.sum(2), torch.ones(found.shape[:2], dtype=torch.float64))


def _unfused(network: Network, batch: dict[str, Tensor]) -> list[Tensor]:
    """The weights of each image block another way: timm's unfused attention hands them to a dropout layer."""
    blocks, read, weights = network.streams["vision"].blocks, {}, []
    for index, block in enumerate(blocks):
        block.block.norm1.register_forward_hook(
            # a hook that returned something would replace the output
            lambda module, inputs, output, index=index: read.update({index: read.get(index, output)})
        )
    with torch.no_grad():
        network(batch)
        for index, block in enumerate(blocks):
            attention = block.block.attn
            attention.fused_attn = False
            with attention.attn_drop.register_forward_hook(
                lambda module, inputs, output: weights.append(inputs[0].double().mean(1))
            ):
                attention(read[index])
    return weights


@pytest.mark.parametrize("name", CONFIGS)
def test_a_rollout_adds_up_to_one_and_says_what_it_leaves_out(
    name: str, planted: SampleSet, predictor: Callable
) -> None:
    rollout = attention_rollout(predictor(_network(name), CONFIGS[name]), planted, 3)

    assert rollout.patches.shape == (4, 4)
    assert (rollout.patches > 0).all()
    assert rollout.patches.sum() + rollout.class_share == pytest.approx(1, abs=1e-12)
    assert rollout.class_share > 0.5**3  # the residual path's part, at least
    for share, others in zip(rollout.elsewhere, OTHERS[name], strict=True):
        assert (0.01 < share < 0.99) if others else share == pytest.approx(0, abs=1e-12)


def test_a_network_made_to_look_at_one_patch(planted: SampleSet, predictor: Callable) -> None:
    """Two blocks whose every token attends to patch 6 alone and that change nothing.

    One block leaves the class token (1/2, 1/2 on the patch), the second takes half of that and half of the patch's own
    row, which is all patch: 1/4 and 3/4.
    """
    config = NetworkConfig(VisionConfig(depth=2, width=8, heads=1, patch=8))
    network = build_network(config, SPEC)
    stream = network.streams["vision"]
    for parameter in stream.parameters():
        parameter.data.zero_()
    stream.stem.pos_embed.data[0, 1 + 6, 0] = 1
    for block in stream.blocks:
        block.block.norm1 = torch.nn.Identity()
        block.block.attn.qkv.bias.data[0] = 1  # every query is (1, 0, ...)
        block.block.attn.qkv.weight.data[8, 0] = 1000  # every key is (1000 x position, 0, ...)

    rollout = attention_rollout(predictor(network, config), planted, 3)

    expected = np.zeros(16)
    expected[6] = 0.75
    np.testing.assert_allclose(rollout.patches.ravel(), expected, atol=1e-12)
    assert rollout.patches[1, 2] == pytest.approx(0.75)  # row by row: patch 6 of 4 a row
    assert rollout.class_share == pytest.approx(0.25)


def test_rolled_out_even_attention() -> None:
    # A = 1/3: (A + I)/2 has 2/3 and 1/6; its square 1/2 and 1/4
    flow = roll_out(torch.full((2, 1, 3, 3), 1 / 3, dtype=torch.float64))

    torch.testing.assert_close(flow[0], torch.full((3, 3), 0.25).double() + torch.eye(3).double() / 4)


def test_the_first_block_is_the_lowest() -> None:
    swap = torch.tensor([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]]).double()
    last = torch.tensor([[0.0, 0, 1], [0, 0, 1], [0, 0, 1]]).double()
    one = torch.eye(3).double()

    flow = roll_out(torch.stack([swap, last])[:, None])

    torch.testing.assert_close(flow[0], (last + one) / 2 @ ((swap + one) / 2))


def test_own_attention_is_scaled_up_and_the_rest_is_named() -> None:
    weights = torch.tensor([[[0.2, 0.2, 0.6], [0.1, 0.7, 0.2], [1.0, 0, 0]]]).double()

    own, elsewhere = own_attention(weights, 2)

    torch.testing.assert_close(own[0], torch.tensor([[0.5, 0.5], [0.125, 0.875]]).double())
    assert elsewhere.tolist() == pytest.approx([0.4])


def test_weights_follow_mask_and_scale() -> None:
    query, key = torch.tensor([[[[1.0]]]]), torch.tensor([[[[0.0], [1.0], [5.0]]]])
    mask = torch.tensor([[[[True, True, False]]]])

    bool_, float_ = (
        attention_weights(query, key, key, attn_mask=one, scale=2.0)
        for one in (mask, torch.where(mask, 0.0, -torch.inf))
    )

    e2 = np.exp(2.0)
    assert bool_[0, 0].tolist() == pytest.approx([1 / (1 + e2), e2 / (1 + e2), 0])
    assert float_.tolist() == bool_.tolist()


def test_another_threads_forward_pass_is_not_watched_and_nothing_stays_behind() -> None:
    network, batch, other = _network("bottleneck"), _batch(), _batch(5)
    blocks = network.streams["vision"].blocks
    alone = watch_attention(blocks, lambda: network(batch))

    def beside() -> None:
        thread = threading.Thread(target=network, args=(other,))
        thread.start()
        thread.join()
        network(batch)

    beside_it = watch_attention(blocks, beside)

    assert all(torch.equal(one, two) for one, two in zip(alone, beside_it, strict=True))

    def fail() -> None:
        raise RunError("half-way")

    with pytest.raises(RunError, match="half-way"):
        watch_attention(blocks, fail)
    assert not any(block.block.norm1._forward_pre_hooks for block in blocks)


def test_watching_does_not_change_the_answer() -> None:
    network, batch = _network("joint"), _batch()
    answers: list[Tensor] = []
    with torch.no_grad():
        watch_attention(network.streams["vision"].blocks, lambda: answers.append(network(batch)))
        assert torch.equal(answers[0], network(batch))


def test_models_that_cannot_be_rolled_out_say_why(planted: SampleSet, predictor: Callable) -> None:
    merged = NetworkConfig(VISION, SIGNAL, "bottleneck", fusion_layer=1, merge=0.5)
    for config, limit in ((NetworkConfig(signal=SIGNAL), "no-image"), (merged, "merged")):
        with pytest.raises(RunError, match=LIMITS[limit]):
            attention_rollout(predictor(build_network(config, SPEC), config), planted, 3)

    hidden = _network("vit")
    for block in hidden.streams["vision"].blocks:
        block.block.attn.fused_attn = False
    with pytest.raises(RunError, match="image block 1 of 3 cannot be seen"):
        attention_rollout(predictor(hidden, CONFIGS["vit"]), planted, 3)
