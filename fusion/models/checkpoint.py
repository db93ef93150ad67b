"""A trained network on disk: `model.safetensors` and `model.json`, which says what it is and how to feed it."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model

from fusion.classes import IDS
from fusion.errors import ConfigError, RunError
from fusion.models import MODEL_VERSION
from fusion.models.config import InputSpec, NetworkConfig
from fusion.models.network import Network, build_network

WEIGHTS = "model.safetensors"
CARD = "model.json"


@dataclass(frozen=True)
class ModelCard:
    """What a checkpoint is.

    Attributes:
        network, spec: what the network is built from.
        scalers: `Scalers.to_dict()` of the training fold.
        temperature: divides the corrected logits before softmax; fitted on the validation fold.
        log_weights: (classes,) log of the class weights of the training loss, taken out of the logits before the
            temperature (prior correction); empty = the loss was not weighted.
        experiment: the experiment's name.
        classes: class ids in the order of the logits.
        model_version: `MODEL_VERSION` of the code that trained it.
    """

    network: NetworkConfig
    spec: InputSpec
    scalers: dict[str, Any]
    temperature: float
    experiment: str
    log_weights: tuple[float, ...] = ()
    classes: tuple[str, ...] = IDS
    model_version: int = MODEL_VERSION

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "network": self.network.to_dict(), "classes": list(self.classes)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Raises ConfigError on an unknown or missing key, here or in the network's configuration."""
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            raise ConfigError(f"keys missing or unknown: {', '.join(sorted(set(values) ^ names))}")
        temperature = values["temperature"]
        if not isinstance(temperature, (int, float)) or not (math.isfinite(temperature) and temperature > 0):
            raise ConfigError(f"temperature is {temperature!r}, not a number above 0")
        log_weights = tuple(values["log_weights"])
        if len(log_weights) not in (0, len(values["classes"])) or not all(map(math.isfinite, log_weights)):
            raise ConfigError(f"log_weights are {log_weights}, not one finite number a class")
        return cls(
            **{
                **values,
                "log_weights": log_weights,
                "network": NetworkConfig.from_dict(values["network"]),
                "spec": InputSpec.from_dict(values["spec"]),
                "classes": tuple(values["classes"]),
            }
        )


def save_checkpoint(folder: Path, network: Network, card: ModelCard) -> None:
    """Write a network and its card into a folder; each file appears whole or not at all.

    Raises:
        RunError: the card has another number of classes than the network.
    """
    if len(card.classes) != network.spec.classes:
        raise RunError(f"{len(card.classes)} classes for a network of {network.spec.classes}: name one class a logit")
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / (WEIGHTS + ".new")
    save_model(network, str(partial))
    partial.replace(folder / WEIGHTS)
    partial = folder / (CARD + ".new")
    partial.write_text(json.dumps(card.to_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(folder / CARD)


def load_card(folder: Path) -> ModelCard:
    """Return the card of a checkpoint.

    Raises:
        RunError: no or a torn `model.json`, other classes than this program's, or another model version.
    """
    path = folder / CARD
    try:
        card = ModelCard.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise RunError(f"{folder} has no {CARD}: it is not a finished run, train it again or choose another") from None
    except (OSError, ValueError, TypeError, AttributeError, ConfigError) as error:
        raise RunError(f"{path} is torn or foreign ({_line(error)}): train the run again") from error
    if card.classes != IDS:
        raise RunError(f"{path} knows other classes ({', '.join(card.classes)}): this program needs {', '.join(IDS)}")
    if card.model_version != MODEL_VERSION:
        raise RunError(
            f"{path} is of model version {card.model_version}, this program has {MODEL_VERSION}: train it again"
        )
    return card


def load_checkpoint(folder: Path, device: str | torch.device = "cpu") -> tuple[Network, ModelCard]:
    """Return the network of a checkpoint, ready to predict on `device`, and its card.

    Raises:
        RunError: as `load_card`; or weights that are absent, torn or of another network.
    """
    card = load_card(folder)
    path = folder / WEIGHTS
    try:
        network = build_network(card.network, card.spec, initial_weights=False)
    except ConfigError as error:
        raise RunError(f"{folder / CARD} describes no network that can be built: {error}") from error
    if not path.is_file():
        raise RunError(f"{folder} has no {WEIGHTS}: it is not a finished run, train it again or choose another")
    try:
        load_model(network, path)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise RunError(f"{path} is torn or of another network ({_line(error)}): train the run again") from error
    return network.to(device).eval(), card


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
