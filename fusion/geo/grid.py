"""The H3 grid: cells, parents and hexagonal neighbourhoods as numpy arrays.

A cell is a uint64 H3 index; coordinates are longitude and latitude in degrees, WGS-84. Resolution-9 cells lie about
310 m apart at Zhengzhou. H3: https://h3geo.org (v4 names).
"""

from collections.abc import Iterable, Sequence

import h3.api.basic_int as h3
import numpy as np
import pyproj
from h3 import H3BaseException
from numpy.typing import ArrayLike, NDArray

from fusion.errors import InputError

Cells = NDArray[np.uint64]
Bounds = tuple[float, float, float, float]

# On H3's IJ axes (120 degrees apart) the six neighbours of (0, 0) are (1,0) (0,1) (-1,0) (0,-1) (1,1) (-1,-1).
HEX_MASK_3x3: NDArray[np.bool_] = np.array([[True, True, False], [True, True, True], [False, True, True]])


def cells_at(lon: ArrayLike, lat: ArrayLike, resolution: int) -> Cells:
    """Index points.

    Args:
        lon, lat: (N,) degrees, WGS-84.
        resolution: H3 resolution, 0 to 15.

    Returns:
        (N,) uint64 cells.

    Raises:
        InputError: a coordinate is not finite or out of range, or the resolution is.
    """
    check_resolution(resolution)
    lon, lat = np.asarray(lon, dtype=np.float64).ravel(), np.asarray(lat, dtype=np.float64).ravel()
    bad = ~(np.isfinite(lon) & np.isfinite(lat) & (np.abs(lon) <= 180) & (np.abs(lat) <= 90))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"point {row} has longitude {lon[row]}, latitude {lat[row]}: degrees within 180 and 90 are needed"
        )
    return _uint64(h3.latlng_to_cell(y, x, resolution) for x, y in zip(lon.tolist(), lat.tolist(), strict=True))


def check_resolution(resolution: int) -> None:
    """Raise InputError unless `resolution` is one of H3's 0 to 15."""
    if not 0 <= resolution <= 15:
        raise InputError(f"H3 resolution {resolution} does not exist: use 0 to 15 (9 for blocks of some 310 m)")


def are_cells(cells: ArrayLike) -> NDArray[np.bool_]:
    """Tell which of (N,) integers are valid H3 cells."""
    return np.fromiter((h3.is_valid_cell(cell) for cell in _ints(cells)), dtype=bool)


def resolution_of(cell: int) -> int:
    """Return the H3 resolution of one cell."""
    return h3.get_resolution(int(cell))


