"""The known answer of a synthetic city, for those who measure runs on it; a real city has none."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fusion.city import City
from fusion.geo.grid import from_hex
from fusion.synthetic.ceilings import NEAR_RULES, RULES, ceilings, load_truth


@dataclass(frozen=True)
class KnownCeilings:
    """From the ids of test cells to the best accuracy by rule: image, signal, additive, joint, oracle; and of image or
    signal with the neighbours' own, which a chip shows at its rim and ConvLSTM reads.

    A value object, not a closure, so that it travels to the worker processes of an ablation.
    """

    city_path: Path

    def __call__(self, ids: np.ndarray) -> dict[str, float]:
        cells = from_hex([str(cell) for cell in ids])
        table = ceilings(load_truth(self.city_path), cells, rules=(*RULES, *NEAR_RULES))
        return {str(rule): float(accuracy) for rule, accuracy in zip(table["rule"], table["accuracy"], strict=True)}


def known_ceilings(city: City) -> KnownCeilings | None:
    """Return what tells the ceilings of a city's cells, None for a city without a known answer."""
    return KnownCeilings(city.path) if (city.path / "truth.json").is_file() else None
