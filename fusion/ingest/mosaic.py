"""Many image files drawn into one, a strip of rows at a time: by one thread from all files that the strip meets."""

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window, from_bounds

from fusion.fingerprint import STRIP_ROWS
from fusion.ingest.rasters import Grid, Placed, broken_file
from fusion.ingest.stretch import Limits, Stretch
from fusion.ingest.strips import BLOCK_PX, Strip, in_order, strip_windows
from fusion.ingest.views import View


def draw(
    path: Path, files: list[Placed], grid: Grid, limits: Limits | None, tell: Callable[[float, str], None]
) -> list[Strip]:
    """Draw every file into one image of bytes; where files overlap, the first is seen.

    Args:
        path: the image to write: tiled, not compressed, 0 where there is nothing.
        files: the files on the grid.
        grid: its pixels.
        limits: what `stretch_limits` found.
        tell: is told the share done, 0 to 1, and the file being drawn.

    Returns:
        What each strip holds, from the top.

    Raises:
        InputError: a file is broken.
    """
    profile = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": 3,
        "width": grid.width,
        "height": grid.height,
        "crs": rasterio.CRS.from_user_input(grid.crs),
        "transform": grid.transform,
        "tiled": True,
        "blockxsize": BLOCK_PX,
        "blockysize": BLOCK_PX,
        "sparse_ok": True,
        "photometric": "rgb",
        "bigtiff": "if_safer",
    }
    stretches = [Stretch(placed.source, limits) for placed in files]
    reaches = [_reach(placed, grid) for placed in files]

    def compose(window: Window) -> tuple[NDArray[np.uint8], Strip, str]:
        canvas = Canvas(window)
        name = ""
        for placed, stretch, reach in zip(files, stretches, reaches, strict=True):
            own = _common(window, reach)
            if own is not None and not canvas.is_full:
                name = name or placed.source.path.name
                canvas.draw(own, placed, stretch, grid)
        pixels, valid = canvas.finish()
        return pixels, Strip(valid, zlib.adler32(pixels.data)), name

    strips: list[Strip] = []
    windows = list(strip_windows(grid.width, grid.height))
    deepest = max(np.dtype(placed.source.dtype).itemsize for placed in files)
    bytes_each = 3 * STRIP_ROWS * grid.width * (1 + deepest)
    with rasterio.open(path, "w", **profile) as target:
        for window, (pixels, strip, name) in zip(windows, in_order(compose, windows, bytes_each), strict=True):
            if strip.valid:
                target.write(pixels, window=window)
            strips.append(strip)
            tell(len(strips) / len(windows), name)
    return strips


class Canvas:
    """A strip that is being drawn: what came first stays."""

    def __init__(self, window: Window) -> None:
        """Begin with nothing in a window of the grid."""
        self._window = window
        self._pixels: NDArray[np.uint8] | None = None
        self._taken: NDArray[np.bool_] | None = None

    @property
    def is_full(self) -> bool:
        """Whether nothing could be added."""
        return self._taken is not None and bool(self._taken.all())

    def draw(self, own: Window, placed: Placed, stretch: Stretch, grid: Grid) -> None:
        """Add what a file has in `own`, a part of the strip, where nothing is yet."""
        # Without open_raster: filters of warnings cannot be set in several threads at once.
        path = placed.source.path
        with broken_file(path), rasterio.open(path) as image, View(image, placed, grid) as view:
            seen = view.read(own)
        if seen is None:
            return
        pixels, valid = stretch.to_bytes(seen[0]), seen[1]
        if self._pixels is None or self._taken is None:
            if own == self._window:
                self._pixels, self._taken = pixels if valid.all() else pixels * valid, valid
                return
            shape = int(self._window.height), int(self._window.width)
            self._pixels, self._taken = np.zeros((3, *shape), dtype=np.uint8), np.zeros(shape, dtype=bool)
        top, left = int(own.row_off - self._window.row_off), int(own.col_off - self._window.col_off)
        there = slice(top, top + int(own.height)), slice(left, left + int(own.width))
        new = valid & ~self._taken[there]
        np.copyto(self._pixels[:, *there], pixels, where=new)
        self._taken[there] |= new

    def finish(self) -> tuple[NDArray[np.uint8], int]:
        """Return (3,H,W) bytes and how many pixels are valid."""
        if self._pixels is None or self._taken is None:
            return np.zeros((3, int(self._window.height), int(self._window.width)), dtype=np.uint8), 0
        return self._pixels, int(self._taken.sum())


def _reach(placed: Placed, grid: Grid) -> Window:
    """The part of the grid that a file may meet, a pixel wider on each side."""
    area = from_bounds(*placed.box, transform=grid.transform)
    left, top = max(int(np.floor(area.col_off)) - 1, 0), max(int(np.floor(area.row_off)) - 1, 0)
    right = min(int(np.ceil(area.col_off + area.width)) + 1, grid.width)
    bottom = min(int(np.ceil(area.row_off + area.height)) + 1, grid.height)
    return Window(left, top, right - left, bottom - top)


def _common(one: Window, other: Window) -> Window | None:
    left, top = max(one.col_off, other.col_off), max(one.row_off, other.row_off)
    right = min(one.col_off + one.width, other.col_off + other.width)
    bottom = min(one.row_off + one.height, other.row_off + other.height)
    return Window(left, top, right - left, bottom - top) if right > left and bottom > top else None
