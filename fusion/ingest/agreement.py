"""How well a city's signaling, imagery and functions cover one another, and whether one lies beside the other.

Boxes alone would not show a wrong datum inside a larger city, so cells are held against valid pixels. All of it is
judged on a bounded number of cells and on the imagery's overview: a tenth of a second for any city.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import rasterio
import rasterio.warp
from numpy.typing import NDArray

from fusion.geo.datum import wgs84_to_bd09, wgs84_to_gcj02
from fusion.geo.grid import Bounds, Cells, area_m2, cells_at, centres, project, resolution_of

_MOST_CELLS = 20_000
_OVERVIEW_PX = 512
_PROBES = 64  # along each side of the imagery
_M_PER_DEG = 111_320.0
_POOR = 0.5


def agreement(paths: dict[str, Path], extents: dict[str, Bounds]) -> dict[str, Any]:
    """Compare the parts that a city has.

    Args:
        paths: `signaling` (activity.parquet), `imagery` (imagery.tif), `functions` (functions.parquet), where there.
        extents: boxes of the same parts (west, south, east, north) in degrees, as far as known.

    Returns:
        Shares, `shift_m`, `shift_like`, `warnings` (docs/data-formats.md); empty with fewer than two parts.
    """
    if len(paths) < 2:
        return {}
    cells = {part: _cells_of(paths[part]) for part in ("signaling", "functions") if part in paths}
    found: dict[str, Any] = {}
    if "imagery" in paths:
        with rasterio.open(paths["imagery"]) as image:
            seen = _Seen(image)
            for part, own in cells.items():
                found[f"{part}_on_imagery"] = seen.share_of(own)
            if "signaling" in cells:
                found["imagery_with_signaling"] = seen.share_under(cells["signaling"])
    if len(cells) == 2:
        signaling, functions = cells["signaling"], cells["functions"]
        found["functions_with_signaling"] = float(np.isin(functions, signaling).mean())
        found["signaling_with_function"] = float(np.isin(signaling, functions).mean())
    shift = like = None
    if "signaling" in cells and "imagery" in extents and "signaling" in extents:
        apart_m = _apart_m(cells["signaling"])
        shift = _shift_m(extents["signaling"], extents["imagery"], apart_m)
        like = _datum_of(shift, extents["imagery"], apart_m) if shift else None
    return found | {"shift_m": shift, "shift_like": like, "warnings": _warnings(found, shift, like)}


class _Seen:
    """The valid pixels of an image, as its overview has them."""

    def __init__(self, image: rasterio.DatasetReader) -> None:
        step = max(image.width, image.height, _OVERVIEW_PX) / _OVERVIEW_PX
        shape = (max(1, round(image.height / step)), max(1, round(image.width / step)))
        self.valid: NDArray[np.bool_] = image.read(out_shape=(image.count, *shape)).any(axis=0)
        self.crs = image.crs
        left, bottom, right, top = image.bounds
        self.left, self.top = left, top
        self.cell_x, self.cell_y = (right - left) / shape[1], (top - bottom) / shape[0]

    def share_of(self, cells: Cells) -> float:
        """Return the share of cells whose centre has a valid pixel."""
        some = cells[:: -(-len(cells) // _MOST_CELLS)]
        x, y = project(*centres(some), self.crs)
        column = np.floor((x - self.left) / self.cell_x).astype(np.int64)
        row = np.floor((self.top - y) / self.cell_y).astype(np.int64)
        rows, columns = self.valid.shape
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        return float((inside & self.valid[row.clip(0, rows - 1), column.clip(0, columns - 1)]).mean())

    def share_under(self, cells: Cells) -> float:
        """Return the share of valid pixels that lie in one of the cells."""
        rows, columns = self.valid.shape
        row, column = np.meshgrid(
            np.unique(np.linspace(0, rows - 1, _PROBES).astype(np.int64)),
            np.unique(np.linspace(0, columns - 1, _PROBES).astype(np.int64)),
            indexing="ij",
        )
        good = self.valid[row, column]
        x, y = self.left + (column[good] + 0.5) * self.cell_x, self.top - (row[good] + 0.5) * self.cell_y
        lon, lat = rasterio.warp.transform(self.crs, 4326, x, y)
        if not len(lon):
            return 0.0
        return float(np.isin(cells_at(lon, lat, resolution_of(int(cells[0]))), cells).mean())


def _cells_of(path: Path) -> Cells:
    with pq.ParquetFile(path) as file:
        parts = [np.unique(batch.column(0).to_numpy()) for batch in file.iter_batches(1_000_000, columns=["cell"])]
    return np.unique(np.concatenate(parts))


def _apart_m(cells: Cells) -> float:
    """How far the centres of neighbouring cells lie apart."""
    return float(np.sqrt(2 / np.sqrt(3) * area_m2(cells[:1])[0]))


def _shift_m(signaling: Bounds, imagery: Bounds, apart_m: float) -> tuple[float, float] | None:
    """How far one box of the same size lies off the other: east and north, where opposite sides agree on it."""
    east_m = _M_PER_DEG * np.cos(np.deg2rad((imagery[1] + imagery[3]) / 2))
    off = (np.array(signaling) - np.array(imagery)) * [east_m, _M_PER_DEG, east_m, _M_PER_DEG]
    # Cells stick out of the box of their places by up to their own size, on either side.
    if (np.abs(off[:2] - off[2:]) > 3 * apart_m).any():
        return None
    east, north = (off[:2] + off[2:]) / 2
    return round(float(east)), round(float(north))


def _datum_of(shift: tuple[float, float], imagery: Bounds, apart_m: float) -> str | None:
    """Name the datum whose offset here the shift is, within one cell; None where nothing is shifted."""
    lon, lat = (imagery[0] + imagery[2]) / 2, (imagery[1] + imagery[3]) / 2
    east_m = _M_PER_DEG * np.cos(np.deg2rad(lat))
    if math.hypot(*shift) <= apart_m:
        return None
    for name, forward in (("gcj02", wgs84_to_gcj02), ("bd09", wgs84_to_bd09)):
        moved_lon, moved_lat = forward(lon, lat)
        east, north = (float(moved_lon) - lon) * east_m, (float(moved_lat) - lat) * _M_PER_DEG
        if math.hypot(shift[0] - east, shift[1] - north) <= apart_m:
            return name
    return None


def _warnings(found: dict[str, float], shift: tuple[float, float] | None, like: str | None) -> list[str]:
    lines = []
    if found.get("signaling_on_imagery", 1.0) < _POOR:
        lines.append(
            f"only {found['signaling_on_imagery']:.0%} of the signaling's cells lie on imagery: check the datum"
        )
    if found.get("functions_with_signaling", 1.0) < _POOR:
        lines.append(f"only {found['functions_with_signaling']:.0%} of the cells with a function have signaling")
    if like is not None and shift is not None:
        east, north = shift
        lines.append(
            f"the signaling lies {east:.0f} m east and {north:.0f} m north of the imagery, as {like} does here: "
            f"ingest it with --datum {like}"
        )
    return lines
