"""The named rows: what each trains, the command, and the score to expect on the demo city.

Names (design: "names that other code relies on"): streams joined by `+`, fusion and options by `-`. No torch here.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from fusion.errors import ConfigError
from fusion.models.config import BiLSTMConfig, ConvLSTMConfig, NetworkConfig, VisionConfig


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained. The defaults were chosen on validation folds (docs/decisions, reference training).

    Attributes:
        epochs: at most; the cosine ends there.
        batch_size: samples a step.
        lr, weight_decay: of AdamW; biases and norms do not decay.
        warmup: share of all steps with a linearly growing rate.
        clip: largest norm of the gradient.
        label_smoothing: probability given to all classes alike.
        class_balanced: the loss weighs a class by its frequency to the power of minus this; 0 off, 1 fully balanced.
        patience: stop after so many epochs without a better validation macro-F1.
        turn: turn and mirror chips and neighbourhoods.
        light_jitter: deviation of a chip's random gain and offset, in deviations of the image.
        series_noise, series_shift: deviation of the noise on each value and of one shift a sample, scaled log units.
        mixup: parameter of the Beta distribution; 0 off.
        modality_dropout: probability that a sample loses its chip or its cube; 0 off.
    """

    epochs: int = 10
    batch_size: int = 32
    lr: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.1
    clip: float = 1.0
    label_smoothing: float = 0.1
    class_balanced: float = 1.0
    patience: int = 6
    turn: bool = True
    light_jitter: float = 0.1
    series_noise: float = 0.05
    series_shift: float = 0.3
    mixup: float = 0.0
    modality_dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience", "lr", "clip"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"training option {name} is {getattr(self, name)!r}: give a number above 0")
        for name in ("weight_decay", "light_jitter", "series_noise", "series_shift", "mixup"):
            if getattr(self, name) < 0:
                raise ConfigError(f"training option {name} is {getattr(self, name)!r}: give 0 or more")
        for name in ("warmup", "label_smoothing", "class_balanced", "modality_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"training option {name} is {getattr(self, name)!r}: give a share from 0 to 1")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the configuration that `dataclasses.asdict` wrote.

        Raises:
            ConfigError: an unknown option.
        """
        names = [field.name for field in fields(cls)]
        if unknown := sorted(set(values) - set(names)):
            raise ConfigError(f"no training option {', '.join(unknown)}: there are {', '.join(names)}")
        return cls(**values)


@dataclass(frozen=True)
class Experiment:
    """One named row.

    Attributes:
        name: the row's name, lower case.
        what: what it is, in a sentence.
        expected: overall accuracy on the demo city's three folds, as the reference runs found it, with the
            95 % interval of a block bootstrap.
        network, training: the two configurations.
        layout: layout of time of its samples, "days" or "hours".
        k: radius of its samples' neighbourhood, cells.
        partners: names of the rows that train its image and its signal stream alone; None for one stream.
    """

    name: str
    what: str
    expected: str
    network: NetworkConfig
    training: TrainingConfig
    layout: str = "days"
    k: int = 2
    partners: tuple[str, str] | None = None

    @property
    def command(self) -> str:
        """The command that trains its first fold as the reference runs do."""
        return f"python -m fusion train {self.name} --city zhengzhou-demo --fold 0 --folds 3"

    @property
    def description(self) -> str:
        """What it is, the command and the score to expect."""
        return f"{self.what} `{self.command}`; expected accuracy on the demo city: {self.expected}."

    def to_dict(self) -> dict[str, Any]:
        """Return what a run depends on as nested plain values: the name and words are left out."""
        return {
            "network": self.network.to_dict(),
            "training": asdict(self.training),
            "layout": self.layout,
            "k": self.k,
        }


_VIT = VisionConfig.parse("vit 4x192, patch 16")
_BILSTM = BiLSTMConfig()
_CONVLSTM = ConvLSTMConfig()
_TOKENS = ConvLSTMConfig(blocks=2)

_ROWS = (
    Experiment(
        "vit",
        "A ViT of 4 blocks of 192 on the chip alone, from scratch.",
        "50.3 % [47.7, 52.8]",
        NetworkConfig(vision=_VIT),
        TrainingConfig(),
    ),
    Experiment(
        "bilstm",
        "Two bidirectional LSTM layers on the cell's own series alone.",
        "56.9 % [54.4, 59.4]",
        NetworkConfig(signal=_BILSTM),
        TrainingConfig(),
    ),
    Experiment(
        "convlstm",
        "Two ConvLSTM layers on the series of the cell and its neighbours alone.",
        "57.0 % [54.6, 59.4]",
        NetworkConfig(signal=_CONVLSTM),
        TrainingConfig(),
    ),
    Experiment(
        "vit+bilstm-late",
        "The user's own: ViT and BiLSTM, concatenated before the head (reported by the user, own data set: 53.3 %).",
        "65.4 % [62.8, 67.9]",
        NetworkConfig(vision=_VIT, signal=_BILSTM, fusion="late"),
        TrainingConfig(),
        partners=("vit", "bilstm"),
    ),
    Experiment(
        "vit+convlstm-late",
        "The user's plan without pretraining: ViT and ConvLSTM, concatenated before the head.",
        "66.5 % [64.3, 68.7]",
        NetworkConfig(vision=_VIT, signal=_CONVLSTM, fusion="late"),
        TrainingConfig(),
        partners=("vit", "convlstm"),
    ),
    Experiment(
        "vit+convlstm-bottleneck",
        "ViT and, on ConvLSTM's hourly tokens, two transformer blocks that meet the ViT's upper two through four "
        "bottleneck tokens (MBT, Nagrani et al. 2021).",
        "71.7 % [69.2, 74.3]",
        NetworkConfig(vision=_VIT, signal=_TOKENS, fusion="bottleneck", fusion_layer=0, bottlenecks=4),
        TrainingConfig(),
        partners=("vit", "convlstm"),
    ),
)

EXPERIMENTS: dict[str, Experiment] = {row.name: row for row in _ROWS}


def experiment_named(name: str) -> Experiment:
    """Return the row of that name.

    Raises:
        ConfigError: there is none; the message lists those there are.
    """
    try:
        return EXPERIMENTS[name]
    except KeyError:
        raise ConfigError(f"unknown experiment {name!r}: there are {', '.join(EXPERIMENTS)}") from None
