"""How the server's own routes are addressed. Root-relative, behind the base path, spelled here and nowhere else.

Addresses carry `v`, a digest of the files that the answer comes from: the browser may keep an answer for as long as it
likes, and an ingest gives every answer a new address.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import pandas as pd

from fusion.city import City

HOUR_FORMAT = "%Y-%m-%dT%HZ"


class Stamp(NamedTuple):
    """A file as it lay on disk: a key for caches. Size in bytes, -1 where there is no file."""

    path: str
    size: int
    mtime_ns: int


def stamp(path: Path) -> Stamp:
    """Return the stamp of a file, present or not."""
    try:
        found = path.stat()
    except OSError:
        return Stamp(str(path), -1, 0)
    return Stamp(str(path), found.st_size, found.st_mtime_ns)


def version(*paths: Path) -> str:
    """Return 8 digits that change when one of the files does."""
    return hashlib.sha256(repr([stamp(path) for path in paths]).encode()).hexdigest()[:8]


def prefix(base: str) -> str:
    """Return the base path with one leading slash and none behind; "" for none."""
    inner = base.strip("/")
    return f"/{inner}" if inner else ""


def imagery_version(city: City) -> str:
    """Return the version of everything that draws the imagery."""
    return version(city.imagery)


def activity_version(city: City) -> str:
    """Return the version of everything that colours the cells."""
    return version(city.path / "city.toml", city.activity, city.functions)


def tile_template(base: str, city: City) -> str:
    """Return the address of the tiles, with MapLibre's {z}, {x} and {y} in it."""
    return f"{prefix(base)}/tiles/{city.name}/{{z}}/{{x}}/{{y}}.png?v={imagery_version(city)}"


def style_address(base: str, city: City) -> str:
    """Return the address of the city's MapLibre style."""
    return f"{prefix(base)}/tiles/{city.name}/style.json?v={imagery_version(city)}"


def activity_address(
    base: str, city: City, hour: pd.Timestamp, measure: str, resolution: int | None = None, view: str = "value"
) -> str:
    """Return the address of one hour of every cell, coloured."""
    return _hour_address(base, city, "activity", hour, measure, resolution, view=view)


def missing_address(base: str, city: City, hour: pd.Timestamp, measure: str, resolution: int | None = None) -> str:
    """Return the address of the cells that the hour misses."""
    return _hour_address(base, city, "missing", hour, measure, resolution)


def _hour_address(
    base: str, city: City, what: str, hour: pd.Timestamp, measure: str, resolution: int | None, **more: str
) -> str:
    query = {
        "hour": hour.tz_convert("UTC").strftime(HOUR_FORMAT),
        "measure": measure,
        "resolution": resolution if resolution is not None else city.info.resolution,
        **more,
        "v": activity_version(city),
    }
    return f"{prefix(base)}/api/{city.name}/{what}?{urlencode(query)}"
