"""Fusions by level: joint attention, cross-attention and attention bottlenecks.

Levels 1 to L are counted from the top, L the smaller depth. A deeper stream's extra lower blocks run alone, and so do
all blocks up to level Lf, the fusion layer: Lf = 0 is early fusion, Lf = L late. What happens above Lf is what tells
the three apart (Nagrani et al., NeurIPS 2021, arXiv 2107.00135, and its baselines; facts §3).
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import cast

import torch
from torch import Tensor, nn

from fusion.errors import ConfigError
from fusion.models.blocks import AttentionBlock, Batch, Output, Stream, pool_tokens
from fusion.models.config import InputSpec, NetworkConfig
from fusion.models.late import Streams, linear_head
from fusion.models.merging import merge_tokens

Tokens = dict[str, Tensor]
Masks = Mapping[str, Tensor | None]


class LevelFusion(nn.Module):
    """What fusions by level share: levels alone up to Lf, token merging, `fuse` above, one norm and one head.

    The logits are the mean over streams of a shared linear head on each readout, normed by a shared norm: the vision
    stream's, so that pretrained weights keep theirs; the streams are left without one. At Lf = L that is all there is
    to fuse.

    Attributes:
        levels: L.
        fusion_layer: Lf.
        merge: share of each stream's own tokens that `merge_tokens` takes away just before level Lf + 1.
    """

    def __init__(self, streams: Streams, config: NetworkConfig, spec: InputSpec) -> None:
        """Build the fusion; `config.shared_blocks` gives the signal stream the vision stream's blocks at all levels.

        Raises:
            ConfigError: streams of different width or without blocks, Lf beyond L, or options that do not go together.
        """
        super().__init__()
        self.levels = _check_streams(streams, config)
        self.fusion_layer = config.fusion_layer
        self.merge = config.merge
        if config.shared_blocks:
            _check_series(streams["signal"].blocks[-self.levels :], "shared blocks are the image's attention blocks")
            self._share_blocks(streams, 0)
        vision = streams["vision"]
        self.norm = vision.norm
        for stream in streams.values():
            stream.norm = nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        self.head = linear_head(vision.width, spec.classes)
        self._prepare(streams, config)
        self._check_merge(streams)

    def _prepare(self, streams: Streams, config: NetworkConfig) -> None:
        """Add what a fusion has of its own; called once, at the end of construction."""

    def fuse(self, streams: Streams, tokens: Tokens, masks: Masks) -> Iterator[Tokens]:
        """Yield the tokens of each stream after each level above Lf, lowest first.

        Args:
            streams: those that the fusion was built for.
            tokens: modality -> (B,N_m,D).
            masks: modality -> (B,N_m) as `AttentionBlock` takes them, or None.
        """
        raise NotImplementedError

    def forward(self, streams: Streams, batch: Batch) -> Output:
        tokens: Tokens = {}
        masks: dict[str, Tensor | None] = {}
        levels: dict[str, list[Tensor]] = {name: [] for name in streams}
        for name, stream in streams.items():
            x, mask = stream.tokens(batch)
            extra = len(stream.blocks) - self.levels
            for depth, block in enumerate(stream.blocks[: extra + self.fusion_layer]):
                x, _ = block(x, mask=mask)
                if depth >= extra:
                    levels[name].append(pool_tokens(x, mask))
            if self.merge:
                x, mask = merge_tokens(x, mask, self.merge)
            tokens[name], masks[name] = x, mask
        if self.fusion_layer < self.levels:
            for fused in self.fuse(streams, tokens, masks):
                for name, x in fused.items():
                    levels[name].append(pool_tokens(x, masks[name]))
                tokens = fused
        logits = [self.head(self.dropout(self.norm(x[:, 0]))) for x in tokens.values()]
        return Output(torch.stack(logits).mean(dim=0), levels)

    def _fused(self, stream: Stream) -> nn.ModuleList:
        """Return a stream's blocks above Lf, lowest first."""
        return stream.blocks[len(stream.blocks) - self.levels + self.fusion_layer :]

    def _share_blocks(self, streams: Streams, lowest: int) -> None:
        """Put the vision stream's blocks in place of the signal stream's above level `lowest`."""
        vision, signal = streams["vision"].blocks, streams["signal"].blocks
        keep, take = len(signal) - self.levels + lowest, len(vision) - self.levels + lowest
        streams["signal"].blocks = nn.ModuleList([*signal[:keep], *vision[take:]])

    def _check_merge(self, streams: Streams) -> None:
        if not self.merge:
            return
        if self.fusion_layer == self.levels:
            raise ConfigError(
                f"merge comes before a fused level, and fusion_layer {self.fusion_layer} leaves none: give a lower one"
            )
        fused = chain.from_iterable(self._fused(stream) for stream in streams.values())
        _check_series(fused, "merged tokens have no order in time")


