"""What a user gives to name regions, a polygon or a list of cells -> cells of the city."""

import json
import re
from typing import Any

import h3.api.basic_int as h3
import numpy as np
import shapely

from fusion.errors import InputError
from fusion.geo import grid
from fusion.geo.grid import Cells

_LIST = re.compile(r"[\s,;\"'\[\]\ufeff]+")  # a list copied from a file may begin with its byte order mark
_WGS84 = ("CRS84", "4326")


def read_polygons(content: bytes, name: str) -> shapely.Geometry:
    """Read the polygons of a GeoJSON file: a FeatureCollection, a Feature or a bare geometry, WGS-84.

    Args:
        content: the file.
        name: of the file, for messages.

    Raises:
        InputError: not JSON, no polygon in it, other coordinates than degrees, or another coordinate system.
    """
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise InputError(f"{name}: not UTF-8 text: save it as GeoJSON in UTF-8") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{name}: not JSON (line {error.lineno}: {error.msg}): give a GeoJSON file") from None
    if not isinstance(document, dict):
        raise InputError(f"{name}: not GeoJSON: give a FeatureCollection, a Feature or a Polygon")
    crs = json.dumps(document.get("crs") or "")
    if crs != '""' and not any(known in crs for known in _WGS84):
        raise InputError(f"{name}: its coordinate system is not WGS-84: save it as EPSG:4326")
    found: list[shapely.Geometry] = []
    for number, geometry in enumerate(_geometries(document)):
        if geometry.get("type") not in ("Polygon", "MultiPolygon"):
            continue
        try:
            shape = shapely.from_geojson(json.dumps(geometry))
        except shapely.errors.GEOSException as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{name}: geometry {number} cannot be read ({reason}): mend it") from None
        found.append(shapely.make_valid(shape))
    merged = shapely.union_all(found)
    if merged.is_empty:
        raise InputError(f"{name}: no Polygon or MultiPolygon in it: draw one around the regions")
    west, south, east, north = merged.bounds
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise InputError(f"{name}: coordinates such as ({west:.0f}, {south:.0f}) are no degrees: save it as EPSG:4326")
    return merged


def cells_within(geometry: shapely.Geometry, cells: Cells) -> Cells:
    """Return those of `cells` whose centres lie in a geometry (degrees, WGS-84), ascending."""
    lon, lat = grid.centres(cells)
    return np.sort(np.asarray(cells, dtype=np.uint64)[shapely.contains_xy(geometry, lon, lat)])


def read_cells(text: str, cells: Cells, resolution: int) -> tuple[Cells, list[str]]:
    """Read a list of H3 cells, parted by spaces, lines, commas or semicolons; a coarser one stands for its children.

    Args:
        text: the list.
        cells: (M,) the city's own.
        resolution: of the city's cells.

    Returns:
        Those of the city, ascending, and the spelling of those named that have no cell in the city.

    Raises:
        InputError: the list is empty, an item is no cell, or a cell is finer than the city's.
    """
    items = [item for item in _LIST.split(text.strip()) if item]
    if not items:
        raise InputError("the list names no cell: give H3 indexes such as 8940e1b2d2bffff")
    named = grid.from_hex(items)
    known = np.asarray(cells, dtype=np.uint64)
    chosen: list[np.ndarray] = []
    outside = []
    for item, cell in zip(items, named.tolist(), strict=True):
        level = h3.get_resolution(cell)
        if level > resolution:
            raise InputError(f"cell {item} is of resolution {level}, the city's are of {resolution}: give coarser ones")
        members = known[grid.parents_at(known, level) == cell] if level < resolution else known[known == cell]
        chosen.append(members)
        if not len(members):
            outside.append(item)
    return np.unique(np.concatenate(chosen)), outside


def ring_cells(centre: int, k: int, cells: Cells) -> Cells:
    """Return the city's cells within k steps of a cell, ascending."""
    return np.intersect1d(grid.disk(centre, k), np.asarray(cells, dtype=np.uint64))


def _geometries(document: dict[str, Any]) -> list[dict[str, Any]]:
    kind = document.get("type")
    if kind == "FeatureCollection":
        parts = [feature for feature in document.get("features") or [] if isinstance(feature, dict)]
        return [geometry for part in parts for geometry in _geometries(part)]
    if kind == "Feature":
        return _geometries(document.get("geometry") or {})
    if kind == "GeometryCollection":
        return [geometry for part in document.get("geometries") or [] for geometry in _geometries(part)]
    return [document]
