"""Frozen configurations of streams, fusion and network. No torch here: the pages read these without it.

Every configuration goes to a plain dict and back (`to_dict`, `from_dict`); a key that does not exist raises.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from fusion.errors import ConfigError
from fusion.models.checks import check_choice, check_kinds, check_positive, check_share, known_options

GRIDS = ("hex", "square")
FUSIONS = ("late", "late-mean", "late-gated", "joint", "cross", "bottleneck")
LEVELLED = ("joint", "cross", "bottleneck")  # fusions that meet level by level, from Lf on
BLOCKS = ("attention", "trans-blstm-1", "trans-blstm-2")
COUPLINGS = ("share", "distance", "contrastive", "orthogonal")
CITY_WEIGHTS = "city"  # masked autoencoding on the city's own imagery, without the fold's test area
LARGEST_MERGE = 0.75
_SIZE = re.compile(r"vit\s+(\d+)x(\d+)(?:\s*,\s*patch\s+(\d+))?", re.IGNORECASE)


@dataclass(frozen=True)
class InputSpec:
    """What a network reads and how many classes it tells apart.

    Attributes:
        chip_px: edge of the square image chip, pixels.
        steps: T, time steps of a cube.
        channels: channels of a cube, 3C: values, suppressed flags, missing flags.
        kernel: K, edge of the square array that holds a neighbourhood, cells (odd); on grid "square" its rows.
        grid: "hex" (six neighbours on H3's axial grid) or "square" (eight neighbours; URFC's weekday x hour).
        classes: number of classes.
        columns: columns of a cube on grid "square"; None: as many as rows.
    """

    chip_px: int = 96
    steps: int = 24
    channels: int = 24
    kernel: int = 5
    grid: str = "hex"
    classes: int = 9
    columns: int | None = None

    def __post_init__(self) -> None:
        check_kinds(self)
        check_positive(self, "chip_px", "steps", "channels", "kernel", "classes")
        check_choice(self, "grid", GRIDS)
        if self.grid == "hex" and self.kernel % 2 == 0:
            raise ConfigError(f"InputSpec.kernel is {self.kernel}: a neighbourhood has a centre, so give an odd number")
        if self.columns is not None:
            check_positive(self, "columns")
            if self.grid == "hex" and self.columns != self.kernel:
                raise ConfigError(f"InputSpec.columns is {self.columns}: a neighbourhood has as many as rows")

    @property
    def places(self) -> tuple[int, int]:
        """Rows and columns of a cube: (K,K), or those of the square grid."""
        return self.kernel, self.kernel if self.columns is None else self.columns

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Raises ConfigError on an unknown key."""
        return cls(**known_options(cls, values))


@dataclass(frozen=True)
class VisionConfig:
    """A timm VisionTransformer with one class token: by `name`, or by size where `name` is None.

    Attributes:
        name: a timm model, for instance "vit_tiny_patch16_224"; its depth, width and heads come from timm.
        depth, width, heads, mlp_ratio: the size without a name (default 4 blocks of 192, 3 heads, ratio 4).
        patch: patch edge, pixels; None: the named model's own, or 16.
        weights: None from scratch; "timm" the named model's pretrained weights; "city" those of masked autoencoding on
            the city's own imagery, found or made by training; else the path of a safetensors file.
        dropout: of the blocks' projections and of the tokens with their positions.
        drop_path: stochastic depth of the last block, growing linearly from 0 in the first.
    """

    name: str | None = None
    depth: int | None = None
    width: int | None = None
    heads: int | None = None
    mlp_ratio: float | None = None
    patch: int | None = None
    weights: str | None = None
    dropout: float = 0.0
    drop_path: float = 0.0

    def __post_init__(self) -> None:
        check_kinds(self)
        sizes: dict[str, int | float] = {"depth": 4, "width": 192, "heads": 3, "mlp_ratio": 4.0, "patch": 16}
        if self.name is None:
            for key, value in sizes.items():
                if getattr(self, key) is None:
                    object.__setattr__(self, key, value)
            check_positive(self, *sizes)
            if self.width % self.heads:  # type: ignore[operator]
                raise ConfigError(f"vision width {self.width} is not a multiple of its {self.heads} heads")
            if self.weights == "timm":
                raise ConfigError(
                    "vision weights 'timm' need the name of a timm model, for instance name='vit_tiny_patch16_224'"
                )
        else:
            given = [key for key in sizes if key != "patch" and getattr(self, key) is not None]
            if given:
                raise ConfigError(
                    f"vision model {self.name!r} has its own {', '.join(given)}: leave them out, or leave the name out"
                )
            if self.patch is not None:
                check_positive(self, "patch")
        check_share(self, "dropout", "drop_path")

    def fitted_to(self, chip_px: int) -> "VisionConfig":
        """Return this configuration with the patch edge nearest to its own that divides a chip of `chip_px`.

        A timm model, and weights from a file, have patches of their own and stay as they are.
        """
        own = self.patch or 16
        if self.name is not None or self.weights not in (None, CITY_WEIGHTS) or chip_px % own == 0:
            return self
        divisors = [edge for edge in range(1, chip_px + 1) if chip_px % edge == 0]
        return replace(self, patch=min(divisors, key=lambda edge: (abs(edge - own), -edge)))

    @classmethod
    def parse(cls, text: str, **options: Any) -> Self:
        """Return the configuration of a size such as "vit 4x192, patch 16", or of a timm name.

        Heads of a size are 64 wide, as in every ViT of the paper (arXiv 2010.11929), or one where 64 does not divide.

        Raises:
            ConfigError: an unknown option, or sizes that do not fit together.
        """
        match = _SIZE.fullmatch(text.strip())
        if match is None:
            return cls(**known_options(cls, {"name": text.strip(), **options}))
        depth, width, patch = int(match[1]), int(match[2]), int(match[3] or 16)
        heads = width // 64 if width % 64 == 0 else 1
        return cls(**known_options(cls, {"depth": depth, "width": width, "heads": heads, "patch": patch, **options}))


