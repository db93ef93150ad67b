"""The damages that robustness is measured under, by name and graded strength. No torch here: pages name them too."""

from dataclasses import dataclass

NONE, IMAGE_ABSENT, SIGNAL_ABSENT = "none", "image-absent", "signal-absent"
HOURS_MISSING, CLOUD, SHIFT, NOISE = "hours-missing", "cloud", "shift", "noise"

UNITS = {
    NONE: "",
    IMAGE_ABSENT: "",
    SIGNAL_ABSENT: "",
    HOURS_MISSING: "share of the time steps",
    CLOUD: "share of the chip",
    SHIFT: "m",
    NOISE: "deviation, scaled log units",
}


@dataclass(frozen=True)
class Condition:
    """One damage at test time.

    Attributes:
        name: a key of `UNITS`.
        strength: in the unit of `UNITS`; 0 for "none", 1 for an absent modality.
        touches: the stream whose input it damages, "vision" or "signal"; None for "none".
    """

    name: str
    strength: float
    touches: str | None


def _graded(name: str, touches: str, *strengths: float) -> tuple[Condition, ...]:
    return tuple(Condition(name, strength, touches) for strength in strengths)


CONDITIONS: tuple[Condition, ...] = (
    Condition(NONE, 0.0, None),
    Condition(IMAGE_ABSENT, 1.0, "vision"),
    Condition(SIGNAL_ABSENT, 1.0, "signal"),
    *_graded(CLOUD, "vision", 0.25, 0.5, 0.75),
    *_graded(SHIFT, "vision", 24.0, 48.0, 96.0),
    *_graded(HOURS_MISSING, "signal", 0.25, 0.5, 0.75),
    *_graded(NOISE, "signal", 0.1, 0.2, 0.4),
)
