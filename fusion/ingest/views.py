"""One image file seen through the grid of a city: moved by whole pixels where that is all it takes, else warped."""

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from fusion.ingest.rasters import Bands, Grid, Placed, is_north_up

# Of a pixel: less is the rounding of coordinates, and resampling would blur for nothing.
_SAME_PLACE = 0.01


class View:
    """An open file through a grid; `read` gives its pixels in a window of the grid."""

    def __init__(self, image: rasterio.DatasetReader, placed: Placed, grid: Grid) -> None:
        self._bands = placed.source.bands
        self._image = image
        self._shift = _whole_shift(image, placed, grid)
        self._vrt: WarpedVRT | None = None
        if self._shift is None:
            self._vrt = _warped(image, placed, grid)

    def __enter__(self) -> "View":
        return self

    def __exit__(self, *_: object) -> None:
        if self._vrt is not None:
            self._vrt.close()

    def read(self, window: Window) -> tuple[NDArray[np.generic], NDArray[np.bool_]] | None:
        """Return (3,H,W) pixels and (H,W) which of them are valid, for a window of the grid; None if it has none."""
        if self._vrt is not None:
            return self._read_warped(self._vrt, window)
        return self._read_moved(window)

    def _read_warped(self, vrt: WarpedVRT, window: Window) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        alpha = _alpha_band(vrt)
        pixels = vrt.read([*self._bands, *((alpha,) if alpha else ())], window=window)
        colours = pixels[:3]
        # The alpha came along: asked for by itself it would be warped a second time.
        valid = _with_data(self._image, colours) & (pixels[3] > 0) if alpha else _with_data(vrt, colours)
        return colours, valid

    def _read_moved(self, window: Window) -> tuple[NDArray[np.generic], NDArray[np.bool_]] | None:
        assert self._shift is not None
        left, top = round(window.col_off) - self._shift[0], round(window.row_off) - self._shift[1]
        own_left, own_top = max(left, 0), max(top, 0)
        own_right = min(left + round(window.width), self._image.width)
        own_bottom = min(top + round(window.height), self._image.height)
        if own_left >= own_right or own_top >= own_bottom:
            return None
        own = Window(own_left, own_top, own_right - own_left, own_bottom - own_top)
        pixels = self._image.read(list(self._bands), window=own)
        valid = valid_pixels(self._image, self._bands, pixels, window=own)
        shape = round(window.height), round(window.width)
        if pixels.shape[1:] == shape:
            return pixels, valid
        rows = slice(own_top - top, own_bottom - top)
        columns = slice(own_left - left, own_right - left)
        all_pixels, all_valid = np.zeros((3, *shape), dtype=pixels.dtype), np.zeros(shape, dtype=bool)
        all_pixels[:, rows, columns], all_valid[rows, columns] = pixels, valid
        return all_pixels, all_valid


def valid_pixels(
    image: rasterio.DatasetReader, bands: Bands, pixels: NDArray[np.generic], **where: object
) -> NDArray[np.bool_]:
    """Tell which pixels hold something: by alpha or mask and by no-data; finite in every case.

    Args:
        image: the file, or a warped view of it.
        bands: those that were read.
        pixels: (3,H,W), what was read.
        where: `window` or `out_shape`, as they were read.

    Returns:
        (H,W); of the no-data value all three bands must be for a pixel to be empty.
    """
    valid = _with_data(image, pixels)
    alpha = _alpha_band(image)
    if alpha:
        return valid & (image.read(alpha, **where) > 0)
    if MaskFlags.per_dataset in image.mask_flag_enums[bands[0] - 1]:
        return valid & (image.read_masks(bands[0], **where) > 0)
    return valid


def _with_data(image: rasterio.DatasetReader, pixels: NDArray[np.generic]) -> NDArray[np.bool_]:
    valid = np.ones(pixels.shape[1:], dtype=bool)
    if pixels.dtype.kind == "f":
        valid &= np.isfinite(pixels).all(axis=0)
    if image.nodata is not None and not np.isnan(image.nodata):
        valid &= (pixels != image.nodata).any(axis=0)
    return valid


def _whole_shift(image: rasterio.DatasetReader, placed: Placed, grid: Grid) -> tuple[int, int] | None:
    """Return the column and row of the grid where an image on its very pixels begins; None for any other."""
    own, wanted = image.transform, grid.transform
    if placed.source.crs != rasterio.CRS.from_user_input(grid.crs) or not is_north_up(own):
        return None
    # Over the whole image, pixels of another size must not drift apart either.
    drift = max(abs(own.a / wanted.a - 1.0) * image.width, abs(own.e / wanted.e - 1.0) * image.height)
    column, row = (own.c - wanted.c) / wanted.a, (own.f - wanted.f) / wanted.e
    off = max(abs(column - round(column)), abs(row - round(row)))
    return (round(column), round(row)) if drift < _SAME_PLACE and off < _SAME_PLACE else None


def _warped(image: rasterio.DatasetReader, placed: Placed, grid: Grid) -> WarpedVRT:
    options = {
        "src_crs": placed.source.crs,
        "crs": rasterio.CRS.from_user_input(grid.crs),
        "transform": grid.transform,
        "width": grid.width,
        "height": grid.height,
        "resampling": Resampling.average if grid.transform.a > 1.5 * placed.pixel_m else Resampling.bilinear,
    }
    if ColorInterp.alpha not in image.colorinterp:
        if image.nodata is None:
            options["add_alpha"] = True
        else:
            options |= {"src_nodata": image.nodata, "nodata": image.nodata}
    return WarpedVRT(image, **options)


def _alpha_band(image: rasterio.DatasetReader) -> int | None:
    kinds = list(image.colorinterp)
    return kinds.index(ColorInterp.alpha) + 1 if ColorInterp.alpha in kinds else None
