"""Colour scales of the activity map: few steps with round edges, the same at every hour, so that hours compare.

Sequential: ColorBrewer's YlOrRd, seven classes; diverging: PuOr (C. Brewer, colorbrewer2.org, Apache 2.0), both
safe for colour-blind readers. Purple is fewer than usual, orange more.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusion import store
from fusion.city import City, open_city
from fusion.errors import InputError
from fusion.serving.addresses import Stamp, stamp

VIEWS = ("value", "usual")

SEQUENTIAL = ("#ffffb2", "#fed976", "#feb24c", "#fd8d3c", "#fc4e2a", "#e31a1c", "#b10026")
DIVERGING = ("#542788", "#8073ac", "#b2abd2", "#f7f7f7", "#fdb863", "#e08214", "#b35806")
SUPPRESSED_COLOUR = "#8b95a1"
MISSING_COLOUR = "#5d6873"

# Ratio to the usual hour; symmetric in the logarithm, with a wide middle: a fifth more or less is an ordinary day.
RATIO_EDGES = (1 / 3, 1 / 2, 4 / 5, 5 / 4, 2.0, 3.0)

_SHARES = (0.15, 0.35, 0.55, 0.75, 0.9, 0.97)  # finer at the top, where the places are that one looks for


@dataclass(frozen=True)
class Scale:
    """Steps of colour: `edges` (n - 1,) ascending between `colours` (n,), "#rrggbb"; step `faint` weighs half."""

    edges: tuple[float, ...]
    colours: tuple[str, ...]
    faint: int | None = None

    @property
    def alphas(self) -> tuple[int, ...]:
        """Opacity of each step, 0 to 255."""
        return tuple(110 if step == self.faint else 255 for step in range(len(self.colours)))

    def steps(self, values: ArrayLike) -> NDArray[np.intp]:
        """Return the step of each value, 0 to n - 1; a value on an edge belongs above it."""
        return np.searchsorted(np.asarray(self.edges), np.asarray(values, dtype=float), side="right")


def scale_of(city: City, measure: str, resolution: int | None = None, view: str = "value") -> Scale:
    """Return the scale of one measure at one resolution, fixed over the hours.

    Raises:
        InputError: the city has no such measure, or there is no such view or resolution.
        CityError: the city has no signaling.
    """
    if view not in VIEWS:
        raise InputError(f"unknown view {view!r}: use one of {', '.join(VIEWS)}")
    city.info.measure(measure)
    if view == "usual":
        # What is as usual steps back behind what is not.
        return Scale(RATIO_EDGES, DIVERGING, faint=3)
    return _value_scale(stamp(city.path / "city.toml"), stamp(city.activity), measure, resolution)


@lru_cache(maxsize=64)
def _value_scale(description: Stamp, activity: Stamp, measure: str, resolution: int | None) -> Scale:
    city = open_city(Path(description.path).parent)
    return value_scale(store.values(city, measure, resolution))


def value_scale(values: NDArray[np.float64]) -> Scale:
    """Return the sequential scale of some values: round edges near their quantiles.

    Values without spread give fewer steps, down to one.
    """
    positive = values[values > 0]
    if not len(positive):
        return Scale((), SEQUENTIAL[:1])
    edges = sorted({round_edge(edge) for edge in np.quantile(positive, _SHARES)})
    picked = np.linspace(0, len(SEQUENTIAL) - 1, len(edges) + 1).round().astype(int)
    return Scale(tuple(edges), tuple(SEQUENTIAL[step] for step in picked))


def round_edge(value: float) -> float:
    """Round a positive number to the nearest of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(value))
    choices = np.array([1, 1.5, 2, 3, 4, 5, 6, 8, 10])
    nearest = choices[np.abs(np.log(choices) - np.log(value / power)).argmin()]
    return float(f"{nearest * power:.6g}")


def rgb(colour: str) -> tuple[int, int, int]:
    """Return the three bytes of "#rrggbb"."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
