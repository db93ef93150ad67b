"""Streams and their blocks: the one interface that every modality and every fusion shares.

A stream turns a batch into tokens, `embed(batch) -> (x (B,N,D), mask)`, and refines them with `blocks[l](x, context,
mask) -> (x, context)`. `context` are tokens of the other modality or bottlenecks; they take part in the attention and
come back updated. The first token is always the stream's readout: a class token before attention blocks, or all that a
recurrent stream without blocks has to say.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn

import fusion.models.torchvision_guard  # noqa: F401  before timm

# isort: split
from timm.models.vision_transformer import Block

Batch = Mapping[str, Tensor]


class Norm(nn.LayerNorm):
    """The layer norm of all blocks and heads, with timm's and MBT's epsilon."""

    def __init__(self, width: int, device: torch.device | None = None, dtype: torch.dtype | None = None) -> None:
        super().__init__(width, eps=1e-6, device=device, dtype=dtype)


class AttentionBlock(nn.Module):
    """A pre-norm transformer block (timm's) over a stream's own tokens and, where given, context tokens.

    y = [x ; context]; y += MHSA(LN y); y += MLP(LN y). Facts §3, MBT steps 2 and 3.
    """

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(
        self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the own tokens and the context tokens after the block.

        Args:
            x: (B,N,D) own tokens.
            context: (B,M,D) tokens of others, or None.
            mask: bool, True = may be attended to; (B,N) for the own tokens, all context tokens being valid, or (B,N+M).
        """
        own = x.shape[1]
        y = x if context is None else torch.cat([x, context], dim=1)
        if mask is not None and mask.shape[1] < y.shape[1]:
            mask = nn.functional.pad(mask, (0, y.shape[1] - mask.shape[1]), value=True)
        y = self.block(y, attn_mask=None if mask is None else mask[:, None, None, :])
        return y[:, :own], None if context is None else y[:, own:]


@dataclass
class Output:
    """What a fusion makes of a batch.

    Attributes:
        logits: (B,classes).
        levels: modality -> the pooled representation (B,D) after each level 1..L, lowest first: the mean over the
            stream's own valid tokens, which coupling acts on and CKA is measured of.
    """

    logits: Tensor
    levels: dict[str, list[Tensor]] = field(default_factory=dict)


def pool_tokens(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the mean (B,D) over the valid ones of tokens (B,N,D); mask (B,N) bool or None."""
    if mask is None:
        return x.mean(dim=1)
    weight = mask.to(x.dtype)[..., None]
    return (x * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


class Stream(nn.Module):
    """One modality: `embed`, `blocks` and the final `norm` of its readout token.

    Attributes:
        modality: "vision" or "signal".
        width: D.
        blocks: the refining blocks, lowest first; may be empty.
        norm: applied to the readout, by the stream alone or by a fusion that shares one norm instead.
        absent: (1,1,D) learned token that stands for the modality where it is absent; None without.
    """

    modality: str
    width: int
    blocks: nn.ModuleList
    norm: nn.Module
    absent: nn.Parameter | None = None

    def embed(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Return the tokens (B,N,D) and which of them are valid, (B,N) bool, or None where all are."""
        raise NotImplementedError

    def tokens(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """As `embed`; where `batch["absent_<modality>"]` (B,) bool is set, one learned token is all that is valid.

        A stream without that token ignores the key: its input is then blank (`fusion.training.augment`).
        """
        x, mask = self.embed(batch)
        gone = batch.get(f"absent_{self.modality}")
        if self.absent is None or gone is None:
            return x, mask
        first = torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device)
        first[:, 0] = True
        there = torch.ones_like(first) if mask is None else mask
        return (
            torch.where(gone[:, None, None], self.absent.to(x.dtype), x),
            torch.where(gone[:, None], first, there),
        )

    def readout(self, batch: Batch) -> Tensor:
        """Return what the stream alone makes of a batch: its first token after all blocks and the norm, (B,D)."""
        x, mask = self.tokens(batch)
        for block in self.blocks:
            x, _ = block(x, mask=mask)
        return cast(Tensor, self.norm(x[:, 0]))


class TokenHead(nn.Module):
    """What comes before transformer blocks on hourly tokens: a class token, learned positions, dropout."""

    def __init__(self, steps: int, width: int, dropout: float) -> None:
        super().__init__()
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.empty(1, 1 + steps, width))
        self.dropout = nn.Dropout(dropout)
        nn.init.trunc_normal_(self.positions, std=0.02)

    def forward(self, tokens: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Return tokens (B,1+T,D) and their mask (B,1+T) for hourly tokens (B,T,D) with `valid` (B,T)."""
        x = torch.cat([self.class_token.expand(len(tokens), -1, -1).to(tokens.dtype), tokens], dim=1)
        return self.dropout(x + self.positions), nn.functional.pad(valid, (1, 0), value=True)


def attention_blocks(
    depth: int, width: int, heads: int, mlp_ratio: float, dropout: float, drop_path: float
) -> nn.ModuleList:
    """Return own transformer blocks, initialised as timm's ViT: truncated normal of deviation 0.02, biases 0."""
    rates = [drop_path * level / max(depth - 1, 1) for level in range(depth)]
    blocks = nn.ModuleList(
        AttentionBlock(
            Block(width, heads, mlp_ratio, qkv_bias=True, proj_drop=dropout, drop_path=rate, norm_layer=Norm)
        )
        for rate in rates
    )
    for module in blocks.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
    return blocks
