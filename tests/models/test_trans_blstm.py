"""TRANS-BLSTM blocks against the equations as loops, and their parameters against the formula."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fusion.models.blocks import AttentionBlock, attention_blocks
from fusion.models.config import TransformerConfig
from fusion.models.network import parameters_count
from fusion.models.signal import signal_blocks
from fusion.models.trans_blstm import TransBLSTMBlock
from tests.models import equations

D, HEADS, RATIO = 8, 2, 3
OWN, CONTEXT = 6, 2  # a class token and five steps; tokens of others
VARIANTS = list(itertools.product((1, 2), ("a", "x"), ("half", "full"), ("post", "pre")))


def build(variant: int, blstm_input: str, blstm_width: str, norm: str, **options: Any) -> TransBLSTMBlock:
    block = TransBLSTMBlock(D, HEADS, variant, RATIO, blstm_input, blstm_width, norm, **options).double()
    for parameter in block.parameters():  # biases and norms too, so that a forgotten one shows
        nn.init.normal_(parameter, std=0.4)
    return block.eval()


@pytest.fixture
def tokens() -> tuple[Tensor, Tensor, Tensor]:
    """Three samples' own tokens, context and mask: nothing masked; steps 1 and 4 masked; no valid step at all."""
    mask = torch.ones(3, OWN, dtype=torch.bool)
    mask[1, [2, 5]] = False
    mask[2, 1:] = False
    x, context = (torch.randn(3, count, D, dtype=torch.float64) for count in (OWN, CONTEXT))
    return x, context, mask


def loop(block: TransBLSTMBlock, y: np.ndarray, valid: np.ndarray, kind: tuple[int, str, str, str]) -> np.ndarray:
    """One sample's tokens (N,D) after the block; `valid` (N,)."""
    variant, blstm_input, blstm_width, norm = kind
    w = equations.weights(block)

    def normed(number: int, z: np.ndarray) -> np.ndarray:
        return equations.layer_norm(z, w[f"norm{number}.weight"], w[f"norm{number}.bias"])

    keys = [n for n in range(len(y)) if valid[n]]
    if norm == "post":
        a = normed(1, y + equations.attention(w, y, HEADS, keys))
        source = a if blstm_input == "a" else y
    else:
        a = y + equations.attention(w, normed(1, y), HEADS, keys)
        source = normed(2, a) if blstm_input == "a" else normed(1, y)
    steps = [n for n in range(1, OWN) if valid[n]]
    hidden = D // 2 if blstm_width == "half" else D
    recurrent = np.zeros((OWN, 2 * hidden))
    if steps:
        recurrent[steps] = equations.bilstm(block.lstm, source[steps])
        recurrent[0] = np.concatenate([recurrent[steps[-1], :hidden], recurrent[steps[0], hidden:]])
    if blstm_width == "full":
        recurrent = recurrent @ w["project.weight"].T + w["project.bias"]
    total = a.copy()
    total[:OWN] += recurrent
    if variant == 2:
        total += equations.mlp(w, a if norm == "post" else normed(2, a))
    return normed(2, total) if norm == "post" else total


@pytest.mark.parametrize("kind", VARIANTS, ids=lambda kind: "-".join(map(str, kind)))
def test_block_is_the_equations(kind: tuple[int, str, str, str], tokens: tuple[Tensor, Tensor, Tensor]) -> None:
    block = build(*kind)
    x, context, mask = tokens

    own, updated = block(x, context, mask)

    valid = np.concatenate([mask.numpy(), np.ones((3, CONTEXT), dtype=bool)], axis=1)
    both = torch.cat([x, context], dim=1).numpy()
    found = torch.cat([own, updated], dim=1).detach().numpy()
    for sample in range(3):
        expected = loop(block, both[sample], valid[sample], kind)
        np.testing.assert_allclose(found[sample], expected, atol=1e-10)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_without_mask_and_context_all_steps_are_read(norm: str, tokens: tuple[Tensor, Tensor, Tensor]) -> None:
    kind = (2, "a", "half", norm)
    block = build(*kind)

    own, updated = block(tokens[0])

    assert updated is None
    for sample in range(3):
        expected = loop(block, tokens[0][sample].numpy(), np.ones(OWN, dtype=bool), kind)
        np.testing.assert_allclose(own[sample].detach().numpy(), expected, atol=1e-10)


