"""TRANS-BLSTM blocks (Huang et al. 2020, arXiv 2003.07000): a transformer block with a bidirectional LSTM in it.

The equations are reconstructed from secondary accounts of the paper, which differ in what the LSTM reads, s. With x the
block's input, post-norm as in the paper:

    a = LN(x + MHSA(x))        variant 1: y = LN(a + BLSTM(s))        variant 2: y = LN(a + FFN(a) + BLSTM(s))

with s = a or s = x. Pre-norm, which is ours (as in the attention blocks beside it, arXiv 2002.04745):

    a = x + MHSA(LN x)         variant 1: y = a + BLSTM(LN s)         variant 2: y = a + FFN(LN a) + BLSTM(LN s)

where LN x is the very norm that attention reads, and LN a the one that the feed-forward layer reads.
"""

import torch
from torch import Tensor, nn

import fusion.models.torchvision_guard  # noqa: F401  before timm
from fusion.models.blocks import Norm, attend, pad_mask
from fusion.models.recurrence import init_lstm, run_lstm

# isort: split
from timm.layers import Attention, DropPath, Mlp


class TransBLSTMBlock(nn.Module):
    """One block over a class token, T steps in the order of time and, where given, context tokens.

    The paper has only steps. Here all tokens take part in the attention and in variant 2's feed-forward layer, but the
    LSTM runs over the T own steps alone, its states carried across steps that the mask excludes. BLSTM is then

    - at a step: [forward ; backward] there;
    - at the class token: the LSTM's readout, [forward at the last valid step ; backward at the first], or 0 without any
      valid step. The class token stands for the series as a whole, and so does the readout; the last block of a network
      is read at the class token alone, so that without this its LSTM would never learn;
    - at context tokens, which belong to another modality and have no time: 0.

    Half as many units a direction as the tokens are wide (H/2) give the width at once; as many (H) give 2H, which one
    linear layer projects to H, at steps and readout alike.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        variant: int,
        mlp_ratio: float = 4.0,
        blstm_input: str = "a",
        blstm_width: str = "half",
        norm: str = "post",
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        """Build the block.

        Args:
            width: D; even for `blstm_width` "half".
            heads: of the attention, a divisor of D.
            variant: 1, the LSTM in place of the feed-forward layer, or 2, beside it.
            mlp_ratio: width of the feed-forward layer over D.
            blstm_input: s, "a" or "x".
            blstm_width: "half" or "full".
            norm: "post" or "pre".
            dropout: of what attention, feed-forward layer and LSTM add.
            drop_path: stochastic depth, of the two sums.
        """
        super().__init__()
        self.post = norm == "post"
        self.reads_a = blstm_input == "a"
        self.norm1 = Norm(width)
        self.attn = Attention(width, heads, qkv_bias=True, proj_drop=dropout)
        self.mlp = Mlp(width, int(width * mlp_ratio), drop=dropout) if variant == 2 else None
        # pre-norm, variant 1, s = x: nothing reads LN a, and a parameter that nothing uses must not exist
        self.norm2 = Norm(width) if self.post or self.reads_a or self.mlp is not None else None
        hidden = width // 2 if blstm_width == "half" else width
        self.lstm = nn.LSTM(width, hidden, batch_first=True, bidirectional=True)
        self.project = nn.Linear(2 * hidden, width) if blstm_width == "full" else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.drop_path = DropPath(drop_path)
        init_lstm(self.lstm)

    def forward(
        self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the own tokens and the context tokens after the block.

        Args:
            x: (B,1+T,D) own tokens: the class token, then the steps in the order of time.
            context: (B,M,D) tokens of others, or None.
            mask: bool, True = valid; (B,1+T) for the own tokens, all context tokens being valid, or (B,1+T+M).
        """
        own = x.shape[1]
        y = x if context is None else torch.cat([x, context], dim=1)
        mask = pad_mask(mask, y.shape[1])
        read = y if self.post else self.norm1(y)
        attended = self.attn(read, attn_mask=None if mask is None else mask[:, None, None, :])
        y = self._refine(y, read, attended, own, mask)
        return y[:, :own], None if context is None else y[:, own:]

    def cross(self, x: Tensor, other: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the own tokens (B,1+T,D) after the block, with queries of theirs and keys and values of [own ; other].

        Args:
            x: (B,1+T,D) own tokens.
            other: (B,M,D) tokens of the other modality, which are only read.
            mask: as in `forward`.
        """
        both = torch.cat([x, other], dim=1)
        mask = pad_mask(mask, both.shape[1])
        read = both if self.post else self.norm1(both)
        own = x.shape[1]
        attended = attend(self.attn, read[:, :own], read, mask)
        return self._refine(x, read[:, :own], attended, own, mask)

    def _refine(self, y: Tensor, read: Tensor, attended: Tensor, own: int, mask: Tensor | None) -> Tensor:
        """Return y (B,N,D) after the residual sums; `read` is x or LN x, the first `own` tokens are the stream's."""
        a = y + self.drop_path(attended)
        if self.post:
            a = self.norm1(a)
        inner = a if self.post or self.norm2 is None else self.norm2(a)
        source = inner if self.reads_a else read
        update = self._blstm(source[:, :own], mask)
        if own < y.shape[1]:
            update = nn.functional.pad(update, (0, 0, 0, y.shape[1] - own))
        if self.mlp is not None:
            update = update + self.mlp(inner)
        y = a + self.drop_path(update)
        return self.norm2(y) if self.post and self.norm2 is not None else y

    def _blstm(self, source: Tensor, mask: Tensor | None) -> Tensor:
        """Return (B,1+T,D): the LSTM's readout and its states over source (B,1+T,D) without the class token."""
        steps = source[:, 1:]
        if mask is None:
            valid = torch.ones(steps.shape[:2], dtype=torch.bool, device=steps.device)
        else:
            valid = mask[:, 1 : source.shape[1]]
        states, readout = run_lstm(self.lstm, steps, valid)
        projected: Tensor = self.dropout(self.project(torch.cat([readout[:, None], states], dim=1)))
        return projected
