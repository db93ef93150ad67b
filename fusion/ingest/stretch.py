"""How values of more than 8 bits become bytes: linear between two percentiles, the same for all files of a city."""

import numpy as np
from numpy.typing import NDArray

from fusion.errors import InputError
from fusion.ingest.rasters import BYTES, Source, broken_file, open_raster
from fusion.ingest.views import valid_pixels

Limits = list[tuple[float, float]]

_SAMPLE_PX = 2_000_000
_ROWS = 256


def stretch_limits(sources: list[Source], percentiles: tuple[float, float]) -> Limits | None:
    """Find the values that become 1 and 255, by band, over all deep files together; None if all hold bytes.

    Every file gives pixels in proportion to its size, two million in all.

    Args:
        sources: the files.
        percentiles: lower and upper, 0 to 100.

    Raises:
        InputError: a file is broken, or none has a valid pixel.
    """
    deep = [source for source in sources if source.is_deep]
    if not deep:
        return None
    step = max(np.sqrt(sum(source.pixels for source in deep) / _SAMPLE_PX), 1.0)
    samples = []
    for source in deep:
        with open_raster(source.path) as image, broken_file(source.path):
            shape = max(round(image.height / step), 1), max(round(image.width / step), 1)
            pixels = image.read(list(source.bands), out_shape=(3, *shape))
            samples.append(pixels[:, valid_pixels(image, source.bands, pixels, out_shape=shape)])
    values = np.concatenate(samples, axis=1)
    if not values.size:
        raise InputError(f"{deep[0].path.name} has no valid pixel: check its no-data value")
    limits = []
    for band in values:
        low, high = (float(value) for value in np.percentile(band, percentiles, method="inverted_cdf"))
        # A band of one value has no contrast to stretch: it becomes grey.
        limits.append((low, high) if high > low else (low - 1.0, low + 1.0))
    return limits


class Stretch:
    """Turns a file's pixels into bytes of 1 to 255."""

    def __init__(self, source: Source, limits: Limits | None) -> None:
        """Prepare for one file; `limits` are those of `stretch_limits`, None where all files hold bytes."""
        self._limits = limits if source.is_deep else None
        self._tables: list[NDArray[np.uint8]] = []
        if self._limits and source.dtype in ("uint16", "int16"):
            # The value of each of the 65,536 patterns of bits: looked up faster than computed.
            values = np.arange(1 << 16, dtype=np.uint16).view(source.dtype)
            self._tables = [_stretched(values, *limit) for limit in self._limits]

    def to_bytes(self, pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Return (3,H,W) bytes, perhaps in the array given; what is not finite becomes 1, to be blanked out."""
        if self._limits is None:
            # In place: a strip of a large image has some 30 MB.
            return np.maximum(pixels, 1, out=pixels).astype(BYTES, copy=False)
        out = np.empty(pixels.shape, dtype=np.uint8)
        for band, limit in enumerate(self._limits):
            if self._tables:
                np.take(self._tables[band], pixels[band].view(np.uint16), out=out[band], mode="clip")
                continue
            for top in range(0, pixels.shape[1], _ROWS):
                out[band, top : top + _ROWS] = _stretched(pixels[band, top : top + _ROWS], *limit)
        return out


def _stretched(values: NDArray[np.generic], low: float, high: float) -> NDArray[np.uint8]:
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = np.rint((values.astype(np.float64) - low) / (high - low) * 254.0 + 1.0)
    return np.clip(np.nan_to_num(scaled, nan=1.0), 1, 255).astype(np.uint8)