@pytest.mark.parametrize("kind", VARIANTS, ids=lambda kind: "-".join(map(str, kind)))
def test_parameters_are_those_of_the_formula(kind: tuple[int, str, str, str]) -> None:
    variant, blstm_input, blstm_width, norm = kind
    hidden = D // 2 if blstm_width == "half" else D
    attention = (3 * D * D + 3 * D) + (D * D + D)
    lstm = 2 * 4 * (hidden * D + hidden * hidden + 2 * hidden)  # torch keeps two biases a gate
    projection = 2 * D * D + D if blstm_width == "full" else 0
    feed_forward = 2 * RATIO * D * D + RATIO * D + D if variant == 2 else 0
    norms = 1 if (variant, blstm_input, norm) == (1, "x", "pre") else 2  # nothing would read the second

    count = parameters_count(TransBLSTMBlock(D, HEADS, variant, RATIO, blstm_input, blstm_width, norm))

    assert count == attention + lstm + projection + feed_forward + norms * 2 * D


@pytest.mark.parametrize("kind", VARIANTS, ids=lambda kind: "-".join(map(str, kind)))
def test_the_class_token_teaches_every_parameter(
    kind: tuple[int, str, str, str], tokens: tuple[Tensor, Tensor, Tensor]
) -> None:
    block = build(*kind)
    own, _ = block(tokens[0], mask=tokens[2])
    own[:, 0].pow(3).sum().backward()  # a sum, and of squares too, would be constant after the norm
    idle = [name for name, parameter in block.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert not idle
    assert all(parameter.grad.isfinite().all() for parameter in block.parameters())


@pytest.mark.parametrize("blstm_input", ["a", "x"])
def test_states_are_carried_across_masked_steps(blstm_input: str, tokens: tuple[Tensor, Tensor, Tensor]) -> None:
    block = build(1, blstm_input, "half", "post")
    x, context, _ = tokens
    mask = torch.ones(3, OWN, dtype=torch.bool)
    mask[:, [2, 3]] = False
    kept = [0, 1, 4, 5]

    own, updated = block(x, context, mask)

    shorter, same = block(x[:, kept], context)
    torch.testing.assert_close(own[:, kept], shorter, atol=1e-13, rtol=0)
    torch.testing.assert_close(updated, same, atol=1e-13, rtol=0)


def test_context_that_is_masked_out_changes_nothing(tokens: tuple[Tensor, Tensor, Tensor]) -> None:
    block = build(2, "a", "full", "post")
    x, context, mask = tokens
    none = torch.zeros(3, CONTEXT, dtype=torch.bool)
    found = block(x, context, torch.cat([mask, none], dim=1))[0]
    torch.testing.assert_close(found, block(x, mask=mask)[0], atol=1e-13, rtol=0)


@pytest.mark.parametrize("kind", [(1, "a", "half", "post"), (2, "x", "full", "pre"), None])
def test_cross_is_the_own_tokens_part_of_the_block(
    kind: tuple[int, str, str, str] | None, tokens: tuple[Tensor, Tensor, Tensor]
) -> None:
    # Own tokens read [own ; other] in both; that the others are not updated cannot change what they find there.
    block: TransBLSTMBlock | AttentionBlock = (
        build(*kind) if kind else attention_blocks(1, D, HEADS, RATIO, 0.0, 0.0)[0].double().eval()
    )
    x, other, mask = tokens
    several = torch.cat([mask, torch.tensor([[True, True], [False, True], [True, False]])], dim=1)

    for chosen in (None, mask, several):
        torch.testing.assert_close(block.cross(x, other, chosen), block(x, other, chosen)[0], atol=1e-13, rtol=0)


def test_dropout_and_stochastic_depth_act_in_training_only(tokens: tuple[Tensor, Tensor, Tensor]) -> None:
    block = build(1, "a", "half", "pre", dropout=0.5, drop_path=0.9)
    x = tokens[0][:1].expand(64, -1, -1)
    torch.testing.assert_close(block(x)[0][:1], block(x[:1])[0], atol=1e-13, rtol=0)

    trained = block.train()(x)[0]

    untouched = (trained == x).flatten(1).all(dim=1)  # both sums dropped: 0.9 x 0.9
    assert 0.6 < untouched.double().mean() < 0.95


def test_blocks_of_a_stream_follow_its_configuration() -> None:
    options = {"width": 16, "heads": 4, "mlp_ratio": 2.0, "drop_path": 0.2, "dropout": 0.3}
    config = TransformerConfig(
        blocks=3, block="trans-blstm-2", blstm_input="x", blstm_width="full", norm="pre", **options
    )

    blocks = signal_blocks(config)

    assert [block.drop_path.drop_prob for block in blocks] == pytest.approx([0.0, 0.1, 0.2])
    assert all(isinstance(block, TransBLSTMBlock) and not block.post and not block.reads_a for block in blocks)
    top = blocks[-1]
    assert (top.attn.num_heads, top.lstm.hidden_size, top.mlp.fc1.out_features, top.dropout.p) == (4, 16, 32, 0.3)
    assert signal_blocks(TransformerConfig(block="trans-blstm-1"))[0].mlp is None
    assert isinstance(signal_blocks(TransformerConfig())[0], AttentionBlock)
