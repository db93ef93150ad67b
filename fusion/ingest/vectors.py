"""Polygons from a vector file: GeoJSON, GeoPackage or Shapefile, in WGS-84."""

import warnings
from pathlib import Path

import geopandas
import pyogrio

from fusion.errors import InputError


def read_polygons(path: Path, what: str) -> geopandas.GeoDataFrame:
    """Read the features of a file, in longitude and latitude of its datum.

    Args:
        path: the file.
        what: what the user calls it, for messages.

    Raises:
        InputError: there is no such file, it is no vector file, has no features or no reference system.
    """
    if not path.is_file():
        raise InputError(f"{what} {path.name}: there is no such file: check the path")
    try:
        with warnings.catch_warnings():
            # GDAL warns of rings that are wound or closed unusually; what is wrong with a geometry is judged later.
            warnings.simplefilter("ignore")
            table = geopandas.read_file(path, engine="pyogrio")
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, UnicodeDecodeError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise InputError(
            f"{what} {path.name} cannot be read ({first}): give GeoJSON, GeoPackage or Shapefile"
        ) from None
    if not isinstance(table, geopandas.GeoDataFrame) or not len(table):
        raise InputError(f"{what} {path.name} has no features: give a file of polygons")
    if table.crs is None:
        raise InputError(f"{what} {path.name} has no coordinate reference system: save it with one (EPSG:4326)")
    return table.to_crs(4326)


def pick_column(columns: list[str], wanted: str | None, default: str | None, where: str, option: str) -> str:
    """Return the attribute that an option names, else the default, else the only one.

    Raises:
        InputError: there is no such attribute, or several and none named.
    """
    name = wanted or default
    have = ", ".join(columns) or "none"
    if name is None and len(columns) == 1:
        return columns[0]
    if name is None:
        raise InputError(f"{where}: say with {option} which property to take: it has {have}")
    if name not in columns:
        raise InputError(f"{where}: no property {name!r}: it has {have}; name one with {option}")
    return name
