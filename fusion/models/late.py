"""Late fusions: each stream runs alone to its readout, and only the readouts meet."""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from fusion.models.blocks import Batch, Output, Stream
from fusion.models.config import InputSpec, NetworkConfig

Streams = Mapping[str, Stream]


class LateFusion(nn.Module):
    """What late fusions share; `combine` makes logits (B,classes) of the readouts, modality -> (B,D_m), each normed.

    The one level of `Output.levels` is the readouts themselves. Widths may differ.
    """

    def __init__(self, streams: Streams, config: NetworkConfig, spec: InputSpec) -> None:
        super().__init__()
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, streams: Streams, batch: Batch) -> Output:
        readouts = {name: stream.readout(batch) for name, stream in streams.items()}
        return Output(self.combine(readouts), {name: [readout] for name, readout in readouts.items()})

    def combine(self, readouts: Mapping[str, Tensor]) -> Tensor:
        raise NotImplementedError


class ConcatenationHead(LateFusion):
    """The readouts side by side, dropout, one linear head; with one stream, its head."""

    def __init__(self, streams: Streams, config: NetworkConfig, spec: InputSpec) -> None:
        super().__init__(streams, config, spec)
        self.head = linear_head(sum(stream.width for stream in streams.values()), spec.classes)

    def combine(self, readouts: Mapping[str, Tensor]) -> Tensor:
        return cast(Tensor, self.head(self.dropout(torch.cat(list(readouts.values()), dim=-1))))


class MeanLogits(LateFusion):
    """Dropout and a linear head of its own on each readout; the logits are the mean over streams.

    Bottleneck fusion at Lf = L is the same with one norm and one head for both.
    """

    def __init__(self, streams: Streams, config: NetworkConfig, spec: InputSpec) -> None:
        super().__init__(streams, config, spec)
        self.heads = nn.ModuleDict({name: linear_head(stream.width, spec.classes) for name, stream in streams.items()})

    def combine(self, readouts: Mapping[str, Tensor]) -> Tensor:
        logits = [self.heads[name](self.dropout(readout)) for name, readout in readouts.items()]
        return torch.stack(logits).mean(dim=0)


class GatedUnit(LateFusion):
    """The gated multimodal unit (Arevalo et al. 2017, arXiv 1702.01992), dropout, one linear head.

    With r1 the image's readout, r2 the signal's and [;] concatenation, no biases, as in the paper:

        z = s(W [r1 ; r2])        h = z o tanh(W1 r1) + (1 - z) o tanh(W2 r2)

    h and z are as wide as the vision stream. Weights start as Xavier's, which keeps tanh in its bend.
    """

    def __init__(self, streams: Streams, config: NetworkConfig, spec: InputSpec) -> None:
        super().__init__(streams, config, spec)
        width = streams["vision"].width
        self.gate = nn.Linear(sum(stream.width for stream in streams.values()), width, bias=False)
        self.project = nn.ModuleDict(
            {name: nn.Linear(stream.width, width, bias=False) for name, stream in streams.items()}
        )
        for module in (self.gate, *self.project.values()):
            nn.init.xavier_uniform_(cast(nn.Linear, module).weight)
        self.head = linear_head(width, spec.classes)

    def combine(self, readouts: Mapping[str, Tensor]) -> Tensor:
        vision, signal = readouts["vision"], readouts["signal"]
        z = self.gate(torch.cat([vision, signal], dim=-1)).sigmoid()
        h = z * self.project["vision"](vision).tanh() + (1 - z) * self.project["signal"](signal).tanh()
        return cast(Tensor, self.head(self.dropout(h)))


def linear_head(width: int, classes: int) -> nn.Linear:
    """Return a linear layer that starts as timm's heads do: truncated normal of deviation 0.02, bias 0."""
    head = nn.Linear(width, classes)
    nn.init.trunc_normal_(head.weight, std=0.02)
    nn.init.zeros_(head.bias)
    return head
