"""Coupling level l of the image stream to level l of the signal stream: the user's own idea (docs/methods.md).

Levels are counted from the top, 1 to L, L the smaller depth; all of them are coupled, also those below the fusion
layer. "share" and "distance" act on weights, "contrastive" and "orthogonal" on the two pooled representations of a
sample, `Output.levels`.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from fusion.errors import ConfigError
from fusion.models.blocks import Batch, Output, Stream
from fusion.models.config import CouplingConfig
from fusion.models.subspace import leading_projector

Pair = tuple[nn.Module, nn.Module]  # the image's and the signal's block of one level

_SHORTEST = 1e-6  # norm below which a representation is not scaled up to length 1


class Coupling(nn.Module):
    """Ties the blocks of each level ("share") or gives a penalty on them; has no parameters of its own.

    Attributes:
        config: what to couple, and how.
    """

    def __init__(self, config: CouplingConfig, streams: Mapping[str, Stream], pairs: Sequence[Pair | None]) -> None:
        """Check that the streams can be coupled so; for "share", make their attention tensors one.

        Args:
            config: the coupling.
            streams: "vision" and "signal".
            pairs: the blocks of each level, lowest first; None where the two streams have no blocks of their own.

        Raises:
            ConfigError: streams of different width, without blocks to couple, or with blocks that do not fit.
        """
        super().__init__()
        self.config = config
        _check_widths(config, streams)
        self._pairs = [pair for pair in pairs if pair is not None]  # plain references: the streams own the blocks
        if config.kind in ("share", "distance"):
            if not self._pairs:
                raise ConfigError(
                    f"coupling {config.kind!r} finds no level where both streams have a block of their own: "
                    "set the signal's blocks, or a larger fusion_layer for joint fusion"
                )
            self._check_blocks(streams["vision"].width)
        if config.kind == "share":
            for vision, signal in self._pairs:
                _share_attention(vision, signal)

    def forward(self, output: Output, batch: Batch | None = None) -> Tensor | None:
        """Return the penalty, its mean over the levels, without its strength; None for "share", which has none.

        Args:
            output: of the fusion, with the representations that "contrastive" and "orthogonal" act on.
            batch: what went in; samples that lack a modality (`absent_vision`, `absent_signal`) are left out of those.
        """
        match self.config.kind:
            case "share":
                return None
            case "distance":
                return self._distance()
        kept = _complete(batch)
        terms = []
        for a, b in zip(output.levels["vision"], output.levels["signal"], strict=True):
            if kept is not None:
                a, b = a[kept], b[kept]
            if self.config.kind == "contrastive":
                terms.append(info_nce(a, b, self.config.temperature))
            else:
                terms.append(cross_correlation(a, b))
        return torch.stack(terms).mean()

    def _distance(self) -> Tensor:
        terms = []
        for vision, signal in self._pairs:
            weight = lstm_inputs(signal)
            if weight is None:
                near = likeness(_tensors(vision), _tensors(signal))
                terms.append(near.square() if self.config.apart else 1 - near)
            else:
                overlap = projector_overlap(_linears(vision)[0].weight, weight, self.config.rank)
                terms.append(overlap if self.config.apart else 1 - overlap)
        return torch.stack(terms).mean()

    def _check_blocks(self, width: int) -> None:
        for vision, signal in self._pairs:
            if self.config.kind == "distance" and lstm_inputs(signal) is not None:
                if self.config.rank >= width:
                    raise ConfigError(
                        f"coupling rank {self.config.rank} spans all of the width {width}: give 1 to {width - 1}"
                    )
                _attention(vision)
                continue
            shapes = [[tuple(tensor.shape) for tensor in _tensors(block)] for block in (vision, signal)]
            if shapes[0] != shapes[1]:
                raise ConfigError(
                    f"coupling {self.config.kind!r} needs attention tensors of one shape, found vision {shapes[0]}, "
                    f"signal {shapes[1]}: choose an image model with q, k, v and out biases"
                )
            heads = [int(_attention(block).num_heads) for block in (vision, signal)]  # type: ignore[arg-type]
            if heads[0] != heads[1]:
                raise ConfigError(
                    f"coupling {self.config.kind!r} needs as many heads in both streams, found vision {heads[0]}, "
                    f"signal {heads[1]}: set the signal's heads to {heads[0]}"
                )


def info_nce(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """Return the symmetric InfoNCE of representations (B,D) whose rows belong together, nats; 0 for fewer than two.

    The mean of the cross-entropies of finding row i of one among all rows of the other by cosine / temperature
    (van den Oord et al. 2018, arXiv 1807.03748, in the form of CLIP, Radford et al. 2021, arXiv 2103.00020).
    log B is chance.
    """
    if len(a) < 2:
        return a.new_zeros((), dtype=torch.float32)
    with torch.autocast(a.device.type, enabled=False):
        a, b = (functional.normalize(_full(x), dim=1, eps=_SHORTEST) for x in (a, b))
        logits = a @ b.mT / temperature
        own = torch.arange(len(a), device=a.device)
        return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.mT, own)) / 2


def cross_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Return what two representations (B,D) share linearly over a batch, 0 to 1; 0 for fewer than two rows.

    The difference loss of domain separation networks (Bousmalis et al. 2016, arXiv 1608.06019): || A'B ||_F^2, rows of
    A and B centred over the batch and scaled to length 1; divided by B^2, its upper bound. It is 0 where every feature
    of one is uncorrelated with every feature of the other, and about 1 / B for unrelated representations.
    """
    if len(a) < 2:
        return a.new_zeros((), dtype=torch.float32)
    with torch.autocast(a.device.type, enabled=False):
        a, b = (functional.normalize(x - x.mean(dim=0), dim=1, eps=_SHORTEST) for x in (_full(a), _full(b)))
        return (a.mT @ b).square().sum() / len(a) ** 2


