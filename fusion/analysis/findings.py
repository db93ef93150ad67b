"""What an explanation of one answer holds, and which models cannot be explained in which way. No torch here.

An answer is explained for the class that the model predicts from both modalities, in that class's calibrated
probability: the number that the pages show, in which contributions are points and add up.
"""

from dataclasses import dataclass

import numpy as np

from fusion.models.config import NetworkConfig

LIMITS = {
    "no-image": "the model reads no image, so there is nowhere on the chip that it could have looked",
    "merged": "the model merges tokens before fusion, after which a token is no longer one patch of the chip",
    "no-signal": "the model reads no signaling, so no hour can have mattered",
    "one-modality": "the model reads one modality, which gave all of the answer",
    "no-absent-tokens": "the model was not trained with modality dropout, so it has no token that stands for an absent "
    "modality: train one with absent_tokens and modality_dropout",
}


def rollout_limit(config: NetworkConfig) -> str | None:
    """Return the key of `LIMITS` that says why attention cannot be rolled out on the chip; None where it can."""
    if config.vision is None:
        return "no-image"
    return "merged" if config.merge else None


def hours_limit(config: NetworkConfig) -> str | None:
    """Return the key of `LIMITS` that says why hours cannot be occluded; None where they can."""
    return "no-signal" if config.signal is None else None


def shapley_limit(config: NetworkConfig) -> str | None:
    """Return the key of `LIMITS` that says why modalities have no Shapley values; None where they have."""
    if config.vision is None or config.signal is None:
        return "one-modality"
    return None if config.absent_tokens else "no-absent-tokens"


@dataclass(frozen=True, eq=False)
class Rollout:
    """Where the class token's attention flowed from: a description of the forward pass, no proof of cause.

    Attributes:
        patches: (G,G) share of each patch of the chip, north up, row by row.
        class_share: what stayed with the class token itself; `patches` and this add up to 1.
        elsewhere: (L,) at each block, lowest first, the share of the image tokens' attention that went to tokens which
            are not the image's (bottlenecks, signaling). It is left out, and the rest scaled up to 1.
    """

    patches: np.ndarray
    class_share: float
    elsewhere: np.ndarray


@dataclass(frozen=True, eq=False)
class Occlusion:
    """How the predicted class's probability changes when one time step is made missing.

    Attributes:
        predicted: class index.
        probability: of that class, from the whole input.
        support: (T,) that probability minus the one without the step: positive where the step spoke for the answer;
            NaN where nothing was there to be taken away.
    """

    predicted: int
    probability: float
    support: np.ndarray


@dataclass(frozen=True)
class Shapley:
    """What each modality gave to the predicted class's probability.

    Attributes:
        predicted: class index.
        nothing, image_only, signal_only, both: the four evaluations of that class's probability.
    """

    predicted: int
    nothing: float
    image_only: float
    signal_only: float
    both: float

    @property
    def image(self) -> float:
        """The image's Shapley value: its mean gain over the two orders in which the modalities can come."""
        return ((self.image_only - self.nothing) + (self.both - self.signal_only)) / 2

    @property
    def signal(self) -> float:
        """The signaling's Shapley value; with the image's it adds up to `both - nothing`."""
        return ((self.signal_only - self.nothing) + (self.both - self.image_only)) / 2

    @property
    def interaction(self) -> float:
        """What the two give together beyond what each gives alone; each value holds half of it."""
        return self.both - self.image_only - self.signal_only + self.nothing
