"""What an ingest and the city it goes into have to agree on: bounds, overlap, description."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import rasterio
import rasterio.warp

from fusion.city import CityInfo, CityWriter
from fusion.errors import CityError, InputError
from fusion.geo.grid import Bounds

DEFAULT_RESOLUTION = 9
DEFAULT_TIMEZONE = "Asia/Shanghai"


def spell(bounds: Bounds) -> str:
    """Spell a box for a message."""
    west, south, east, north = bounds
    return f"{west:.4f},{south:.4f} to {east:.4f},{north:.4f}"


def overlap(one: Bounds, other: Bounds) -> bool:
    """Tell whether two boxes share ground."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def union(boxes: list[Bounds]) -> Bounds:
    """Return the box around boxes."""
    west, south, east, north = zip(*boxes, strict=True)
    return min(west), min(south), max(east), max(north)


def check_overlap(what: str, extent: Bounds, other: str, other_extent: Bounds) -> None:
    """Raise InputError, naming both extents, unless they share ground."""
    if not overlap(extent, other_extent):
        raise InputError(
            f"{what} covers {spell(extent)} and {other} {spell(other_extent)} (longitude,latitude): they do not "
            "overlap; check the files and the datum, or name another city"
        )


def imagery_extent(path: Path) -> Bounds:
    """Return the box of a city's imagery in degrees, WGS-84."""
    with rasterio.open(path) as image:
        return rasterio.warp.transform_bounds(image.crs, 4326, *image.bounds)


def add_source(info: CityInfo, part: str, names: list[str]) -> tuple[str, ...]:
    """Return the city's sources with those of one part replaced."""
    listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    kept = [source for source in info.sources if not source.startswith(f"{part}: ")]
    return (*kept, f"{part}: {listed}")


def new_info(name: str, bounds: Bounds, resolution: int | None, timezone: str | None) -> CityInfo:
    """Describe a city that ingest makes: named after its folder, real."""
    return CityInfo(
        name=name,
        title_en=name,
        title_zh=name,
        bounds=bounds,
        resolution=DEFAULT_RESOLUTION if resolution is None else resolution,
        timezone=timezone or DEFAULT_TIMEZONE,
        provenance="real",
    )


def provenance(writer: CityWriter, part: str) -> str:
    """Return `real` when nothing synthetic remains once that part is replaced."""
    info = writer.info
    if info is None or info.provenance == "real":
        return "real"
    others = [name for name in ("activity.parquet", "imagery.tif", "functions.parquet") if name != part]
    return info.provenance if any((writer.path / name).is_file() for name in others) else "real"


@contextmanager
def clear_lines(name: str) -> Iterator[None]:
    """Turn what a full disk or a failing engine raises into one line; the open transaction then falls away."""
    try:
        yield
    except (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.InvalidInputException, OSError) as error:
        text = " ".join(str(error).split())
        raise CityError(f"city {name} was not changed: {text[:300]}") from error
