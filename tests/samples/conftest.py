"""Synthetic geometry for the folds: real H3 cells, made-up sites, no map-side code under test but the grid."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fusion.classes import IDS
from fusion.geo import grid
from fusion.samples.sampleset import SampleMeta, SampleSet, write_sampleset

CENTRE = (113.65, 34.76)  # longitude, latitude
PRIOR = np.array([0.36, 0.1, 0.14, 0.02, 0.03, 0.1, 0.12, 0.08, 0.05])


def tiny_meta(**changes: object) -> SampleMeta:
    """Return the meta of a set with one step, one channel and chips of one pixel."""
    values: dict = {
        "city": "testville", "provenance": "synthetic", "layout": "days", "steps": 1, "channels": 1,
        "channel_measure": (0,), "measures": ("people",), "timezone": "Asia/Shanghai", "first_hour": None,
        "chip_px": 1, "chip_m": 384.0, "k": 2, "grid": "hex", "resolution": 9, "classes": IDS,
        "city_fingerprint": "none", "channel_names": ("people",),
    }  # fmt: skip
    return SampleMeta(**{**values, **changes})


def write_geometry(
    folder: Path, half_x_km: float, half_y_km: float, k: int = 2, labelled: float = 0.83, **changes: object
) -> SampleSet:
    """Write a set of every resolution-9 cell in an elliptic city; labels come in sites of some six adjacent cells."""
    rng = np.random.default_rng(7)
    lon0, lat0 = CENTRE
    reach = (half_x_km / 91.4, half_y_km / 110.9)
    cells = grid.cells_in_bounds((lon0 - reach[0], lat0 - reach[1], lon0 + reach[0], lat0 + reach[1]), 9)
    lon, lat = grid.centres(cells)
    cells = cells[(np.abs((lon - lon0) / reach[0]) ** 4 + np.abs((lat - lat0) / reach[1]) ** 4) < 1]
    lon, lat = grid.centres(cells)
    x, y = grid.project(lon, lat, grid.utm_crs(*CENTRE))
    position = np.stack([x, y], axis=1)
    seeds = position[rng.choice(len(cells), max(len(cells) // 6, 1), replace=False)]
    site = np.array([np.hypot(*(seeds - point).T).argmin() for point in position])
    function = rng.choice(len(IDS), size=len(seeds), p=PRIOR)
    function[rng.random(len(seeds)) > labelled] = -1
    return write_sampleset(
        folder,
        tiny_meta(k=k, **changes),
        images=np.zeros((len(cells), 3, 1, 1)),
        series=np.zeros((len(cells), 1, 1)),
        state=np.zeros((len(cells), 1, 1)),
        neighbours=grid.neighbourhoods(cells, cells, k),
        labels=function[site],
        ids=grid.to_hex(cells),
        groups=grid.parents(cells).astype(np.int64),
        position=position,
    )


@pytest.fixture(scope="session")
def round_city(tmp_path_factory: pytest.TempPathFactory) -> SampleSet:
    """A round city of 24 x 22 km with some 6,000 cells."""
    return write_geometry(tmp_path_factory.mktemp("geometry") / "round", 12.2, 11.2)


@pytest.fixture
def geometry(tmp_path: Path) -> Callable[..., SampleSet]:
    """Write further cities: geometry(half_x_km, half_y_km, ...)."""
    return lambda *sizes, **changes: write_geometry(tmp_path / "city", *sizes, **changes)
