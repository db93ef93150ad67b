"""Overhead imagery into a city: one cloud-optimised GeoTIFF of three bytes a pixel, in the city's UTM zone."""

import errno
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.windows import Window, from_bounds

from fusion.city import CityWriter, write_city
from fusion.errors import InputError
from fusion.geo.grid import Bounds, check_resolution, utm_crs
from fusion.ingest.frame import add_source, check_overlap, clear_lines, imagery_extent, new_info, provenance, union
from fusion.ingest.options import ImageryOptions
from fusion.ingest.quality import write_quality
from fusion.ingest.rasters import Grid, Source, Warped, broken_file, lay_grid, look_at, open_raster, stretch_limits
from fusion.ingest.times import check_timezone

__all__ = ["ImageryOptions", "ingest_imagery"]

Progress = Callable[[float, str], None]

_BLOCK_PX = 512
_WINDOW_PX = 2048
_CACHE_BYTES = 256 << 20  # rasterio takes a number for bytes, not for megabytes as GDAL would


@dataclass(frozen=True)
class Drawn:
    """What an image holds: its valid pixels, and the sum of their bytes."""

    valid: int
    total: int

    def __add__(self, other: "Drawn") -> "Drawn":
        return Drawn(self.valid + other.valid, self.total + other.total)


def ingest_imagery(
    files: Sequence[Path], city_path: Path, options: ImageryOptions | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Replace a city's imagery by these GeoTIFFs, laid side by side; make the city if there is none.

    Where files overlap, the one named first is seen. No data is 0 in all bands; a valid pixel is 1 to 255.

    Args:
        files: GeoTIFFs of three or more bands of 8 or 16 bits, in any reference system.
        city_path: the city's folder.
        options: size of a pixel, stretch of 16-bit values, zone and resolution of a new city.
        progress: is told the share done, 0 to 1, and what is being done.

    Returns:
        The quality report, whose part `imagery` is new.

    Raises:
        InputError: a file is no imagery of three bands with a place on the ground, or it misses the city.
        CityError: the city cannot be written, for instance on a full disk; it stays as it was.
        CityLockedError: another writer holds the city.
    """
    options = options or ImageryOptions()
    tell = progress or (lambda share, text: None)
    if not files:
        raise InputError("no file was named: give at least one GeoTIFF")
    _check_options(options)
    with write_city(city_path) as writer, clear_lines(city_path.name), rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES):
        tell(0.0, "looking at the files")
        return _take([look_at(Path(file)) for file in files], writer, options, tell)


def _check_options(options: ImageryOptions) -> None:
    low, high = options.stretch
    if not 0 <= low < high <= 100:
        raise InputError(f"stretch {low} to {high} is no range of percentiles: use for instance 2 and 98")
    if options.pixel_m is not None and not 0.01 <= options.pixel_m <= 10_000:
        raise InputError(f"a pixel of {options.pixel_m} m cannot be: use 0.01 to 10000")
    if options.timezone:
        check_timezone(options.timezone)
    if options.resolution is not None:
        check_resolution(options.resolution)


def _take(sources: list[Source], writer: CityWriter, options: ImageryOptions, tell: Progress) -> dict[str, Any]:
    info = writer.info
    reach = union([source.extent for source in sources])
    holds_more = any((writer.path / name).is_file() for name in ("activity.parquet", "functions.parquet"))
    if info and holds_more:
        check_overlap("imagery", reach, f"city {info.name}", info.bounds)
    west, south, east, north = info.bounds if info and holds_more else reach
    grid, boxes = lay_grid(sources, utm_crs((west + east) / 2, (south + north) / 2), options.pixel_m)
    tell(0.05, "measuring brightness")
    limits = stretch_limits(sources, options.stretch)
    scratch = writer.new_folder("imagery")
    draft = scratch / "draft.tif"
    drawn = _mosaic(draft, sources, boxes, grid, limits, tell)
    if not drawn.valid:
        raise InputError(f"{sources[0].path.name}: no pixel is valid: check its no-data value")
    tell(0.75, "writing overviews")
    _optimise(draft, scratch / "imagery.tif")
    _check_written(scratch / "imagery.tif", drawn)
    (scratch / "imagery.tif").replace(writer.new("imagery.tif"))
    extent = imagery_extent(writer.new("imagery.tif"))
    base = info or new_info(writer.path.name, extent, options.resolution, options.timezone)
    names = [source.path.name for source in sources]
    described = replace(
        base,
        bounds=base.bounds if holds_more else extent,
        provenance=provenance(writer, "imagery.tif"),
        sources=add_source(base, "imagery", names),
    )
    report = {
        "files": names,
        "crs": f"EPSG:{grid.crs.to_epsg()}",
        "pixel_m": float(grid.transform.a),
        "width": grid.width,
        "height": grid.height,
        "share_valid": drawn.valid / (grid.width * grid.height),
        "stretched": limits,
        "warnings": _warnings(names, boxes, grid),
        "extents": {"imagery": extent},
    }
    report = write_quality(writer, "imagery", report)
    tell(0.9, "committing")
    writer.commit(described)
    tell(1.0, "done")
    return report


def _mosaic(
    path: Path,
    sources: list[Source],
    boxes: list[Bounds],
    grid: Grid,
    limits: list[tuple[float, float]] | None,
    tell: Progress,
) -> Drawn:
    """Draw every file into one image, a window at a time."""
    profile = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": 3,
        "width": grid.width,
        "height": grid.height,
        "crs": rasterio.CRS.from_user_input(grid.crs),
        "transform": grid.transform,
        "nodata": 0,
        "tiled": True,
        "blockxsize": _BLOCK_PX,
        "blockysize": _BLOCK_PX,
        "sparse_ok": True,
        "photometric": "rgb",
        "bigtiff": "if_safer",
    }
    windows = [list(_windows(box, grid)) for box in boxes]
    total, done, drawn = sum(len(own) for own in windows), 0, Drawn(0, 0)
    with rasterio.open(path, "w+", **profile) as target:
        for source, own in zip(sources, windows, strict=True):
            with open_raster(source.path) as image, broken_file(source.path), Warped(image, source, grid) as warped:
                for window in own:
                    new = warped.read(window, limits)
                    old = target.read(window=window)
                    taken = (old == 0).all(axis=0) & (new > 0).all(axis=0)
                    if taken.any():
                        target.write(np.where(taken, new, old), window=window)
                        drawn += Drawn(int(taken.sum()), int(new[:, taken].sum(dtype=np.int64)))
                    done += 1
                    tell(0.1 + 0.65 * done / total, f"drawing {source.path.name}")
    return drawn


def _windows(box: Bounds, grid: Grid) -> Iterator[Window]:
    """Windows of the grid, on its blocks, that meet a file."""
    area = from_bounds(*box, transform=grid.transform)
    left, top = max(int(area.col_off) - 1, 0), max(int(area.row_off) - 1, 0)
    right = min(int(np.ceil(area.col_off + area.width)) + 1, grid.width)
    bottom = min(int(np.ceil(area.row_off + area.height)) + 1, grid.height)
    for row in range(top // _BLOCK_PX * _BLOCK_PX, bottom, _WINDOW_PX):
        for column in range(left // _BLOCK_PX * _BLOCK_PX, right, _WINDOW_PX):
            width, height = min(_WINDOW_PX, grid.width - column), min(_WINDOW_PX, grid.height - row)
            yield Window(column, row, width, height)


def _optimise(draft: Path, path: Path) -> None:
    rasterio.shutil.copy(
        draft,
        path,
        driver="COG",
        compress="DEFLATE",
        predictor="2",
        blocksize=_BLOCK_PX,
        overview_resampling="AVERAGE",
        bigtiff="IF_SAFER",
    )


def _check_written(path: Path, drawn: Drawn) -> None:
    """Read an image back: GDAL does not tell of blocks that a full disk did not take."""
    found = Drawn(0, 0)
    with rasterio.open(path) as image:
        for top in range(0, image.height, _BLOCK_PX):
            window = Window(0, top, image.width, min(_BLOCK_PX, image.height - top))
            pixels = image.read(window=window)
            found += Drawn(int((pixels > 0).all(axis=0).sum()), int(pixels.sum(dtype=np.int64)))
        levels = len(image.overviews(1))
        share = drawn.valid / (image.width * image.height)
    torn = found != drawn
    for level in range(levels):
        with rasterio.open(path, overview_level=level) as image:
            # An average is valid where any of its pixels is, so that an overview has no smaller share.
            torn |= float((image.dataset_mask() > 0).mean()) < 0.9 * share
    if torn:
        raise OSError(errno.ENOSPC, "the imagery did not reach the disk whole: is it full?")


def _warnings(names: list[str], boxes: list[Bounds], grid: Grid) -> list[str]:
    """Name the files that neither adjoin nor overlap the first, directly or through others."""
    slack = 1.5 * grid.transform.a
    reached, waiting = set(), [0]
    while waiting:
        one = waiting.pop()
        reached.add(one)
        west, south, east, north = boxes[one]
        for other, box in enumerate(boxes):
            near = (
                box[0] <= east + slack
                and box[2] >= west - slack
                and box[1] <= north + slack
                and box[3] >= south - slack
            )
            if near and other not in reached:
                waiting.append(other)
    apart = [name for number, name in enumerate(names) if number not in reached]
    return [f"a gap parts {', '.join(apart[:5])} from {names[0]}: is a tile missing?"] if apart else []
