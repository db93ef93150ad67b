"""Overhead imagery into a city: one cloud-optimised GeoTIFF of three bytes a pixel, in the city's UTM zone."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import rasterio

from fusion.city import CityWriter, write_city
from fusion.errors import InputError
from fusion.geo.grid import Bounds, check_resolution, utm_crs
from fusion.ingest.cog import check_written, optimise
from fusion.ingest.frame import add_source, check_overlap, clear_lines, imagery_extent, new_info, provenance, union
from fusion.ingest.mosaic import draw
from fusion.ingest.options import ImageryOptions
from fusion.ingest.quality import write_quality
from fusion.ingest.rasters import Grid, Source, lay_grid, look_at
from fusion.ingest.stretch import stretch_limits
from fusion.ingest.times import check_timezone

__all__ = ["ImageryOptions", "ingest_imagery"]

Progress = Callable[[float, str], None]

_CACHE_BYTES = 256 << 20  # rasterio takes a number for bytes, not for megabytes as GDAL would


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
        return _take([look_at(Path(file), options.bands) for file in files], writer, options, tell)


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
    grid, placed = lay_grid(sources, utm_crs((west + east) / 2, (south + north) / 2), options.pixel_m)
    tell(0.05, "measuring brightness")
    limits = stretch_limits(sources, options.stretch)
    scratch = writer.new_folder("imagery")
    draft = scratch / "draft.tif"
    strips = draw(draft, placed, grid, limits, lambda done, name: tell(0.1 + 0.5 * done, f"drawing {name}".rstrip()))
    valid = sum(strip.valid for strip in strips)
    if not valid:
        raise InputError(f"{sources[0].path.name}: no pixel is valid: check its no-data value")
    tell(0.6, "writing overviews")
    optimise(draft, scratch / "imagery.tif", strips)
    draft.unlink()
    tell(0.9, "checking")
    fingerprint = check_written(scratch / "imagery.tif", strips)
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
        "share_valid": valid / (grid.width * grid.height),
        "bands": sources[0].bands,
        "stretched": limits,
        "warnings": _warnings(names, [one.box for one in placed], grid),
        "extents": {"imagery": extent},
    }
    report = write_quality(writer, "imagery", report)
    tell(0.95, "committing")
    writer.commit(described, {"imagery": fingerprint})
    tell(1.0, "done")
    return report


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