class JointFusion(LevelFusion):
    """Joint self-attention over [x_1 ; x_2] above Lf: one stack of blocks, the vision stream's, serves both.

    The signal stream gives up its own blocks of those levels, which nothing would use.
    """

    def _prepare(self, streams: Streams, config: NetworkConfig) -> None:
        own = len(streams["signal"].blocks) - self.levels + self.fusion_layer
        if not own:
            _check_series(streams["signal"].blocks, "joint fusion from level 0 on replaces them all")
        self._share_blocks(streams, self.fusion_layer)

    def fuse(self, streams: Streams, tokens: Tokens, masks: Masks) -> Iterator[Tokens]:
        sizes = [x.shape[1] for x in tokens.values()]
        x = torch.cat(list(tokens.values()), dim=1)
        mask = join_masks(tokens, masks, *tokens)
        for block in self._fused(streams["vision"]):
            x, _ = block(x, mask=mask)
            yield dict(zip(tokens, x.split(sizes, dim=1), strict=True))


class CrossFusion(LevelFusion):
    """Cross-attention with own weights above Lf: stream m attends over its own and the other's tokens, keeps its own.

    Both read the other's tokens as they were before the level, in parallel.
    """

    def fuse(self, streams: Streams, tokens: Tokens, masks: Masks) -> Iterator[Tokens]:
        others = {"vision": "signal", "signal": "vision"}
        joined = {name: join_masks(tokens, masks, name, other) for name, other in others.items()}
        for level in range(self.fusion_layer - self.levels, 0):
            tokens = {
                name: cast(AttentionBlock, stream.blocks[level]).cross(tokens[name], tokens[others[name]], joined[name])
                for name, stream in streams.items()
            }
            yield tokens


class BottleneckFusion(LevelFusion):
    """Attention bottlenecks (MBT: Nagrani et al., NeurIPS 2021, arXiv 2107.00135); facts §3, steps 3 to 5.

    Above Lf every stream m reads the same old bottlenecks b, in parallel: [x_m ; b_m] = Block_m([x_m ; b]), and then
    b = mean over m of b_m. They are dropped before the head. Lf = L has none.
    """

    bottlenecks: nn.Parameter | None

    def _prepare(self, streams: Streams, config: NetworkConfig) -> None:
        self.bottlenecks = None
        if self.fusion_layer < self.levels:
            self.bottlenecks = nn.Parameter(torch.empty(1, config.bottlenecks, streams["vision"].width))
            nn.init.normal_(self.bottlenecks, std=0.02)

    def fuse(self, streams: Streams, tokens: Tokens, masks: Masks) -> Iterator[Tokens]:
        assert self.bottlenecks is not None
        bottlenecks = self.bottlenecks.expand(len(next(iter(tokens.values()))), -1, -1)
        for level in range(self.fusion_layer - self.levels, 0):
            new, updated = {}, []
            for name, stream in streams.items():
                new[name], own = stream.blocks[level](tokens[name], bottlenecks, masks[name])
                updated.append(own)
            bottlenecks = torch.stack(updated).mean(dim=0)
            tokens = new
            yield tokens


def join_masks(tokens: Mapping[str, Tensor], masks: Masks, *names: str) -> Tensor | None:
    """Return the mask (B,sum of N_m) of the named streams' tokens side by side; None where none of them has one."""
    if all(masks[name] is None for name in names):
        return None
    parts = []
    for name in names:
        mask = masks[name]
        parts.append(tokens[name].new_ones(tokens[name].shape[:2], dtype=torch.bool) if mask is None else mask)
    return torch.cat(parts, dim=1)


def _check_streams(streams: Streams, config: NetworkConfig) -> int:
    """Return L of two streams that can meet level by level."""
    widths = {name: stream.width for name, stream in streams.items()}
    if len(set(widths.values())) > 1:
        found = ", ".join(f"{name} {width}" for name, width in widths.items())
        raise ConfigError(f"{config.fusion} fusion needs streams of one width, found {found}: set the signal's width")
    depths = {name: len(stream.blocks) for name, stream in streams.items()}
    if bare := [name for name, depth in depths.items() if depth == 0]:
        raise ConfigError(f"{config.fusion} fusion needs transformer blocks in each stream: set the {bare[0]}'s blocks")
    levels = min(depths.values())
    if config.fusion_layer > levels:
        raise ConfigError(f"fusion_layer is {config.fusion_layer}: give 0 to {levels}, the smaller depth")
    return levels


def _check_series(blocks: Iterable[nn.Module], reason: str) -> None:
    """Refuse TRANS-BLSTM blocks."""
    if found := [type(block).__name__ for block in blocks if not isinstance(block, AttentionBlock)]:
        raise ConfigError(f"{reason}, so the signal's {found[0]} cannot serve there: use attention blocks")
