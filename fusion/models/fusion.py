"""How streams become class logits. Every fusion is called as `fusion(streams, batch) -> Output`."""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from fusion.errors import ConfigError
from fusion.models.blocks import Batch, Norm, Output, Stream, pool_tokens
from fusion.models.config import InputSpec, NetworkConfig

Streams = Mapping[str, Stream]


class ConcatenationHead(nn.Module):
    """The streams' readouts side by side, dropout, one linear head: late fusion; with one stream, its head."""

    def __init__(self, streams: Streams, config: NetworkConfig, spec: InputSpec) -> None:
        super().__init__()
        self.dropout = nn.Dropout(config.dropout)
        self.head = _linear_head(sum(stream.width for stream in streams.values()), spec.classes)

    def forward(self, streams: Streams, batch: Batch) -> Output:
        readouts = {name: stream.readout(batch) for name, stream in streams.items()}
        logits = cast(Tensor, self.head(self.dropout(torch.cat(list(readouts.values()), dim=-1))))
        return Output(logits, {name: [readout] for name, readout in readouts.items()})


class BottleneckFusion(nn.Module):
    """Attention bottlenecks (MBT: Nagrani et al., NeurIPS 2021, arXiv 2107.00135); facts §3, steps 3 to 5.

    Levels 1 to L, L the smaller depth; a deeper stream's extra lower blocks run alone, and so do all blocks up to
    level Lf. Above it every stream m reads the same old bottlenecks b, in parallel: [x_m ; b_m] = Block_m([x_m ; b]),
    and then b = mean over m of b_m. Bottlenecks are dropped before the head; norm and head are shared, the logits are
    the mean over streams. Lf = L is late fusion with shared norm and head, and has no bottlenecks.

    The shared norm is the vision stream's, so that pretrained weights keep theirs; the streams are left without one.
    """

    def __init__(self, streams: Streams, config: NetworkConfig, spec: InputSpec) -> None:
        """Build the fusion.

        Raises:
            ConfigError: streams of different width or without blocks, or Lf beyond L.
        """
        super().__init__()
        widths = {name: stream.width for name, stream in streams.items()}
        if len(set(widths.values())) > 1:
            found = ", ".join(f"{name} {width}" for name, width in widths.items())
            raise ConfigError(f"bottleneck fusion needs streams of one width, found {found}: set the signal's width")
        depths = {name: len(stream.blocks) for name, stream in streams.items()}
        bare = [name for name, depth in depths.items() if depth == 0]
        if bare:
            raise ConfigError(f"bottleneck fusion needs transformer blocks in each stream: set the {bare[0]}'s blocks")
        self.levels = min(depths.values())
        self.fusion_layer = config.fusion_layer
        if self.fusion_layer > self.levels:
            raise ConfigError(f"fusion_layer is {self.fusion_layer}: give 0 to {self.levels}, the smaller depth")
        width = next(iter(widths.values()))
        self.bottlenecks: nn.Parameter | None = None
        if self.fusion_layer < self.levels:
            self.bottlenecks = nn.Parameter(torch.empty(1, config.bottlenecks, width))
            nn.init.normal_(self.bottlenecks, std=0.02)
        self.norm = streams["vision"].norm if "vision" in streams else Norm(width)
        for stream in streams.values():
            stream.norm = nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        self.head = _linear_head(width, spec.classes)

    def forward(self, streams: Streams, batch: Batch) -> Output:
        xs, masks = {}, {}
        levels: dict[str, list[Tensor]] = {name: [] for name in streams}
        for name, stream in streams.items():
            x, mask = stream.tokens(batch)
            extra = len(stream.blocks) - self.levels
            for depth, block in enumerate(stream.blocks[: extra + self.fusion_layer]):
                x, _ = block(x, mask=mask)
                if depth >= extra:
                    levels[name].append(pool_tokens(x, mask))
            xs[name], masks[name] = x, mask
        if self.bottlenecks is not None:
            size = len(next(iter(xs.values())))
            bottlenecks = self.bottlenecks.expand(size, -1, -1)
            for level in range(self.fusion_layer - self.levels, 0):
                updated = []
                for name, stream in streams.items():
                    xs[name], own = stream.blocks[level](xs[name], bottlenecks, masks[name])
                    updated.append(own)
                    levels[name].append(pool_tokens(xs[name], masks[name]))
                bottlenecks = torch.stack(updated).mean(dim=0)
        logits = [self.head(self.dropout(self.norm(x[:, 0]))) for x in xs.values()]
        return Output(torch.stack(logits).mean(dim=0), levels)


def _linear_head(width: int, classes: int) -> nn.Linear:
    head = nn.Linear(width, classes)
    nn.init.trunc_normal_(head.weight, std=0.02)
    nn.init.zeros_(head.bias)
    return head


FUSIONS: dict[str | None, type[ConcatenationHead] | type[BottleneckFusion]] = {
    None: ConcatenationHead,
    "late": ConcatenationHead,
    "bottleneck": BottleneckFusion,
}