def likeness(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Return 2 <a,b> / (<a,a> + <b,b>) over all entries of tensors of the same shapes, -1 to 1.

    1 minus it is the squared distance relative to the tensors' size, ||a - b||^2 / (||a||^2 + ||b||^2): 0 for equal
    tensors, about 1 for independent ones, whatever their number, width and scale.
    """
    flat_a, flat_b = (torch.cat([_full(tensor).flatten() for tensor in tensors]) for tensors in (a, b))
    size = flat_a.square().sum() + flat_b.square().sum()
    return 2 * (flat_a * flat_b).sum() / size.clamp(min=torch.finfo(size.dtype).tiny)


def projector_overlap(a: Tensor, b: Tensor, rank: int) -> Tensor:
    """Return the overlap, 0 to 1, of the leading right singular subspaces of matrices (M,D) and (K,D).

    tr(P_a P_b) / r, the mean squared cosine of the principal angles; 1 minus it is ||P_a - P_b||_F^2 / 2r.
    `fusion.metrics.similarity.subspace_overlap` measures the same. r / D is chance.
    """
    return (leading_projector(a, rank) * leading_projector(b, rank)).sum() / rank


def paired_blocks(streams: Mapping[str, Stream]) -> list[Pair]:
    """Return the blocks of levels 1 to L, lowest first; none unless two streams have blocks."""
    if set(streams) != {"vision", "signal"}:
        return []
    vision, signal = list(streams["vision"].blocks), list(streams["signal"].blocks)
    levels = min(len(vision), len(signal))
    return list(zip(vision[len(vision) - levels :], signal[len(signal) - levels :], strict=True))


def own_pairs(pairs: Sequence[Pair], streams: Mapping[str, Stream]) -> list[Pair | None]:
    """Return the pairs, None for those whose signal block the fusion has taken away: the image's serves both there."""
    return [pair if any(pair[1] is block for block in streams["signal"].blocks) else None for pair in pairs]


def attention_inputs(block: nn.Module) -> Tensor | None:
    """Return W_qkv (3D,D) of a block's attention, which acts on its tokens; None unless it has one such layer."""
    found = _attentions(block)
    return found[0].qkv.weight if len(found) == 1 else None  # type: ignore[union-attr, return-value]


def lstm_inputs(block: nn.Module) -> Tensor | None:
    """Return W_ih of a block's LSTM, both directions below each other, which acts on its tokens; None without one."""
    for module in block.modules():
        if isinstance(module, nn.LSTM):
            names = ["weight_ih_l0", "weight_ih_l0_reverse"] if module.bidirectional else ["weight_ih_l0"]
            return torch.cat([getattr(module, name) for name in names])
    return None


def _attentions(block: nn.Module) -> list[nn.Module]:
    return [module for module in block.modules() if hasattr(module, "qkv") and hasattr(module, "proj")]


def _attention(block: nn.Module) -> nn.Module:
    found = _attentions(block)
    if len(found) != 1:
        raise ConfigError(
            f"coupling needs blocks with one attention layer each, found {len(found)} in {type(block).__name__}: "
            "choose another image model, for instance vit_tiny_patch16_224"
        )
    return found[0]


def _linears(block: nn.Module) -> tuple[nn.Linear, nn.Linear]:
    attention = _attention(block)
    return cast(nn.Linear, attention.qkv), cast(nn.Linear, attention.proj)


def _tensors(block: nn.Module) -> list[Tensor]:
    return [parameter for linear in _linears(block) for parameter in linear.parameters()]


def _share_attention(vision: nn.Module, signal: nn.Module) -> None:
    """Make the signal's q, k, v and out tensors the very parameters of the image's, which may be pretrained."""
    for source, target in zip(_linears(vision), _linears(signal), strict=True):
        for name, parameter in source.named_parameters():
            setattr(target, name, parameter)


def _check_widths(config: CouplingConfig, streams: Mapping[str, Stream]) -> None:
    widths = {name: stream.width for name, stream in streams.items()}
    if len(set(widths.values())) > 1:
        found = ", ".join(f"{name} {width}" for name, width in widths.items())
        raise ConfigError(f"coupling {config.kind!r} needs streams of one width, found {found}: set the signal's width")


def _complete(batch: Batch | None) -> Tensor | None:
    """Return which samples have both modalities, (B,) bool; None where all do."""
    gone = [batch[key] for key in ("absent_vision", "absent_signal") if key in batch] if batch is not None else []
    return ~torch.stack(gone).any(dim=0) if gone else None


def _full(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
