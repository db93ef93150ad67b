import numpy as np
import pytest
import torch
from torch import Tensor

from fusion.models.blocks import AttentionBlock, attention_blocks
from tests.models.equations import transformer_block


@pytest.fixture
def block() -> AttentionBlock:
    block = attention_blocks(1, width=12, heads=3, mlp_ratio=2.0, dropout=0.0, drop_path=0.0)[0].double().eval()
    for parameter in block.parameters():  # biases and norms too, so that a forgotten one shows
        torch.nn.init.normal_(parameter, std=0.3)
    return block


@pytest.fixture
def tokens() -> tuple[Tensor, Tensor]:
    return torch.randn(2, 5, 12, dtype=torch.float64), torch.randn(2, 3, 12, dtype=torch.float64)


def test_block_is_the_equation(block: AttentionBlock, tokens: tuple[Tensor, Tensor]) -> None:
    x, context = tokens
    mask = torch.tensor([[True] * 5, [True, True, False, True, False]])

    own, updated = block(x, context, mask)

    valid = np.concatenate([mask.numpy(), np.ones((2, 3), dtype=bool)], axis=1)
    expected = transformer_block(block, torch.cat([x, context], dim=1).numpy(), heads=3, valid=valid)
    np.testing.assert_allclose(own.detach().numpy(), expected[:, :5], atol=1e-12)
    np.testing.assert_allclose(updated.detach().numpy(), expected[:, 5:], atol=1e-12)


def test_no_context_gives_none_back(block: AttentionBlock, tokens: tuple[Tensor, Tensor]) -> None:
    own, updated = block(tokens[0])
    assert updated is None
    np.testing.assert_allclose(own.detach().numpy(), transformer_block(block, tokens[0].numpy(), heads=3), atol=1e-12)


def test_context_that_is_masked_out_changes_nothing(block: AttentionBlock, tokens: tuple[Tensor, Tensor]) -> None:
    x, context = tokens
    mask = torch.cat([torch.ones(2, 5), torch.zeros(2, 3)], dim=1).bool()
    torch.testing.assert_close(block(x, context, mask)[0], block(x)[0], atol=1e-14, rtol=0)


def test_a_masked_token_is_not_read(block: AttentionBlock, tokens: tuple[Tensor, Tensor]) -> None:
    x, _ = tokens
    mask = torch.ones(2, 5, dtype=torch.bool)
    mask[:, 3] = False
    changed = x.clone()
    changed[:, 3] += 10.0
    kept = [0, 1, 2, 4]
    torch.testing.assert_close(block(changed, mask=mask)[0][:, kept], block(x, mask=mask)[0][:, kept], atol=0, rtol=0)