@dataclass(frozen=True)
class SignalConfig:
    """What every signaling stream has.

    Attributes:
        width: D, width of the tokens.
        blocks: transformer blocks on the tokens; 0: none, and the stream gives one token, its readout.
        heads, mlp_ratio, drop_path: of those blocks.
        dropout: of the tokens and of the blocks' projections.
        block: "attention" (pre-norm transformer), "trans-blstm-1" (a bidirectional LSTM instead of the feed-forward
            layer) or "trans-blstm-2" (one beside it); Huang et al. 2020, arXiv 2003.07000.
        blstm_input: what the LSTM of a TRANS-BLSTM block reads: "a", the attention's output after its residual (and, in
            post-norm, its norm), or "x", the block's input.
        blstm_width: "half" (D/2 units a direction, no projection) or "full" (D units a direction, projected from 2D).
        norm: "post" as in the paper or "pre"; of TRANS-BLSTM blocks only, attention blocks are pre-norm.
    """

    width: int = 192
    blocks: int = 0
    heads: int = 3
    mlp_ratio: float = 4.0
    dropout: float = 0.1
    drop_path: float = 0.0
    block: str = "attention"
    blstm_input: str = "a"
    blstm_width: str = "half"
    norm: str = "post"

    def __post_init__(self) -> None:
        check_kinds(self)
        check_positive(self, "width", "heads", "mlp_ratio")
        if self.blocks < 0:
            raise ConfigError(f"{type(self).__name__}.blocks is {self.blocks!r}: give 0 or a whole number above")
        if self.width % self.heads:
            raise ConfigError(f"{type(self).__name__}: width {self.width} is not a multiple of its {self.heads} heads")
        check_share(self, "dropout", "drop_path")
        check_choice(self, "block", BLOCKS)
        check_choice(self, "blstm_input", ("a", "x"))
        check_choice(self, "blstm_width", ("half", "full"))
        check_choice(self, "norm", ("post", "pre"))
        if self.block != "attention" and self.blstm_width == "half" and self.width % 2:
            raise ConfigError(f"{type(self).__name__}: width {self.width} has no half: give an even one, or 'full'")


@dataclass(frozen=True)
class BiLSTMConfig(SignalConfig):
    """A bidirectional LSTM over the centre cell's series; `hidden` units a direction."""

    hidden: int = 96
    layers: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "hidden", "layers")


@dataclass(frozen=True)
class ConvLSTMConfig(SignalConfig):
    """A convolutional LSTM over the neighbourhood (Shi et al. 2015).

    Attributes:
        hidden, layers: channels of the state, layers.
        peepholes: the W_c terms of the equations.
        neighbour_dropout: in training, the share of a sample's neighbours that are hidden at all steps (values and
            flags are 0, so that one is no missing one, whose flag is 1); the centre never is. Without it a few thousand
            samples are learned by heart through their surroundings.
    """

    hidden: int = 32
    layers: int = 2
    peepholes: bool = False
    neighbour_dropout: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "hidden", "layers")
        check_share(self, "neighbour_dropout")


@dataclass(frozen=True)
class TransformerConfig(SignalConfig):
    """Blocks over the centre cell's hourly tokens, each a linear projection of that hour's channels."""

    blocks: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "blocks")


SIGNALS: dict[str, type[SignalConfig]] = {
    "bilstm": BiLSTMConfig,
    "convlstm": ConvLSTMConfig,
    "transformer": TransformerConfig,
}


