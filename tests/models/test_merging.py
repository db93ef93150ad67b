"""Token merging: a worked example, an independent loop, and what must not change."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusion.models.blocks import attention_blocks, pool_tokens
from fusion.models.config import InputSpec, NetworkConfig, TransformerConfig, VisionConfig
from fusion.models.merging import merge_tokens, merged_count
from fusion.models.network import build_network

MakeBatch = Callable[..., dict[str, Tensor]]
Array = NDArray[np.float64]


def merge_slowly(x: Array, valid: NDArray[np.bool_], count: int) -> tuple[Array, Array]:
    """One sample, (N,D) without the class token: pick the best remaining pair, one at a time, round by round."""
    tokens = [(token.copy(), float(there)) for token, there in zip(x, valid, strict=True)]
    while count:
        now = min(count, len(tokens) // 2)
        count -= now
        valid_places = [n for n, (_, size) in enumerate(tokens) if size]
        receivers, givers = valid_places[::2], valid_places[1::2]
        invalid = [n for n, (_, size) in enumerate(tokens) if not size]
        gone = set(invalid[:now])
        pairs = []
        for giver in givers:
            cosines = [_cosine(tokens[giver][0], tokens[receiver][0]) for receiver in receivers]
            pairs.append((max(cosines), giver, receivers[int(np.argmax(cosines))]))
        sums = {n: token * size for n, (token, size) in enumerate(tokens)}
        sizes = {n: size for n, (_, size) in enumerate(tokens)}
        for _, giver, receiver in sorted(pairs, reverse=True)[: now - len(gone)]:
            sums[receiver] = sums[receiver] + sums[giver]
            sizes[receiver] += sizes[giver]
            gone.add(giver)
        tokens = [(sums[n] / max(sizes[n], 1), sizes[n]) for n in range(len(tokens)) if n not in gone]
    return np.stack([token for token, _ in tokens]), np.array([size for _, size in tokens])


def _cosine(a: Array, b: Array) -> float:
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


def draw(batch: int, tokens: int, width: int = 8) -> Tensor:
    return torch.randn(batch, tokens, width, dtype=torch.float64)


def test_a_worked_example() -> None:
    """Own tokens 1 and 3 receive, 2 and 4 are merged.

    Cosines: (12,5) with (2,0) 12/13, with (0,2) 5/13; (3,4) with (2,0) 3/5, with (0,2) 4/5. So (12,5) goes first, into
    (2,0), then (3,4) into (0,2), and in the second round the two pairs become one token of size 4.
    """
    x = torch.tensor([[[9.0, -9.0], [2.0, 0.0], [12.0, 5.0], [0.0, 2.0], [3.0, 4.0]]], dtype=torch.float64)

    quarter, half, most = (merge_tokens(x, None, share) for share in (0.25, 0.5, 0.75))

    assert quarter[0].tolist() == [[[9.0, -9.0], [7.0, 2.5], [0.0, 2.0], [3.0, 4.0]]]
    assert quarter[1].tolist() == [[0.0, math.log(2), 0.0, 0.0]]
    assert half[0].tolist() == [[[9.0, -9.0], [7.0, 2.5], [1.5, 3.0]]]
    assert half[1].tolist() == [[0.0, math.log(2), math.log(2)]]
    assert most[0].tolist() == [[[9.0, -9.0], [4.25, 2.75]]]
    assert most[1].tolist() == [[0.0, math.log(4)]]


@pytest.mark.parametrize(
    ("count", "share", "left"),
    [
        (36, 0.5, 18),
        (36, 0.75, 9),
        (24, 0.25, 18),
        (7, 0.5, 3),  # 3.5 is rounded to the even 4
        (10, 0.3, 7),
        (5, 0.01, 5),
        (2, 0.75, 1),
        (1, 0.75, 1),
        (0, 0.5, 0),
    ],
)
def test_the_number_of_tokens(count: int, share: float, left: int) -> None:
    assert merged_count(count, share) == left
    x, sizes = merge_tokens(draw(2, 1 + count), None, share)
    assert x.shape == (2, 1 + left, 8)
    assert sizes.shape == (2, 1 + left)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.6, 0.75])
@pytest.mark.parametrize("missing", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("tokens", [12, 13])
def test_merging_is_the_slow_loop(share: float, missing: float, tokens: int) -> None:
    x = draw(6, 1 + tokens)
    mask = torch.rand(6, 1 + tokens) >= missing
    mask[:, 0] = True

    found, log_sizes = merge_tokens(x, mask, share)

    assert torch.equal(found[:, 0], x[:, 0])
    assert torch.equal(log_sizes[:, 0], torch.zeros(6, dtype=torch.float64))
    for n in range(6):
        expected, sizes = merge_slowly(x[n, 1:].numpy(), mask[n, 1:].numpy(), tokens - merged_count(tokens, share))
        there = sizes > 0
        np.testing.assert_allclose(log_sizes[n, 1:].exp().numpy(), sizes, atol=1e-12)
        np.testing.assert_allclose(found[n, 1:].numpy()[there], expected[there], atol=1e-12)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_the_mean_of_the_valid_tokens_stays(share: float) -> None:
    x = draw(5, 17)
    mask = torch.rand(5, 17) >= 0.3
    mask[:, 0] = True
    merged, sizes = merge_tokens(x, mask, share)
    assert merged.shape[1] < 17
    torch.testing.assert_close(pool_tokens(merged, sizes), pool_tokens(x, mask), atol=1e-12, rtol=0)
    assert torch.equal(sizes.exp().sum(dim=1).round(), mask.sum(dim=1).double())


def test_invalid_tokens_go_first_and_are_never_averaged_in() -> None:
    """Six own tokens, two invalid: a third away takes those alone; a half takes one pair of the others."""
    x = draw(1, 7)
    mask = torch.tensor([[True, True, False, True, True, False, True]])
    wild = torch.where(mask[..., None], x, 1e6)

    third, log_sizes = merge_tokens(wild, mask, 1 / 3)
    assert torch.equal(third, x[:, [0, 1, 3, 4, 6]])
    assert torch.equal(log_sizes, torch.zeros(1, 5, dtype=torch.float64))

    half, log_sizes = merge_tokens(wild, mask, 0.5)
    assert half.abs().max() < 10
    assert sorted(log_sizes.exp().round().tolist()[0]) == [1, 1, 1, 2]
    torch.testing.assert_close(half, merge_tokens(x, mask, 0.5)[0], atol=0, rtol=0)


def test_invalid_tokens_that_are_left_stay_invalid() -> None:
    """A series without any valid hour: the class token alone may be attended to, and nothing becomes NaN."""
    x = draw(2, 9).requires_grad_()
    mask = torch.zeros(2, 9, dtype=torch.bool)
    mask[:, 0] = True
    mask[1, 4] = True

    merged, sizes = merge_tokens(x, mask, 0.5)
    block = attention_blocks(1, width=8, heads=2, mlp_ratio=2.0, dropout=0.0, drop_path=0.0)[0].double()
    block(merged, mask=sizes)[0].sum().backward()

    assert torch.equal(sizes[0], torch.tensor([0.0, *[-math.inf] * 4], dtype=torch.float64))
    assert sorted(sizes[1].tolist()) == [-math.inf] * 3 + [0.0] * 2
    assert torch.equal(merged[1, sizes[1] == 0], x[1, [0, 4]])
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("context", [False, True])
def test_identical_tokens_merge_losslessly(context: bool) -> None:
    """Each own token twice, merged to half: with proportional attention the block gives what it gave, halved."""
    block = attention_blocks(1, width=8, heads=2, mlp_ratio=2.0, dropout=0.0, drop_path=0.0)[0].double().eval()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    once, first, other = draw(3, 6), draw(3, 1), draw(3, 4) if context else None
    twice = torch.cat([first, once.repeat_interleave(2, dim=1)], dim=1)

    merged, sizes = merge_tokens(twice, None, 0.5)
    own, updated = block(merged, other, sizes)
    whole, whole_updated = block(twice, other)

    assert torch.equal(merged, torch.cat([first, once], dim=1))
    torch.testing.assert_close(own[:, 0], whole[:, 0], atol=1e-12, rtol=0)
    torch.testing.assert_close(own[:, 1:], whole[:, 1::2], atol=1e-12, rtol=0)
    if other is not None:
        torch.testing.assert_close(updated, whole_updated, atol=1e-12, rtol=0)
        crossed = block.cross(merged, other, sizes)
        torch.testing.assert_close(crossed, own, atol=1e-12, rtol=0)
        # sizes are what makes it so: without them the twins weigh too little
        assert (block(merged, other)[0] - own).abs().max() > 1e-3


@pytest.mark.parametrize("fusion", ["joint", "cross", "bottleneck"])
@pytest.mark.parametrize("share", [0.5, 0.75])
def test_a_redundant_input_loses_nothing_in_the_network(
    vision: VisionConfig, spec: InputSpec, make_batch: MakeBatch, fusion: str, share: float
) -> None:
    """Patches of one colour, hours of one count, no positions: all own tokens of a stream are the same."""
    signal = TransformerConfig(width=16, heads=2, mlp_ratio=2.0, blocks=3)
    options: dict[str, Any] = {"fusion": fusion, "fusion_layer": 1}
    whole = build_network(NetworkConfig(vision, signal, **options), spec).double().eval()
    merged = build_network(NetworkConfig(vision, signal, **options, merge=share), spec).double().eval()
    for parameter in whole.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    with torch.no_grad():
        whole.streams["vision"].stem.pos_embed.zero_()
        whole.streams["signal"].head.positions.zero_()
    merged.load_state_dict(whole.state_dict())
    batch = make_batch(spec, missing=0.3)
    batch["image"] = batch["image"][:, :, :1, :1].expand(-1, -1, 8, 8).contiguous()
    batch["cube"] = batch["cube"][:, :1].expand(-1, 6, -1, -1, -1).contiguous()
    counts: dict[str, list[int]] = {"vision": [], "signal": []}
    for name, stream in merged.streams.items():
        for block in stream.blocks:
            block.register_forward_pre_hook(lambda _, args, seen=counts[name]: seen.append(args[0].shape[1]))

    found, expected = merged.outputs(batch), whole.outputs(batch)

    torch.testing.assert_close(found.logits, expected.logits, atol=1e-12, rtol=0)
    for name in counts:
        torch.testing.assert_close(found.levels[name], expected.levels[name], atol=1e-12, rtol=0)
    left = {"vision": 1 + merged_count(4, share), "signal": 1 + merged_count(6, share)}
    if fusion == "bottleneck":
        assert counts == {"vision": [5, *[left["vision"]] * 2], "signal": [7, *[left["signal"]] * 2]}
