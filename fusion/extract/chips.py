"""Chips: squares of ground around cells, cut from a city's imagery and resampled by exact area."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyproj
import rasterio
from numpy.typing import NDArray
from rasterio.enums import MaskFlags
from rasterio.windows import Window

from fusion.city import City
from fusion.errors import CityError
from fusion.samples.footprints import footprints

_BLOCK_PX = 2048
_FLOATS_AT_ONCE = 1 << 22


@dataclass(frozen=True, eq=False)
class Imagery:
    """A city's open imagery: `pixel_m` (width, height), `origin` (x, y) of the upper left corner, `size` in pixels."""

    dataset: Any
    crs: pyproj.CRS
    pixel_m: tuple[float, float]
    origin: tuple[float, float]
    size: tuple[int, int]

    def boxes(self, position: NDArray[np.float64], chip_m: float) -> NDArray[np.int64]:
        """Return the pixels under each chip, (N,4) left, right, top, bottom, half open."""
        return footprints(position, chip_m, self.pixel_m, self.origin).astype(np.int64)


@contextmanager
def open_imagery(city: City) -> Iterator[Imagery]:
    """Open a city's imagery and check that chips can be cut from it.

    Raises:
        CityError: there is none, it cannot be read, or it is not north-up 3 x uint8 in true metres.
    """
    if not city.has_imagery:
        raise CityError(f"city {city.name} has no imagery: bring some in with `ingest imagery`")
    try:
        dataset = rasterio.open(city.imagery)
    except rasterio.errors.RasterioError as error:
        raise CityError(f"{city.name}/imagery.tif cannot be read ({_line(error)}): ingest it again") from None
    with dataset:
        yield _describe(city, dataset)


def _describe(city: City, dataset: Any) -> Imagery:
    where, t = f"{city.name}/imagery.tif", dataset.transform
    if dataset.crs is None:
        raise CityError(f"{where} has no projection: ingest it again")
    crs = pyproj.CRS.from_user_input(dataset.crs.to_wkt())
    if not crs.is_projected or {axis.unit_name for axis in crs.axis_info} != {"metre"}:
        raise CityError(f"{where} is in {crs.name}, chips need a projection in metres: ingest it again")
    if dataset.count != 3 or set(dataset.dtypes) != {"uint8"} or t.b or t.d or t.a <= 0 or t.e >= 0:
        raise CityError(f"{where} is not north-up with 3 bands of uint8: ingest it again")
    x, y = t.c + t.a * dataset.width / 2, t.f + t.e * dataset.height / 2
    lon, lat = pyproj.Transformer.from_crs(crs, 4326, always_xy=True).transform(x, y)
    scale = pyproj.Proj(crs).get_factors(lon, lat).meridional_scale
    if not 0.99 < scale < 1.01:
        raise CityError(f"{where}: a metre of {crs.name} is {1 / scale:.2f} m on the ground here: ingest it again")
    return Imagery(dataset, crs, (t.a, -t.e), (t.c, t.f), (dataset.width, dataset.height))


def whole_chips(imagery: Imagery, position: NDArray[np.float64], chip_m: float) -> NDArray[np.bool_]:
    """Tell which of (N,2) centres have a whole chip inside the imagery, on valid pixels only."""
    boxes = imagery.boxes(position, chip_m)
    width, height = imagery.size
    whole = (boxes[:, 0] >= 0) & (boxes[:, 2] >= 0) & (boxes[:, 1] <= width) & (boxes[:, 3] <= height)
    if all(MaskFlags.all_valid in flags for flags in imagery.dataset.mask_flag_enums):
        return whole
    inside = np.flatnonzero(whole)
    for rows, window in _windows(boxes[inside]):
        valid = imagery.dataset.dataset_mask(window=window) > 0
        for row in inside[rows]:
            left, right, top, bottom = boxes[row] - np.repeat([window.col_off, window.row_off], 2)
            whole[row] = valid[top:bottom, left:right].all()
    return whole


def cut_chips(
    imagery: Imagery,
    position: NDArray[np.float64],
    chip_m: float,
    out: NDArray[np.uint8],
    progress: Callable[[float], None] | None = None,
) -> None:
    """Cut whole chips; each chip pixel is the mean of the imagery over exactly its own square of ground.

    Args:
        position: (N,2) centres in the imagery's metres; `whole_chips` must hold for each.
        out: (N,3,P,P) uint8 to fill, north up.

    The imagery is read in blocks, so memory does not grow with it.

    Raises:
        CityError: a part of the imagery cannot be read.
    """
    boxes = imagery.boxes(position, chip_m)
    corner = (position - chip_m / 2 * np.array([1, -1]) - imagery.origin) / (np.array(imagery.pixel_m) * [1, -1])
    side = chip_m / np.array(imagery.pixel_m)  # chip in source pixels, (width, height)
    reach = np.ceil(side).astype(int) + 1  # source pixels that a chip can touch
    at_once = max(1, _FLOATS_AT_ONCE // int(3 * reach.prod()))
    done = 0
    for rows, window in _windows(boxes):
        block = _read(imagery, window, reach)
        for start in range(0, len(rows), at_once):
            part = rows[start : start + at_once]
            left, top = boxes[part, 0], boxes[part, 2]
            down = _weights(corner[part, 1] - top, side[1], out.shape[2], reach[1])
            across = _weights(corner[part, 0] - left, side[0], out.shape[3], reach[0])
            source = np.empty((len(part), 3, reach[1], reach[0]), dtype=np.float32)
            for index, (column, row) in enumerate(zip(left - window.col_off, top - window.row_off, strict=True)):
                source[index] = block[:, row : row + reach[1], column : column + reach[0]]
            mean = down[:, None] @ source @ across[:, None].transpose(0, 1, 3, 2)
            out[part] = np.rint(mean).clip(0, 255).astype(np.uint8)
        done += len(rows)
        if progress:
            progress(done / len(position))


def _windows(boxes: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], Window]]:
    """Yield chips block by block, as rows of `boxes` and the window that covers them."""
    if not len(boxes):
        return
    block = boxes[:, [2, 0]] // _BLOCK_PX
    _, of_row = np.unique(block, axis=0, return_inverse=True)
    for index in range(int(of_row.max()) + 1):
        rows = np.flatnonzero(of_row == index)
        left, top = boxes[rows][:, [0, 2]].min(axis=0)
        right, bottom = boxes[rows][:, [1, 3]].max(axis=0)
        yield rows, Window(int(left), int(top), int(right - left), int(bottom - top))


def _read(imagery: Imagery, window: Window, reach: NDArray[np.int64]) -> NDArray[np.uint8]:
    try:
        block = imagery.dataset.read(window=window)
    except rasterio.errors.RasterioError as error:
        raise CityError(f"imagery cannot be read at {window} ({_line(error)}): ingest it again") from None
    # A chip that touches fewer pixels than `reach` at the far edge reads on into this margin, with weight 0.
    return np.pad(block, ((0, 0), (0, int(reach[1])), (0, int(reach[0]))))


def _weights(offset: NDArray[np.float64], side: float, pixels: int, reach: int) -> NDArray[np.float32]:
    """Return (n,pixels,reach): the share of each source pixel in each chip pixel, from `offset` (n,) source pixels."""
    edges = offset[:, None] + np.arange(pixels + 1) * (side / pixels)
    source = np.arange(reach)
    shared = np.minimum(edges[:, 1:, None], source + 1) - np.maximum(edges[:, :-1, None], source)
    return (shared.clip(min=0) * (pixels / side)).astype(np.float32)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