@dataclass(frozen=True)
class CouplingConfig:
    """What ties level l of the image stream to level l of the signal stream (the user's idea; docs/methods.md).

    Attributes:
        kind: "share": one set of attention tensors (q, k, v, out) for both; "distance": a penalty on the distance of
            those tensors, or, where the signal's block has an LSTM, of the leading input subspaces of W_qkv and W_ih;
            "contrastive": InfoNCE between the two pooled representations; "orthogonal": a penalty on what they share.
        strength: weight of the penalty in the loss; "share" has none.
        apart: "distance" only: push apart instead of drawing together.
        rank: r, right singular vectors that span a subspace ("distance" against an LSTM).
        temperature: of InfoNCE.
    """

    kind: str
    strength: float = 0.1
    apart: bool = False
    rank: int = 8
    temperature: float = 0.1

    def __post_init__(self) -> None:
        check_kinds(self)
        check_choice(self, "kind", COUPLINGS)
        check_positive(self, "strength", "rank", "temperature")
        if self.apart and self.kind != "distance":
            raise ConfigError(f"coupling {self.kind!r} cannot push apart: only 'distance' can")


@dataclass(frozen=True)
class NetworkConfig:
    """One network: one stream, or two and their fusion.

    Attributes:
        vision, signal: the streams; None: absent.
        fusion: None for one stream. For two: "late" (concatenation, linear head), "late-mean" (mean of logits of own
            heads), "late-gated" (a gate a feature), "joint" (one stack over both streams' tokens), "cross"
            (cross-attention, own weights) or "bottleneck" (MBT). The last three meet level by level from Lf on.
        fusion_layer: Lf, levels that run alone before fusion begins, 0 to L, the smaller depth.
        bottlenecks: B, bottleneck tokens ("bottleneck" only).
        shared_blocks: one set of blocks for both modalities at the levels 1 to L ("cross" and "bottleneck").
        merge: share of each stream's own tokens that token merging takes away before fusion; 0 off, at most 0.75.
        absent_tokens: a learned token a modality stands for one that is absent (with modality dropout in training).
        coupling: what ties the levels of the two streams; None: nothing.
        dropout: before the head.
    """

    vision: VisionConfig | None = None
    signal: SignalConfig | None = None
    fusion: str | None = None
    fusion_layer: int = 2
    bottlenecks: int = 4
    shared_blocks: bool = False
    merge: float = 0.0
    absent_tokens: bool = False
    coupling: CouplingConfig | None = None
    dropout: float = 0.1

    def __post_init__(self) -> None:
        check_kinds(self)
        if self.vision is None and self.signal is None:
            raise ConfigError("a network needs a vision stream, a signal stream, or both")
        both = self.vision is not None and self.signal is not None
        if both and self.fusion not in FUSIONS:
            raise ConfigError(f"fusion {self.fusion!r} of two streams is unknown: use one of {', '.join(FUSIONS)}")
        if not both and self.fusion is not None:
            raise ConfigError(f"fusion {self.fusion!r} needs two streams: only one is configured")
        if self.fusion_layer < 0:
            raise ConfigError(f"fusion_layer is {self.fusion_layer!r}: give a whole number from 0 to the smaller depth")
        check_positive(self, "bottlenecks")
        check_share(self, "dropout")
        if not 0 <= self.merge <= LARGEST_MERGE:
            raise ConfigError(f"merge is {self.merge!r}: give a share from 0 to {LARGEST_MERGE}")
        wants = {"merge": bool(self.merge), "coupling": self.coupling is not None, "absent_tokens": self.absent_tokens}
        if asked := [name for name, given in wants.items() if given and not both]:
            raise ConfigError(f"{asked[0]} needs two streams: only one is configured")
        if self.merge and self.fusion not in LEVELLED:
            raise ConfigError(f"merge comes before a fusion by level, not {self.fusion!r}: use {', '.join(LEVELLED)}")
        if self.shared_blocks and self.fusion not in ("cross", "bottleneck"):
            raise ConfigError(f"fusion {self.fusion!r} has no blocks of each modality to share: use cross, bottleneck")
        if self.shared_blocks and self.coupling is not None and self.coupling.kind in ("share", "distance"):
            raise ConfigError(f"coupling {self.coupling.kind!r} says nothing where whole blocks are shared")

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain values; the signal stream says under "kind" which it is."""
        values = asdict(self)
        if self.signal is not None:
            kind = next(kind for kind, cls in SIGNALS.items() if type(self.signal) is cls)
            values["signal"] = {"kind": kind, **values["signal"]}
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the configuration that `to_dict` wrote.

        Raises:
            ConfigError: an unknown key or kind of stream.
        """
        known = known_options(cls, values)
        if known.get("vision") is not None:
            known["vision"] = VisionConfig(**known_options(VisionConfig, known["vision"]))
        if known.get("signal") is not None:
            if not isinstance(known["signal"], Mapping):
                raise ConfigError(f"the signal stream is {known['signal']!r}: give a table with its kind and options")
            signal = dict(known["signal"])
            kind = signal.pop("kind", None)
            if kind not in SIGNALS:
                raise ConfigError(f"signal stream {kind!r} is unknown: use one of {', '.join(SIGNALS)}")
            known["signal"] = SIGNALS[kind](**known_options(SIGNALS[kind], signal))
        if known.get("coupling") is not None:
            known["coupling"] = CouplingConfig(**known_options(CouplingConfig, known["coupling"]))
        return cls(**known)
