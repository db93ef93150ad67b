"""Rasters as they come: which bands are colours, which pixels are valid, how 16 bits become 8, where they lie."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyproj
import rasterio
import rasterio.errors
import rasterio.warp
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from fusion.errors import InputError
from fusion.geo.grid import Bounds

_COLOURS = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
_DTYPES = {"uint8": 8, "uint16": 16, "int16": 16}
_SAMPLE_PX = 1024
_LEVELS = 1 << 16
_INT16_SHIFT = 1 << 15


@dataclass(frozen=True)
class Source:
    """One georeferenced file: `bands` of red, green and blue (from 1), `bits` 8 or 16, `extent` in degrees, WGS-84."""

    path: Path
    bands: tuple[int, int, int]
    bits: int
    extent: Bounds
    is_blank_outside: bool


@dataclass(frozen=True)
class Grid:
    """The pixels of a city's imagery: `crs`, `transform`, `width`, `height`."""

    crs: pyproj.CRS
    transform: Affine
    width: int
    height: int


@contextmanager
def open_raster(path: Path) -> Iterator[rasterio.DatasetReader]:
    """Open a file; what GDAL finds wrong with it, now or while it is read, becomes one line.

    Raises:
        InputError: there is no such file, it is no raster, or it is broken.
    """
    if not path.is_file():
        raise InputError(f"{path.name}: there is no such file: check the path")
    if path.stat().st_size == 0:
        raise InputError(f"{path.name} is empty: download it again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            image = rasterio.open(path)
    except rasterio.errors.RasterioError as error:
        raise InputError(f"{path.name} cannot be read as GeoTIFF ({error}): give a GeoTIFF") from None
    with image:
        yield image


@contextmanager
def broken_file(path: Path) -> Iterator[None]:
    """Turn a failing read of one file into one line."""
    try:
        yield
    except rasterio.errors.RasterioError as error:
        cause = error.__cause__ or error
        raise InputError(
            f"{path.name} is broken: its pixels cannot be read ({' '.join(str(cause).split())}): get the file again"
        ) from None


def look_at(path: Path) -> Source:
    """Check that a file is imagery with a place on the ground.

    Raises:
        InputError: no reference system, no position, fewer than three bands, or pixels of another kind.
    """
    with open_raster(path) as image:
        if image.crs is None:
            raise InputError(
                f"{path.name} has no coordinate reference system: save it with one (gdal_edit -a_srs EPSG:...)"
            )
        if image.transform.is_identity:
            raise InputError(f"{path.name} has no position on the ground: save it as a georeferenced GeoTIFF")
        kinds = list(image.colorinterp)
        colours = [band for band, kind in enumerate(kinds, start=1) if kind != ColorInterp.alpha]
        if len(colours) < 3:
            raise InputError(f"{path.name} has {len(colours)} band(s) of colour: red, green and blue are needed")
        if all(colour in kinds for colour in _COLOURS):
            colours = [kinds.index(colour) + 1 for colour in _COLOURS]
        found = {image.dtypes[band - 1] for band in colours[:3]}
        if len(found) > 1 or not found <= set(_DTYPES):
            raise InputError(
                f"{path.name} has pixels of {', '.join(sorted(found))}: scale them to 8 or 16 bits (gdal_translate -ot)"
            )
        try:
            extent = rasterio.warp.transform_bounds(image.crs, 4326, *image.bounds)
        except rasterio.errors.RasterioError as error:
            raise InputError(
                f"{path.name}: its reference system cannot be brought to WGS-84 ({error}): save it with an EPSG code"
            ) from None
        if not np.isfinite(extent).all():
            raise InputError(f"{path.name} lies outside its own reference system: check its georeference")
        blank = image.nodata is None and ColorInterp.alpha not in kinds
        return Source(path, (colours[0], colours[1], colours[2]), _DTYPES[found.pop()], extent, blank)


def lay_grid(sources: list[Source], crs: pyproj.CRS, pixel_m: float | None) -> tuple[Grid, list[Bounds]]:
    """Lay one grid of pixels under all files, as fine as the finest of them.

    Args:
        sources: the files.
        crs: reference system of the grid, in metres.
        pixel_m: edge of a pixel; None for the finest file's own.

    Returns:
        The grid, and each file's box in its coordinates.
    """
    boxes, own = [], []
    for source in sources:
        with open_raster(source.path) as image:
            target = rasterio.CRS.from_user_input(crs)
            if image.crs == target and image.transform.is_rectilinear and image.transform.e < 0:
                transform, width, height = image.transform, image.width, image.height
            else:
                transform, width, height = rasterio.warp.calculate_default_transform(
                    image.crs, target, image.width, image.height, *image.bounds
                )
            boxes.append(rasterio.transform.array_bounds(height, width, transform))
            own.append(transform)
    finest = min(own, key=lambda transform: transform.a * -transform.e)
    x_m, y_m = (pixel_m, pixel_m) if pixel_m else (finest.a, -finest.e)
    # On the finest file's own pixels: where nothing has to be turned, nothing is blurred.
    left = finest.c - np.ceil((finest.c - min(box[0] for box in boxes)) / x_m - 1e-6) * x_m
    top = finest.f + np.ceil((max(box[3] for box in boxes) - finest.f) / y_m - 1e-6) * y_m
    width = int(np.ceil((max(box[2] for box in boxes) - left) / x_m - 1e-6))
    height = int(np.ceil((top - min(box[1] for box in boxes)) / y_m - 1e-6))
    return Grid(crs, Affine(x_m, 0.0, left, 0.0, -y_m, top), max(width, 1), max(height, 1)), boxes


def stretch_limits(sources: list[Source], percentiles: tuple[float, float]) -> list[tuple[float, float]] | None:
    """Find the values that become 1 and 255, by band, over all 16-bit files together; None if all have 8 bits.

    Raises:
        InputError: a file is broken, or has no valid pixel.
    """
    deep = [source for source in sources if source.bits == 16]
    if not deep:
        return None
    counts = np.zeros((3, _LEVELS), dtype=np.int64)
    for source in deep:
        with open_raster(source.path) as image, broken_file(source.path):
            shape = min(image.height, _SAMPLE_PX), min(image.width, _SAMPLE_PX)
            pixels = image.read(list(source.bands), out_shape=(3, *shape))
            valid = image.dataset_mask(out_shape=shape) > 0
            for band in range(3):
                shifted = pixels[band][valid].astype(np.int64) + (_INT16_SHIFT if pixels.dtype == np.int16 else 0)
                counts[band] += np.bincount(shifted, minlength=_LEVELS)
    if not counts.any():
        raise InputError(f"{deep[0].path.name} has no valid pixel: check its no-data value")
    limits = []
    with open_raster(deep[0].path) as image:
        shift = _INT16_SHIFT if image.dtypes[0] == "int16" else 0
    for band in range(3):
        share = np.cumsum(counts[band]) / counts[band].sum()
        low, high = (float(np.searchsorted(share, percentile / 100)) - shift for percentile in percentiles)
        # A band of one value has no contrast to stretch: it becomes grey.
        limits.append((low, high) if high > low else (low - 1.0, low + 1.0))
    return limits


class Warped:
    """One file, seen through a city's grid."""

    def __init__(self, image: rasterio.DatasetReader, source: Source, grid: Grid) -> None:
        self._source = source
        own_m = (source.extent[3] - source.extent[1]) * 111_320.0 / max(image.height, 1)
        options = {
            "crs": rasterio.CRS.from_user_input(grid.crs),
            "transform": grid.transform,
            "width": grid.width,
            "height": grid.height,
            "resampling": Resampling.average if grid.transform.a > 1.5 * own_m else Resampling.bilinear,
        }
        if source.is_blank_outside:
            options["add_alpha"] = True
        elif image.nodata is not None:
            options |= {"src_nodata": image.nodata, "nodata": image.nodata}
        self._vrt = WarpedVRT(image, **options)

    def __enter__(self) -> "Warped":
        return self

    def __exit__(self, *_: object) -> None:
        self._vrt.close()

    def read(self, window: Window, limits: list[tuple[float, float]] | None) -> NDArray[np.uint8]:
        """Return (3,H,W) bytes of a window of the grid; 0 is no data, and a valid pixel is 1 at least."""
        pixels = self._vrt.read(list(self._source.bands), window=window)
        valid = self._vrt.dataset_mask(window=window) > 0
        if self._source.bits == 16 and limits is not None:
            low = np.array([limit[0] for limit in limits]).reshape(3, 1, 1)
            high = np.array([limit[1] for limit in limits]).reshape(3, 1, 1)
            pixels = np.rint((pixels - low) / (high - low) * 254.0 + 1.0)
        return np.where(valid, np.clip(pixels, 1, 255), 0).astype(np.uint8)
