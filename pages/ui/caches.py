"""The one cache of the pages: every answer that is kept has the files it came from in its key.

A key carries each file's path, size and modification time in nanoseconds, so that a city that is ingested again or a
run that is trained anew is read anew, by every session, without a restart.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from fusion import city as cities_on_disk
from fusion import store
from fusion.city import City
from fusion.serving.addresses import Stamp, stamp
from fusion.serving.scale import Scale, scale_of
from fusion.serving.tiles import chip_of_cell


def remember(question: Callable[..., Any], files: Iterable[Path], *arguments: Any) -> Any:
    """Return `question(*arguments)`, kept until one of the files changes.

    Args:
        question: a function of a module (its module and name are part of the key).
        files: what the answer depends on.
        arguments: hashable, or a City (known by its folder; its files must be in `files`).
    """
    name = f"{question.__module__}.{question.__qualname__}"
    key = tuple(str(item.path) if isinstance(item, City) else item for item in arguments)
    return _remember(name, tuple(stamp(file) for file in files), key, question, arguments)


@st.cache_data(show_spinner=False, max_entries=400)
def _remember(name: str, stamps: tuple[Stamp, ...], key: tuple, _question: Callable, _arguments: tuple) -> Any:
    return _question(*_arguments)


def cities() -> list[City]:
    """Return the cities there are, by name."""
    return cities_on_disk.list_cities()


def snapshot(city: City, hour: pd.Timestamp, measure: str, resolution: int | None = None) -> pd.DataFrame:
    """As `fusion.store.snapshot`."""
    return remember(store.snapshot, _tables(city), city, hour, measure, resolution)


def usual(city: City, hour: pd.Timestamp, measure: str, resolution: int | None = None) -> pd.DataFrame:
    """As `fusion.store.usual`."""
    return remember(store.usual, _tables(city), city, hour, measure, resolution)


def profile(city: City, cell: int, measure: str, resolution: int | None = None) -> pd.DataFrame:
    """As `fusion.store.profile`."""
    return remember(store.profile, _tables(city), city, cell, measure, resolution)


def totals(city: City, measure: str) -> pd.DataFrame:
    """As `fusion.store.totals`."""
    return remember(store.totals, _tables(city), city, measure)


def functions(city: City) -> pd.DataFrame:
    """As `fusion.store.functions`."""
    return remember(store.functions, _tables(city), city)


def coverage(city: City) -> dict[str, float | int]:
    """As `fusion.store.coverage`."""
    return remember(store.coverage, _tables(city), city)


def cells(city: City, resolution: int | None = None) -> Any:
    """As `fusion.store.cells`: (N,) uint64, the fixed order of every map."""
    return remember(store.cells, _tables(city), city, resolution)


def scale(city: City, measure: str, resolution: int | None = None, view: str = "value") -> Scale:
    """As `fusion.serving.scale.scale_of`: the colours of the activity map, which the server's own route shares."""
    return scale_of(city, measure, resolution, view)


def chip(city: City, cell: int, edge_m: float, size_px: int = 320) -> np.ndarray | None:
    """As `fusion.serving.tiles.chip`, with the cell's outline: (size_px, size_px, 3) uint8 or None."""
    return remember(chip_of_cell, (city.imagery,), city, cell, edge_m, size_px)


def _tables(city: City) -> tuple[Path, ...]:
    return city.path / "city.toml", city.activity, city.functions
