"""Distinct places of an export to H3 cells: from lon/lat, from H3 cells, or from ids of a grid."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from fusion.errors import InputError
from fusion.geo.datum import to_wgs84
from fusion.geo.grid import Bounds, are_cells, cells_at, centres, parents_at, resolution_of
from fusion.ingest.vectors import pick_column, read_polygons

# A city that does not exist yet has no bounds: its middle is the median row, and this many degrees away is elsewhere.
REACH_DEG = 2.0
_EPSILON_DEG = 1e-9


@dataclass(frozen=True)
class Places:
    """Distinct places: `cell` (N,) uint64, `reason` (N,) None or why none, `lon`, `lat` (N,) degrees, WGS-84."""

    cell: NDArray[np.uint64]
    reason: NDArray[np.object_]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]

    def extent(self) -> Bounds:
        """Return the box of the places that have a cell."""
        good = self.cell != 0
        lon, lat = self.lon[good], self.lat[good]
        return float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())


def places_at_points(
    lon: NDArray[np.float64],
    lat: NDArray[np.float64],
    rows: NDArray[np.int64],
    datum: str,
    resolution: int,
    frame: Bounds | None,
) -> Places:
    """Index points.

    Args:
        lon, lat: (N,) degrees of `datum`; NaN where the text was no number.
        rows: (N,) rows of the export at each.
        datum: one of `fusion.geo.datum.DATUMS`.
        resolution: H3 resolution.
        frame: the city's bounds; None for a city that has none yet.

    Raises:
        InputError: the datum is unknown, or one of China for points elsewhere.
    """
    to_wgs84(0.0, 0.0, datum)  # an unknown name must not pass because there is no point to shift
    reason = np.full(len(lon), None, dtype=object)
    finite = np.isfinite(lon) & np.isfinite(lat)
    ranged = finite & (np.abs(lon) <= 180) & (np.abs(lat) <= 90)
    swappable = finite & (np.abs(lon) <= 90) & (np.abs(lat) <= 180)
    reason[~ranged] = "bad_place"
    x, y = np.where(ranged, lon, 0.0), np.where(ranged, lat, 0.0)
    if datum != "wgs84" and ranged.any():
        _check_china(x[ranged], y[ranged], rows[ranged], datum)
    x, y = to_wgs84(x, y, datum)
    if frame is None and ranged.any():
        frame = _reach(x[ranged], y[ranged], rows[ranged])
    # No latitude exceeds 90 degrees, but many a longitude does.
    reason[~ranged & swappable] = "swapped"
    if frame is not None:
        reason[ranged & ~_within(x, y, frame)] = "outside"
        swapped_x, swapped_y = to_wgs84(np.where(swappable, lat, 0.0), np.where(swappable, lon, 0.0), datum)
        reason[(reason != None) & swappable & _within(swapped_x, swapped_y, frame)] = "swapped"  # noqa: E711
    return _indexed(x, y, reason, resolution)


def places_of_cells(texts: pd.Series, datum: str, resolution: int, frame: Bounds | None, rows: NDArray) -> Places:
    """Read H3 cells, hexadecimal or decimal, and roll them up; cells of another datum are moved by their centres.

    Raises:
        InputError: the datum is unknown.
    """
    cells = np.array([cell_of_text(text) for text in texts.astype("string").fillna("")], dtype=np.uint64)
    valid = np.zeros(len(cells), dtype=bool)
    valid[cells != 0] = are_cells(cells[cells != 0])
    fine = np.array(
        [ok and resolution_of(cell) >= resolution for cell, ok in zip(cells, valid, strict=True)], dtype=bool
    )
    lon, lat = np.full(len(cells), np.nan), np.full(len(cells), np.nan)
    lon[fine], lat[fine] = centres(cells[fine])
    places = places_at_points(lon, lat, np.asarray(rows), datum, resolution, frame)
    places.reason[valid & ~fine] = "coarse_cell"
    if datum == "wgs84":
        good = places.cell != 0
        places.cell[good] = parents_at(cells[good], resolution)
    return places


def places_of_grid(
    texts: pd.Series,
    grid: Path,
    grid_property: str | None,
    default_property: str | None,
    datum: str,
    resolution: int,
    frame: Bounds | None,
) -> Places:
    """Look ids up in a file of polygons and index the centroids.

    Raises:
        InputError: the file cannot be read, has no such property, or has an id twice.
    """
    table = read_polygons(grid, "grid")
    columns = [str(column) for column in table.columns if column != table.geometry.name]
    default = default_property if default_property in columns else None
    name = pick_column(columns, grid_property, default, f"grid {grid.name}", "--grid-property")
    ids = _plain_ids(table[name])
    twice = ids[ids.duplicated()]
    if len(twice):
        raise InputError(f"grid {grid.name}: {name} {twice.iloc[0]} stands there twice: ids must be unique")
    row = pd.Series(np.arange(len(ids)), index=ids).reindex(_plain_ids(texts)).to_numpy(dtype=float)
    known = ~np.isnan(row)
    # A centroid taken in degrees is off by millimetres for squares of some hundred metres.
    centroids = table.geometry.make_valid().to_crs(table.estimate_utm_crs()).centroid.to_crs(4326)
    lon, lat = np.full(len(row), np.nan), np.full(len(row), np.nan)
    lon[known] = centroids.x.to_numpy()[row[known].astype(int)]
    lat[known] = centroids.y.to_numpy()[row[known].astype(int)]
    places = places_at_points(lon, lat, np.ones(len(row), dtype=np.int64), datum, resolution, frame)
    places.reason[~known] = "unknown_grid_id"
    return places


def places_of_wkt(
    texts: pd.Series, rows: NDArray[np.int64], datum: str, resolution: int, frame: Bounds | None
) -> Places:
    """Read points, or the centroids of other geometries, from well-known text in degrees (longitude first).

    Raises:
        InputError: the datum is unknown, or one of China for places elsewhere.
    """
    plain = texts.astype("string").fillna("").str.strip()
    # EWKT says its system in front; one of metres would land in the sea if it were taken for degrees.
    system = plain.str.extract(r"^SRID=(\d+);(.*)$", flags=re.IGNORECASE | re.DOTALL)
    in_degrees = system[0].isna() | system[0].isin(["4326", "4490", "4258"])
    shapes = shapely.from_wkt(system[1].fillna(plain).where(in_degrees, "").to_numpy(dtype=object), on_invalid="ignore")
    centroids = shapely.centroid(shapes)
    centroids[shapely.is_empty(centroids)] = None
    lon, lat = shapely.get_x(centroids), shapely.get_y(centroids)
    return places_at_points(lon, lat, np.asarray(rows), datum, resolution, frame)


def _indexed(x: NDArray, y: NDArray, reason: NDArray[np.object_], resolution: int) -> Places:
    good = np.array([why is None for why in reason], dtype=bool)
    cell = np.zeros(len(x), dtype=np.uint64)
    cell[good] = cells_at(x[good], y[good], resolution)
    return Places(cell, reason, np.where(good, x, np.nan), np.where(good, y, np.nan))


def _within(x: NDArray, y: NDArray, frame: Bounds) -> NDArray[np.bool_]:
    west, south, east, north = frame
    return (
        (x >= west - _EPSILON_DEG)
        & (x <= east + _EPSILON_DEG)
        & (y >= south - _EPSILON_DEG)
        & (y <= north + _EPSILON_DEG)
    )


def _reach(x: NDArray, y: NDArray, rows: NDArray) -> Bounds:
    middle_x, middle_y = _median(x, rows), _median(y, rows)
    return middle_x - REACH_DEG, middle_y - REACH_DEG, middle_x + REACH_DEG, middle_y + REACH_DEG


def _median(values: NDArray, weights: NDArray) -> float:
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def _check_china(x: NDArray, y: NDArray, rows: NDArray, datum: str) -> None:
    lon, lat = _median(x, rows), _median(y, rows)
    inside = 72.0 <= lon <= 138.0 and 0.8 <= lat <= 55.9
    swapped = 72.0 <= lat <= 138.0 and 0.8 <= lon <= 55.9
    if not inside and not swapped:
        raise InputError(
            f"datum {datum} is one of Chinese maps, but the places lie about {lon:.3f}, {lat:.3f}: use --datum wgs84"
        )


def cell_of_text(text: str) -> int:
    """Read an H3 cell as exports spell it, hexadecimal or decimal; 0 for what cannot be one."""
    text = text.strip()
    try:
        # Decimal H3 indexes of resolutions 0 to 15 have 18 or 19 digits, hexadecimal ones 15 or 16.
        number = int(text) if len(text) >= 18 and text.isdigit() else int(text, 16)
    except ValueError:
        return 0
    return number if 0 < number < 2**63 else 0


def _plain_ids(ids: pd.Series) -> pd.Series:
    return ids.astype("string").str.strip().str.replace(r"\.0$", "", regex=True)
