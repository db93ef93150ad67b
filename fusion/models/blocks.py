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
from timm.layers import Attention
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
            mask: (B,N) for the own tokens, all context tokens being valid, or (B,N+M). Bool, True = may be attended to;
                or float, added to the scores: the log of a merged token's size, -inf = may not be attended to.
        """
        own = x.shape[1]
        y = x if context is None else torch.cat([x, context], dim=1)
        mask = pad_mask(mask, y.shape[1])
        y = self.block(y, attn_mask=None if mask is None else mask[:, None, None, :])
        return y[:, :own], None if context is None else y[:, own:]

    def cross(self, x: Tensor, other: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the own tokens (B,N,D) after the block, with queries of theirs and keys and values of [own ; other].

        The very weights of `forward`, of which it keeps the own tokens' part; the others are only read.

        Args:
            x: (B,N,D) own tokens.
            other: (B,M,D) tokens of the other modality.
            mask: as in `forward`.
        """
        if type(self.block) is not Block:  # another of timm's, whose order of norms and sums only it knows
            return cast(Tensor, self(x, other, mask)[0])
        block = self.block
        both = torch.cat([x, other], dim=1)
        read = block.norm1(both)
        attended = attend(cast(Attention, block.attn), read[:, : x.shape[1]], read, pad_mask(mask, both.shape[1]))
        x = x + block.drop_path1(block.ls1(attended))
        return x + block.drop_path2(block.ls2(block.mlp(block.norm2(x))))


def pad_mask(mask: Tensor | None, count: int) -> Tensor | None:
    """Return a mask (B,N), bool or log sizes, as (B,count): tokens behind are valid, of size 1; None stays None."""
    if mask is None or mask.shape[1] == count:
        return mask
    valid = 0.0 if mask.is_floating_point() else True
    return nn.functional.pad(mask, (0, count - mask.shape[1]), value=valid)


def attend(attention: Attention, queries: Tensor, keys: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return timm's multi-head attention (B,N,D) with queries of some tokens, keys and values of others.

    Args:
        attention: with its own weights and options; called with the same tokens twice it is `attention(tokens)`.
        queries: (B,N,D).
        keys: (B,M,D).
        mask: (B,M), bool, True = may be attended to, or float, added to the scores.
    """
    weight, bias, inner = attention.qkv.weight, attention.qkv.bias, attention.attn_dim
    q = nn.functional.linear(queries, weight[:inner], None if bias is None else bias[:inner])
    kv = nn.functional.linear(keys, weight[inner:], None if bias is None else bias[inner:])
    # (B,M,2 x heads x part) -> (B,heads,M,part) each
    q = q.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
    k, v = kv.unflatten(-1, (2, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
    y = nn.functional.scaled_dot_product_attention(
        attention.q_norm(q),
        attention.k_norm(k),
        v,
        attn_mask=None if mask is None else mask[:, None, None, :],
        dropout_p=attention.attn_drop.p if attention.training else 0.0,
    )
    y = attention.norm(y.transpose(1, 2).flatten(2))
    if attention.gate is not None:
        y = y * attention.gate(queries).sigmoid()
    return cast(Tensor, attention.proj_drop(attention.proj(y)))


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
    """Return the mean (B,D) over the valid ones of tokens (B,N,D).

    mask (B,N): bool, None, or the log sizes of merged tokens, each of which then counts as often as its size says.
    """
    if mask is None:
        return x.mean(dim=1)
    weight = (mask.exp() if mask.is_floating_point() else mask).to(x.dtype)[..., None]
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
    absent: nn.Parameter | None

    def __init__(self) -> None:
        super().__init__()
        self.register_parameter("absent", None)  # a class attribute of that name would forbid to set it later

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
    blocks = nn.ModuleList(
        AttentionBlock(
            Block(width, heads, mlp_ratio, qkv_bias=True, proj_drop=dropout, drop_path=rate, norm_layer=Norm)
        )
        for rate in drop_path_rates(depth, drop_path)
    )
    init_linears(blocks)
    return blocks


def drop_path_rates(depth: int, last: float) -> list[float]:
    """Return the stochastic depth of each block, growing linearly from 0 in the first to that of the last."""
    return [last * level / max(depth - 1, 1) for level in range(depth)]


def init_linears(module: nn.Module) -> None:
    """Draw the weights of all linear layers as timm's ViT: truncated normal of deviation 0.02, biases 0."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.trunc_normal_(part.weight, std=0.02)
            nn.init.zeros_(part.bias)
