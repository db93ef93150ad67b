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


def small_meta(**changes: object) -> SampleMeta:
    """Return the meta of `small_arrays`."""
    values: dict = {
        "steps": 2, "channels": 4, "channel_measure": (0, 0, 1, 1), "measures": ("people", "inflow"), "chip_px": 2,
        "k": 1, "classes": ("a", "b", "c"), "channel_names": ("p1", "p2", "i1", "i2"),
    }  # fmt: skip
    return tiny_meta(**{**values, **changes})


def small_arrays() -> dict[str, np.ndarray]:
    """Return six samples over five places; rows 0 and 1 read places 0 to 2 only, place 3 is missing at step 0."""
    rng = np.random.default_rng(5)
    neighbours = rng.integers(-1, 5, (6, 3, 3))
    neighbours[:2] = rng.integers(-1, 3, (2, 3, 3))
    neighbours[:, 0, 2] = neighbours[:, 2, 0] = -1
    neighbours[0, 0] = [0, 1, -1]
    neighbours[1, 1] = [2, 1, 0]
    neighbours[5, 1, 1] = 3
    state = rng.choice(3, (5, 2, 4), p=[0.6, 0.2, 0.2])
    state[3, 0] = 2
    return {
        "images": rng.integers(0, 256, (6, 3, 2, 2), dtype=np.uint8),
        "series": rng.poisson(20.0, (5, 2, 4)).astype(np.float32),
        "state": state.astype(np.uint8),
        "neighbours": neighbours.astype(np.int32),
        "labels": np.array([0, 1, 2, -1, 1, 0], dtype=np.int16),
        "ids": np.array(list("abcdef"), dtype="<U15"),
        "groups": np.array([1, 1, 2, 2, 3, 3], dtype=np.int64),
        "position": np.arange(12, dtype=np.float64).reshape(6, 2) * 1000,
    }
