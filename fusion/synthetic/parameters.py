"""What can be turned about a synthetic city: its box, how its functions mix, and how strong the nuisances are."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from fusion.errors import InputError


@dataclass(frozen=True)
class Parameters:
    """One synthetic city, up to its seed.

    `kappa` is the share of the interaction in P(appearance, rhythm | function): 0 makes late fusion optimal by
    construction. `table_noise` is the share of sites whose appearance (and, drawn apart, rhythm) says nothing.
    `image_nuisance` and `signal_nuisance` scale orientation, scale, haze and season on one side and phase, level and
    noise on the other: 1 is the demo city, 0 has none.
    """

    centre_lon: float = 113.662
    centre_lat: float = 34.758
    width_m: int = 24_000
    height_m: int = 22_000
    pixel_m: int = 4
    resolution: int = 9
    margin_m: int = 204  # a chip of 384 m around every cell's centre lies within the imagery
    filler_share: float = 0.19
    kappa: float = 0.80
    table_noise: float = 0.04
    affinity: float = 0.50
    image_nuisance: float = 1.0
    signal_nuisance: float = 1.0
    people: float = 150.0  # typical count of a cell and hour
    min_count: int = 15

    def to_dict(self) -> dict[str, Any]:
        """Return the plain values, for truth.json."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Parameters":
        """Read `to_dict` back.

        Raises:
            InputError: a key is unknown.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise InputError(f"synthetic city's parameters: {error}; see fusion.synthetic.parameters") from None


DEMO = Parameters()
PRESETS: dict[str, Parameters] = {
    "demo": DEMO,
    "easy": replace(DEMO, table_noise=0.01, kappa=0.95, image_nuisance=0.4, signal_nuisance=0.4),
    "hard": replace(DEMO, table_noise=0.12, image_nuisance=1.4, signal_nuisance=1.8),
    "hopeless": replace(DEMO, table_noise=1.0, kappa=0.0, affinity=0.0),
    "late-suffices": replace(DEMO, kappa=0.0),
}
# About 400 cells in a few seconds: what tests build.
TINY = replace(DEMO, width_m=6_400, height_m=6_000)


def preset(name: str) -> Parameters:
    """Return a named city's parameters.

    Raises:
        InputError: there is no such preset.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise InputError(f"no synthetic city {name!r}: have {', '.join(PRESETS)}") from None
