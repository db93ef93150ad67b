"""Frozen configurations of streams, fusion and network. No torch here: the pages read these without it.

Every configuration goes to a plain dict and back (`to_dict`, `from_dict`); a key that does not exist raises.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from fusion.errors import ConfigError

GRIDS = ("hex", "square")
FUSIONS = ("late", "bottleneck")
_SIZE = re.compile(r"vit\s+(\d+)x(\d+)(?:\s*,\s*patch\s+(\d+))?", re.IGNORECASE)


@dataclass(frozen=True)
class InputSpec:
    """What a network reads and how many classes it tells apart.

    Attributes:
        chip_px: edge of the square image chip, pixels.
        steps: T, time steps of a cube.
        channels: channels of a cube, 3C: values, suppressed flags, missing flags.
        kernel: K, edge of the square array that holds a neighbourhood, cells (odd).
        grid: "hex" (six neighbours on H3's axial grid) or "square" (eight neighbours).
        classes: number of classes.
    """

    chip_px: int = 96
    steps: int = 24
    channels: int = 24
    kernel: int = 5
    grid: str = "hex"
    classes: int = 9

    def __post_init__(self) -> None:
        for name in ("chip_px", "steps", "channels", "kernel", "classes"):
            _positive(self, name)
        if self.kernel % 2 == 0:
            raise ConfigError(f"InputSpec.kernel is {self.kernel}: a neighbourhood has a centre, so give an odd number")
        _one_of(self, "grid", GRIDS)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Raises ConfigError on an unknown key."""
        return cls(**_known(cls, values))


@dataclass(frozen=True)
class VisionConfig:
    """A timm VisionTransformer with one class token: by `name`, or by size where `name` is None.

    Attributes:
        name: a timm model, for instance "vit_tiny_patch16_224"; its depth, width and heads come from timm.
        depth, width, heads, mlp_ratio: the size without a name (default 4 blocks of 192, 3 heads, ratio 4).
        patch: patch edge, pixels; None: the named model's own, or 16.
        weights: None from scratch, "timm" the named model's pretrained weights, else the path of a safetensors file.
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
        sizes: dict[str, int | float] = {"depth": 4, "width": 192, "heads": 3, "mlp_ratio": 4.0, "patch": 16}
        if self.name is None:
            for key, value in sizes.items():
                if getattr(self, key) is None:
                    object.__setattr__(self, key, value)
            for key in sizes:
                _positive(self, key)
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
                _positive(self, "patch")
        _share(self, "dropout", "drop_path")

    @classmethod
    def parse(cls, text: str, **options: Any) -> Self:
        """Return the configuration of a size such as "vit 4x192, patch 16", or of a timm name.

        Heads of a size are 64 wide, as in every ViT of the paper (arXiv 2010.11929), or one where 64 does not divide.

        Raises:
            ConfigError: an unknown option, or sizes that do not fit together.
        """
        match = _SIZE.fullmatch(text.strip())
        if match is None:
            return cls(**_known(cls, {"name": text.strip(), **options}))
        depth, width, patch = int(match[1]), int(match[2]), int(match[3] or 16)
        heads = width // 64 if width % 64 == 0 else 1
        return cls(**_known(cls, {"depth": depth, "width": width, "heads": heads, "patch": patch, **options}))


@dataclass(frozen=True)
class SignalConfig:
    """What every signaling stream has.

    Attributes:
        width: D, width of the tokens.
        blocks: transformer blocks on the tokens; 0: none, and the stream gives one token, its readout.
        heads, mlp_ratio, drop_path: of those blocks.
        dropout: of the tokens and of the blocks' projections.
    """

    width: int = 192
    blocks: int = 0
    heads: int = 3
    mlp_ratio: float = 4.0
    dropout: float = 0.1
    drop_path: float = 0.0

    def __post_init__(self) -> None:
        for name in ("width", "heads", "mlp_ratio"):
            _positive(self, name)
        if not isinstance(self.blocks, int) or self.blocks < 0:
            raise ConfigError(f"{type(self).__name__}.blocks is {self.blocks!r}: give 0 or a whole number above")
        if self.width % self.heads:
            raise ConfigError(f"{type(self).__name__}: width {self.width} is not a multiple of its {self.heads} heads")
        _share(self, "dropout", "drop_path")


@dataclass(frozen=True)
class BiLSTMConfig(SignalConfig):
    """A bidirectional LSTM over the centre cell's series; `hidden` units a direction."""

    hidden: int = 96
    layers: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("hidden", "layers"):
            _positive(self, name)


@dataclass(frozen=True)
class ConvLSTMConfig(SignalConfig):
    """A convolutional LSTM over the neighbourhood (Shi et al. 2015).

    Attributes:
        hidden, layers: channels of the state, layers.
        peepholes: the W_c terms of the equations.
        neighbour_dropout: in training, the share of a sample's neighbours that are hidden at all steps; the centre
            never is. Without it a few thousand samples are learned by heart through their surroundings.
    """

    hidden: int = 32
    layers: int = 2
    peepholes: bool = False
    neighbour_dropout: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("hidden", "layers"):
            _positive(self, name)
        _share(self, "neighbour_dropout")


SIGNALS: dict[str, type[SignalConfig]] = {"bilstm": BiLSTMConfig, "convlstm": ConvLSTMConfig}


@dataclass(frozen=True)
class NetworkConfig:
    """One network: one stream, or two and their fusion.

    Attributes:
        vision, signal: the streams; None: absent.
        fusion: None for one stream; "late" (concatenation and a linear head) or "bottleneck" (MBT) for two.
        fusion_layer: Lf, levels that run alone before fusion begins, 0 to L, the smaller depth (bottleneck only).
        bottlenecks: B, bottleneck tokens (bottleneck only).
        dropout: before the head.
    """

    vision: VisionConfig | None = None
    signal: SignalConfig | None = None
    fusion: str | None = None
    fusion_layer: int = 2
    bottlenecks: int = 4
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.vision is None and self.signal is None:
            raise ConfigError("a network needs a vision stream, a signal stream, or both")
        both = self.vision is not None and self.signal is not None
        if both and self.fusion not in FUSIONS:
            raise ConfigError(f"fusion {self.fusion!r} of two streams is unknown: use one of {', '.join(FUSIONS)}")
        if not both and self.fusion is not None:
            raise ConfigError(f"fusion {self.fusion!r} needs two streams: only one is configured")
        if not isinstance(self.fusion_layer, int) or self.fusion_layer < 0:
            raise ConfigError(f"fusion_layer is {self.fusion_layer!r}: give a whole number from 0 to the smaller depth")
        _positive(self, "bottlenecks")
        _share(self, "dropout")

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
        known = _known(cls, values)
        if known.get("vision") is not None:
            known["vision"] = VisionConfig(**_known(VisionConfig, known["vision"]))
        if known.get("signal") is not None:
            if not isinstance(known["signal"], Mapping):
                raise ConfigError(f"the signal stream is {known['signal']!r}: give a table with its kind and options")
            signal = dict(known["signal"])
            kind = signal.pop("kind", None)
            if kind not in SIGNALS:
                raise ConfigError(f"signal stream {kind!r} is unknown: use one of {', '.join(SIGNALS)}")
            known["signal"] = SIGNALS[kind](**_known(SIGNALS[kind], signal))
        return cls(**known)


def _known(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{cls.__name__} is {values!r}: give a table of its options")
    names = [field.name for field in fields(cls)]
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise ConfigError(f"{cls.__name__} has no option {', '.join(map(repr, unknown))}: it has {', '.join(names)}")
    return dict(values)


def _positive(config: object, name: str) -> None:
    value = getattr(config, name)
    annotation = next(field.type for field in fields(config) if field.name == name)  # type: ignore[arg-type]
    whole = "float" not in str(annotation)
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not value > 0:
        raise ConfigError(
            f"{type(config).__name__}.{name} is {value!r}: give a {'whole ' if whole else ''}number above 0"
        )


def _share(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
            raise ConfigError(f"{type(config).__name__}.{name} is {value!r}: give a number from 0 to below 1")


def _one_of(config: object, name: str, choices: tuple[str, ...]) -> None:
    value = getattr(config, name)
    if value not in choices:
        raise ConfigError(f"{type(config).__name__}.{name} is {value!r}: use one of {', '.join(choices)}")
