"""A regular grid known by its corner and the size of its squares: ids to centres, without a file of polygons.

A square's column counts eastward and its row away from the corner (northward from a south-west corner, southward from a
north-west one); an id is a pair of them, or one number counted along the rows. Sizes in degrees step through longitude
and latitude; sizes in metres step through the UTM zone of the corner.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyproj
from numpy.typing import NDArray

from fusion.errors import InputError
from fusion.geo.grid import utm_crs

if TYPE_CHECKING:
    from fusion.ingest.options import SignalingOptions

ORDERS = ("row_col", "col_row")
CORNERS = ("sw", "nw")
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)(?:\s*[x×*,]\s*(\d+(?:\.\d+)?))?\s*(m|deg)\s*", re.IGNORECASE)
# Two numbers with whatever letters and marks around: 12_5, 12-5, r12c5, (12, 5).
_PAIR = r"^\D*(\d{1,7})\D+(\d{1,7})\D*$"
_SINGLE = r"^\D*(\d{1,12})\D*$"
# A minus before a number is a sign unless a letter or digit stands before it: 12-5 and grid-12-5 are pairs.
_SIGN = r"(?<![^\W_])[-\u2212](?=\d)"


@dataclass(frozen=True)
class RegularGrid:
    """A grid of equal squares.

    Attributes:
        lon, lat: its corner in degrees, of the export's datum.
        width, height: of a square, in `unit`.
        unit: `m` or `deg`.
        order: how a pair is written, one of `ORDERS`.
        columns: squares in a row, where an id is one number; None where it is a pair.
        first: the number of the first row and column of a pair, or the first id.
        corner: which corner, one of `CORNERS`.
    """

    lon: float
    lat: float
    width: float
    height: float
    unit: str
    order: str = "row_col"
    columns: int | None = None
    first: int = 0
    corner: str = "sw"

    def centres(self, ids: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Find the centre of each id's square.

        Args:
            ids: (N,) texts.

        Returns:
            `(lon, lat, known)`, each (N,): degrees in the datum of the corner, NaN where an id is not of the grid.
        """
        row, column, known = self._squares(ids)
        x = (column + 0.5) * self.width
        y = (row + 0.5) * self.height * (1 if self.corner == "sw" else -1)
        lon, lat = np.full(len(row), np.nan), np.full(len(row), np.nan)
        if self.unit == "deg":
            lon[known], lat[known] = self.lon + x[known], self.lat + y[known]
        elif known.any():
            zone = utm_crs(self.lon, self.lat)
            there = pyproj.Transformer.from_crs(4326, zone, always_xy=True)
            east, north = there.transform(self.lon, self.lat)
            back = pyproj.Transformer.from_crs(zone, 4326, always_xy=True)
            lon[known], lat[known] = back.transform(east + x[known], north + y[known])
        sane = np.isfinite(lon) & np.isfinite(lat) & (np.abs(lon) <= 180) & (np.abs(lat) <= 90)
        known &= sane
        lon[~known], lat[~known] = np.nan, np.nan
        return lon, lat, known

    def _squares(self, ids: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        texts = ids.astype("string").fillna("").str.strip()
        texts = texts.mask(texts.str.contains(_SIGN), "")
        if self.columns is None:
            pair = texts.str.extract(_PAIR).astype("Float64").to_numpy(dtype=float, na_value=np.nan) - self.first
            row, column = (pair[:, 0], pair[:, 1]) if self.order == "row_col" else (pair[:, 1], pair[:, 0])
        else:
            number = texts.str.replace(r"\.0*$", "", regex=True).str.extract(_SINGLE)[0].astype("Float64")
            row, column = np.divmod(number.to_numpy(dtype=float, na_value=np.nan) - self.first, self.columns)
        known = np.isfinite(row) & np.isfinite(column) & (row >= 0) & (column >= 0)
        return np.where(known, row, 0.0), np.where(known, column, 0.0), known


def grid_of_options(options: "SignalingOptions") -> RegularGrid | None:
    """Return the regular grid that the options describe; None if they describe none.

    Raises:
        InputError: an option is missing, unreadable or out of range, or `--grid` is given too.
    """
    if options.grid_origin is None:
        named = [
            name
            for name, given in (
                ("--grid-size", options.grid_size),
                ("--grid-columns", options.grid_columns),
                ("--grid-first", options.grid_first),
            )
            if given is not None
        ]
        if named:
            raise InputError(f"{named[0]} describes a grid by its corner: give the corner too, --grid-origin LON,LAT")
        return None
    if options.grid is not None:
        raise InputError("--grid and --grid-origin both say where the squares are: give one of them")
    lon, lat = _origin(options.grid_origin)
    width, height, unit = _size(options.grid_size)
    if options.grid_order not in ORDERS:
        raise InputError(f"--grid-order {options.grid_order!r} is not known: use {' or '.join(ORDERS)}")
    if options.grid_corner not in CORNERS:
        raise InputError(f"--grid-corner {options.grid_corner!r} is not known: use {' or '.join(CORNERS)}")
    if options.grid_columns is not None and options.grid_columns < 1:
        raise InputError(f"--grid-columns {options.grid_columns} is no number of columns: give how many a row has")
    first = (0 if options.grid_columns is None else 1) if options.grid_first is None else options.grid_first
    return RegularGrid(
        lon, lat, width, height, unit, options.grid_order, options.grid_columns, first, options.grid_corner
    )


def _origin(text: str) -> tuple[float, float]:
    parts = text.replace("，", ",").split(",")
    try:
        lon, lat = (float(part) for part in parts)
    except ValueError:
        raise InputError(f"--grid-origin {text!r} is no corner: give LON,LAT in degrees (113.45,34.60)") from None
    if not (-180 <= lon <= 180 and -80 <= lat <= 84):
        raise InputError(f"--grid-origin {text!r} is out of range: give longitude first, then latitude")
    return lon, lat


def _size(text: str | None) -> tuple[float, float, str]:
    match = _SIZE.fullmatch(text or "")
    if match is None:
        raise InputError(
            f"--grid-size {text!r} is no size: give 500m, 250x500m (width x height), 0.005deg or 0.006x0.005deg"
        )
    width, height = float(match[1]), float(match[2] or match[1])
    unit = match[3].lower()
    if not (0 < width <= (1e5 if unit == "m" else 1.0) and 0 < height <= (1e5 if unit == "m" else 1.0)):
        raise InputError(f"--grid-size {text} is out of range: a square has at most 100 km or 1 degree")
    return width, height, unit
