"""What a row of an ablation is: the configuration of a training and of a network, under a name. No torch here."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from fusion.errors import ConfigError
from fusion.models.checks import check_kinds
from fusion.models.config import NetworkConfig

UNMEASURED = "not measured yet"
PATCH_OPTION = "network.vision.patch"  # whoever sets it gets this edge, whether or not it divides the chips
_PYTHON = {"True": True, "False": False, "None": None}  # as Python spells JSON's true, false and null


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained. The defaults were chosen on validation folds (docs/decisions, reference training).

    Attributes:
        epochs: at most; the cosine ends there.
        batch_size: samples a step.
        lr, weight_decay: of AdamW; biases and norms do not decay, tokens and positions do.
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
        check_kinds(self, "training option ")
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
        network, training: the two configurations.
        layout: layout of time of its samples, "days" or "hours".
        k: radius of its samples' neighbourhood, cells.
        partners: names of the rows that train its image and its signal stream alone; None for one stream.
        expected: overall accuracy on the demo city's three folds, as the reference runs found it, with the
            95 % interval of a block bootstrap.
    """

    name: str
    what: str
    network: NetworkConfig
    training: TrainingConfig
    layout: str = "days"
    k: int = 2
    partners: tuple[str, str] | None = None
    expected: str = UNMEASURED

    @property
    def command(self) -> str:
        """The command that trains its first fold as the reference runs do."""
        return f"python -m fusion train {self.name} --city zhengzhou-demo --fold 0 --folds 3"

    @property
    def description(self) -> str:
        """What it is, the command and the score to expect."""
        return f"{self.what} `{self.command}`; expected accuracy on the demo city: {self.expected}."

    def with_options(self, options: Mapping[str, str]) -> "Experiment":
        """Return this row with options changed, under a name of its own, so that its runs mix with no other's.

        Args:
            options: dotted key -> value as text: `training.epochs`, `network.fusion_layer`, `network.vision.patch`,
                `network.signal.hidden`, `network.coupling.strength`; a value is JSON, or True, False or None as
                Python spells them, or else a plain text.

        Raises:
            ConfigError: an unknown key, or a value that does not fit.
        """
        if not options:
            return self
        recipe: dict[str, Any] = {"network": self.network.to_dict(), "training": asdict(self.training)}
        for key, text in options.items():
            *path, last = key.split(".")
            place: Any = recipe
            for part in path:
                place = place.get(part) if isinstance(place, dict) else None
            if not path or not isinstance(place, dict) or last not in place:
                known = sorted(place) if path and isinstance(place, dict) else ["network.<option>", "training.<option>"]
                raise ConfigError(f"{self.name} has no option {key!r}: there are {', '.join(known)}")
            try:
                place[last] = json.loads(text)
            except ValueError:
                place[last] = _PYTHON.get(text, text)
        try:
            network = NetworkConfig.from_dict(recipe["network"])
            training = TrainingConfig.from_dict(recipe["training"])
        except TypeError as error:  # an option without a default is missing
            raise ConfigError(f"{self.name} with {dict(options)}: a value of the wrong kind ({error})") from None
        digits = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:6]
        changed = ", ".join(f"{key}={text}" for key, text in options.items())
        return dataclasses.replace(
            self, name=f"{self.name}-x{digits}", what=f"{self.what} With {changed}.", expected=UNMEASURED,
            network=network, training=training,
        )  # fmt: skip

    def fitted_to(self, chip_px: int) -> "Experiment":
        """Return this row with the patch edge nearest to its own that divides a chip; itself where its own does.

        Chips of a map are cut to fit the rows; those of a set that comes as it is (URFC: 100 px) are not. A named model
        or a file of weights has its own patches, and stays as it is.

        Args:
            chip_px: edge of the chips, pixels.
        """
        vision = self.network.vision
        if vision is None:
            return self
        network = dataclasses.replace(self.network, vision=vision.fitted_to(chip_px))
        return dataclasses.replace(self, network=network)

    def to_dict(self) -> dict[str, Any]:
        """Return what a run depends on as nested plain values: the name and words are left out."""
        return {
            "network": self.network.to_dict(),
            "training": asdict(self.training),
            "layout": self.layout,
            "k": self.k,
        }