def centres(cells: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return `(lon, lat)`, each (N,) degrees, of the cells' centres."""
    lat_lon = np.array([h3.cell_to_latlng(cell) for cell in _ints(cells)], dtype=np.float64).reshape(-1, 2)
    return lat_lon[:, 1].copy(), lat_lon[:, 0].copy()


def boundaries(cells: ArrayLike) -> list[list[tuple[float, float]]]:
    """Return each cell's corners as an open ring of `(lon, lat)`."""
    return [[(lon, lat) for lat, lon in h3.cell_to_boundary(cell)] for cell in _ints(cells)]


def parents(cells: ArrayLike, levels: int = 2) -> Cells:
    """Return each cell's ancestor, `levels` resolutions coarser."""
    return _uint64(h3.cell_to_parent(cell, h3.get_resolution(cell) - levels) for cell in _ints(cells))


def parents_at(cells: ArrayLike, resolution: int) -> Cells:
    """Return each cell's ancestor at a resolution (the cell itself at its own).

    Raises:
        InputError: a cell is coarser than that resolution.
    """
    try:
        return _uint64(h3.cell_to_parent(cell, resolution) for cell in _ints(cells))
    except H3BaseException:
        raise InputError(f"cells have no parents at resolution {resolution}: use their own or a coarser one") from None


def disk(cell: int, k: int) -> Cells:
    """Return the cells within k steps of a cell, sorted, itself included."""
    return np.sort(np.array(h3.grid_disk(int(cell), k), dtype=np.uint64))


def ring(cell: int, k: int) -> Cells:
    """Return the cells exactly k steps from a cell, sorted."""
    return np.sort(np.array(h3.grid_ring(int(cell), k), dtype=np.uint64))


def cells_in_bounds(bounds: Bounds, resolution: int) -> Cells:
    """Return the cells whose centres lie in a box `(west, south, east, north)`, sorted."""
    west, south, east, north = bounds
    corners = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    return cells_in_polygon({"type": "Polygon", "coordinates": [corners]}, resolution)


def cells_in_polygon(geometry: dict, resolution: int) -> Cells:
    """Return the cells whose centres lie in a GeoJSON Polygon or MultiPolygon, sorted."""
    check_resolution(resolution)
    try:
        return np.unique(np.array(h3.geo_to_cells(geometry, resolution), dtype=np.uint64))
    except (H3BaseException, ValueError, KeyError, TypeError, IndexError) as error:
        raise InputError(f"geometry cannot be filled with cells ({error}): give a Polygon or MultiPolygon") from None


def neighbourhoods(cells: ArrayLike, places: Cells, k: int) -> NDArray[np.int32]:
    """Lay the hexagonal disk around each cell on H3's IJ axes.

    Args:
        cells: (N,) centre cells.
        places: (M,) sorted cells that have a row of data.
        k: radius of the disk in steps.

    Returns:
        (N,K,K) rows of `places`, K = 2k + 1, axes (I, J); -1 outside the disk or where no place has that cell.
    """
    size = 2 * k + 1
    centre_cells = _ints(cells)
    grid = np.zeros((len(centre_cells), size, size), dtype=np.uint64)
    for row, cell in enumerate(centre_cells):
        i0, j0 = h3.cell_to_local_ij(cell, cell)
        for other in h3.grid_disk(cell, k):
            i, j = h3.cell_to_local_ij(cell, other)
            grid[row, i - i0 + k, j - j0 + k] = other
    found = np.searchsorted(places, grid).clip(max=max(len(places) - 1, 0))
    present = (places[found] == grid) if len(places) else np.zeros(grid.shape, dtype=bool)
    return np.where(present, found, -1).astype(np.int32)


def to_hex(cells: ArrayLike) -> list[str]:
    """Return H3's own hexadecimal spelling of each cell."""
    return [h3.int_to_str(cell) for cell in _ints(cells)]


def from_hex(texts: Sequence[str]) -> Cells:
    """Read H3's hexadecimal spelling.

    Raises:
        InputError: a text is not a cell.
    """
    cells = np.zeros(len(texts), dtype=np.uint64)
    for row, text in enumerate(texts):
        try:
            cell = h3.str_to_int(text)
        except (ValueError, TypeError, OverflowError, H3BaseException):
            cell = 0  # a decimal index, read as hexadecimal, has more than 64 bits
        if not h3.is_valid_cell(cell):
            raise InputError(
                f"item {row}, {text!r}, is not an H3 cell: give hexadecimal H3 indexes such as 8940e1b2d2bffff"
            )
        cells[row] = cell
    return cells


def area_m2(cells: ArrayLike) -> NDArray[np.float64]:
    """Return each cell's area on the sphere in square metres."""
    return np.array([h3.cell_area(cell, unit="m^2") for cell in _ints(cells)], dtype=np.float64)


def utm_crs(lon: float, lat: float) -> pyproj.CRS:
    """Return the WGS-84 / UTM zone of a point, projected in metres."""
    zone = int((lon + 180) // 6) % 60 + 1
    return pyproj.CRS.from_epsg((32600 if lat >= 0 else 32700) + zone)


def project(lon: ArrayLike, lat: ArrayLike, crs: pyproj.CRS) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Project (N,) WGS-84 degrees to `(x, y)` in the units of `crs`."""
    x, y = pyproj.Transformer.from_crs(4326, crs, always_xy=True).transform(np.asarray(lon), np.asarray(lat))
    return np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)


def _ints(cells: ArrayLike) -> list[int]:
    return np.asarray(cells, dtype=np.uint64).ravel().tolist()


def _uint64(cells: Iterable[int]) -> Cells:
    return np.fromiter(cells, dtype=np.uint64)
