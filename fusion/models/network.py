"""A network: one stream or two, and what makes logits of them."""

from typing import cast

import torch
from torch import Tensor, nn

from fusion.errors import InputError
from fusion.models.bilstm import BiLSTMStream
from fusion.models.blocks import Batch, Output, Stream
from fusion.models.config import (
    BiLSTMConfig,
    ConvLSTMConfig,
    InputSpec,
    NetworkConfig,
    SignalConfig,
    TransformerConfig,
)
from fusion.models.convlstm import ConvLSTMStream
from fusion.models.coupling import Coupling, own_pairs, paired_blocks
from fusion.models.fusion import FUSIONS
from fusion.models.transformer import TransformerStream
from fusion.models.vision import VisionStream


class Network(nn.Module):
    """Logits of a batch.

    Attributes:
        config, spec: what it was built from.
        streams: "vision" and "signal", those that are there.
        fusion: called with streams and batch.
        pairs: the image's and the signal's block of each level, lowest first; None where one block serves both.
        coupling: what ties the levels of two streams; None without.
    """

    def __init__(self, config: NetworkConfig, spec: InputSpec, streams: dict[str, Stream]) -> None:
        super().__init__()
        self.config = config
        self.spec = spec
        if config.absent_tokens:
            for stream in streams.values():
                stream.absent = nn.Parameter(0.02 * torch.randn(1, 1, stream.width))
        pairs = paired_blocks(streams)  # before the fusion, which may take blocks away from the signal
        self.fusion = FUSIONS[config.fusion](streams, config, spec)
        self.streams = nn.ModuleDict(streams)
        self.pairs = own_pairs(pairs, streams)
        self.coupling = Coupling(config.coupling, streams, self.pairs) if config.coupling is not None else None

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,classes).

        Args:
            batch: image (B,3,P,P), cube (B,T,3C,K,K), present (B,T,K,K) bool; what no stream reads may be left out.
                absent_vision, absent_signal (B,) bool, optional: which samples lack a modality.

        Raises:
            InputError: a tensor that is absent or of another shape than the network was built for.
        """
        return self.outputs(batch).logits

    def outputs(self, batch: Batch) -> Output:
        """Return logits and the pooled representations by level; as `forward` in all else."""
        self._check(batch)
        return cast(Output, self.fusion(self.streams, batch))

    def penalty(self, output: Output, batch: Batch | None = None) -> Tensor | None:
        """Return the coupling's term of the training loss, strength x penalty; None where there is none.

        Args:
            output: what `outputs` returned.
            batch: what it was given; needed where samples may lack a modality.
        """
        if self.coupling is None or self.config.coupling is None:
            return None
        penalty = self.coupling(output, batch)
        return None if penalty is None else self.config.coupling.strength * penalty

    def _check(self, batch: Batch) -> None:
        spec = self.spec
        wanted: dict[str, tuple[int, ...]] = {}
        if "vision" in self.streams:
            wanted["image"] = (3, spec.chip_px, spec.chip_px)
        if "signal" in self.streams:
            wanted["cube"] = (spec.steps, spec.channels, *spec.places)
            wanted["present"] = (spec.steps, *spec.places)
        for name, shape in wanted.items():
            if name not in batch:
                raise InputError(f"the batch has no {name}: this network reads {', '.join(wanted)}")
            found = tuple(batch[name].shape[1:])
            if found != shape:
                raise InputError(f"{name} of the batch is (B, {found}), the network was built for (B, {shape})")


def build_network(config: NetworkConfig, spec: InputSpec, initial_weights: bool = True) -> Network:
    """Return a network with initial weights drawn from torch's generator (seed it first).

    Args:
        config: streams and fusion.
        spec: what it reads, and the number of classes.
        initial_weights: False leaves pretrained weights alone, for a checkpoint that brings all weights itself.

    Raises:
        ConfigError: streams that do not exist, do not fit together or cannot be coupled so, or a fusion layer out of
            range.
        InputError: pretrained weights that cannot be read, fetched or used.
    """
    streams: dict[str, Stream] = {}
    if config.vision is not None:
        streams["vision"] = VisionStream(config.vision, spec, initial_weights)
    if config.signal is not None:
        streams["signal"] = _signal_stream(config.signal, spec)
    return Network(config, spec, streams)


def parameters_count(network: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def _signal_stream(config: SignalConfig, spec: InputSpec) -> Stream:
    match config:
        case BiLSTMConfig():
            return BiLSTMStream(config, spec)
        case ConvLSTMConfig():
            return ConvLSTMStream(config, spec)
        case TransformerConfig():
            return TransformerStream(config, spec)
    raise TypeError(f"no stream for {type(config).__name__}")
