"""The distinct places and times of an export to cells and hours, whatever kind of place its columns hold."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.errors import InputError
from fusion.geo.grid import Bounds
from fusion.ingest.columns import Roles
from fusion.ingest.lattice import grid_of_options
from fusion.ingest.numerals import plain_ids
from fusion.ingest.options import SignalingOptions
from fusion.ingest.places import Places, places_at_points, places_of_cells, places_of_grid, places_of_wkt
from fusion.ingest.presets import Preset
from fusion.ingest.times import HOUR_US, hours_of, instants_of, join_date_and_hour
from fusion.ingest.towers import Towers, places_of_towers


def index_places(
    where: pd.DataFrame,
    roles: Roles,
    frame: Bounds | None,
    chosen: Preset,
    options: SignalingOptions,
    resolution: int,
    towers: Towers | None = None,
) -> Places:
    """Find the cell of each distinct place.

    Args:
        where: (N,) columns p0 (and p1), as `Scan.distinct_places` gives them, and `rows`.
        roles: what these columns hold.
        frame: the bounds of a city that has some of its own; None: those that the rows suggest.
        chosen: the preset.
        options: the datum, the grid.
        resolution: H3 resolution.
        towers: the tower table, for places of `kind` tower.

    Raises:
        InputError: the datum, the grid or its file cannot be used.
    """
    datum = options.datum or "wgs84"
    rows = where["rows"].to_numpy(dtype=np.int64)
    if roles.kind == "point":
        lon, lat = where["p0"].to_numpy(dtype=float), where["p1"].to_numpy(dtype=float)
        return places_at_points(lon, lat, rows, datum, resolution, frame)
    if roles.kind == "h3":
        return places_of_cells(where["p0"], datum, resolution, frame, rows)
    if roles.kind == "tower" and towers is not None:
        ids = [where[f"p{number}"] for number in range(len(roles.place))]
        return places_of_towers(ids, rows, towers, datum, resolution, frame)
    if roles.kind == "wkt":
        return places_of_wkt(where["p0"], rows, datum, resolution, frame)
    squares = where["p0"] if len(roles.place) == 1 else plain_ids(where["p0"]) + "_" + plain_ids(where["p1"])
    regular = grid_of_options(options)
    if regular is not None:
        lon, lat, known = regular.centres(squares)
        places = places_at_points(lon, lat, rows, datum, resolution, frame)
        places.reason[~known] = "unknown_grid_id"
        return places
    if options.grid is None:
        raise InputError("grid ids need the grid: give its GeoJSON with --grid, or --grid-origin and --grid-size")
    default = chosen.grid_property or roles.place[0]
    return places_of_grid(squares, Path(options.grid), options.grid_property, default, datum, resolution, frame)


def advice_on_swapped(roles: Roles, towers: Towers | None) -> str:
    """Say how longitude and latitude are exchanged where the places come from: a part of a message."""
    if roles.kind == "tower" and towers is not None:
        if towers.position:
            return f"exchange {' and '.join(towers.position)} of the table with --lon and --lat"
        return "save the table's points with longitude first"
    if roles.kind == "point":
        return f"exchange {' and '.join(roles.place)} with --lon and --lat"
    if roles.kind == "wkt":
        return f"write {roles.place[0]} with longitude first"
    return "give the grid with longitude first"


def index_times(whens: pd.DataFrame, timezone: str) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Find the hour of each distinct time.

    Args:
        whens: (N,) columns t0 (and t1), texts; others are kept.
        timezone: IANA name, of times without an offset.

    Returns:
        The table with `hour` and `instant` (UTC microseconds: of times spelled in several ways it is one) and `why`
        (None or a reason), and the distinct hours, sorted.
    """
    texts = whens["t0"] if "t1" not in whens else join_date_and_hour(whens["t0"], whens["t1"])
    hour_us, reason = hours_of(texts, timezone)
    instant_us = hour_us + instants_of(texts)[0] % HOUR_US
    good = np.array([why is None for why in reason], dtype=bool)
    table = whens.assign(hour=hour_us, instant=instant_us, why=pd.Series(reason, dtype="string"))
    return table, np.unique(hour_us[good])


def place_table(where: pd.DataFrame, places: Places) -> pd.DataFrame:
    """Return the distinct places with their `cell` and `why`, as `Scan.index` takes them."""
    return where.drop(columns="rows").assign(cell=places.cell, why=pd.Series(places.reason, dtype="string"))
