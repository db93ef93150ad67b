"""A drawn image as a cloud-optimised GeoTIFF, read back once it is written."""

import errno
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio
import rasterio.errors
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window

from fusion.fingerprint import STRIP_ROWS, ImageryFingerprint
from fusion.ingest.strips import BLOCK_PX, Strip, in_order, strip_windows, threads


def optimise(draft: Path, path: Path, strips: list[Strip]) -> None:
    """Copy a drawn image as a cloud-optimised GeoTIFF with overviews, in which 0 is no data.

    GDAL's driver for such files would write the overviews to a compressed file first: added to the draft, which is
    not compressed, they cost a third. Where every pixel is valid they are averaged before the no-data value is set,
    because that is faster and comes to the same.

    Args:
        draft: what `draw` wrote; it gets the overviews.
        path: the file to write.
        strips: what `draw` returned.

    Raises:
        OSError: GDAL could not write.
    """
    try:
        with rasterio.Env(GDAL_NUM_THREADS=str(threads())), rasterio.open(draft, "r+") as image:
            size = image.width, image.height
            if sum(strip.valid for strip in strips) < size[0] * size[1]:
                image.nodata = 0
            # As GDAL does: halved until an overview is one block.
            levels = [2**power for power in range(1, 32) if max(size) > BLOCK_PX * 2 ** (power - 1)]
            if levels:
                image.build_overviews(levels, Resampling.average)
            image.nodata = 0
        rasterio.shutil.copy(
            draft,
            path,
            driver="COG",
            compress="DEFLATE",
            predictor="2",
            blocksize=BLOCK_PX,
            overview_resampling="AVERAGE",
            bigtiff="IF_SAFER",
            num_threads=str(threads()),
        )
    except rasterio.errors.RasterioError as error:
        raise _failed(error) from error


def check_written(path: Path, strips: list[Strip]) -> str:
    """Read an image back: GDAL does not tell of blocks that a full disk did not take.

    Args:
        path: the file that `optimise` wrote.
        strips: what `draw` returned.

    Returns:
        The image's fingerprint.

    Raises:
        OSError: it does not hold what was drawn.
    """
    try:
        with rasterio.open(path) as image:
            size, levels = (image.width, image.height), len(image.overviews(1))
            fingerprint = ImageryFingerprint(image)
        torn = False
        for pixels, strip in zip(_pixels(path, size), strips, strict=True):
            torn |= zlib.adler32(pixels.data) != strip.checksum
            fingerprint.add(pixels)
        share = sum(strip.valid for strip in strips) / (size[0] * size[1])
        for level in range(levels):
            with rasterio.open(path, overview_level=level) as image:
                size = image.width, image.height
            valid = sum(int(pixels.any(axis=0).sum()) for pixels in _pixels(path, size, level))
            # An average is valid where any of its pixels is, so that an overview has no smaller share.
            torn |= valid < 0.9 * share * size[0] * size[1]
    except rasterio.errors.RasterioError as error:
        raise _failed(error) from error
    if torn:
        raise OSError(errno.ENOSPC, "the imagery did not reach the disk whole: is it full?")
    return fingerprint.hexdigest()


def _pixels(path: Path, size: tuple[int, int], level: int | None = None) -> Iterator[NDArray[np.uint8]]:
    """Yield an image's strips, or those of one of its overviews, from the top."""
    options = {} if level is None else {"overview_level": level}

    def read(window: Window) -> NDArray[np.uint8]:
        with rasterio.open(path, **options) as image:
            return image.read(window=window)

    return in_order(read, strip_windows(*size), 2 * 3 * STRIP_ROWS * size[0])


def _failed(error: rasterio.errors.RasterioError) -> OSError:
    return OSError(" ".join(str(error.__cause__ or error).split()))
