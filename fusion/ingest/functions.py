"""Polygons of region functions into a city: to the class with the largest share of each cell."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

Progress = Callable[[float, str], None]


def ingest_functions(
    file: Path, city_path: Path, field: str, mapping: Path | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Replace a city's labelled functions by those of polygons; make the city if there is none.

    Args:
        file: GeoJSON, GeoPackage or Shapefile of polygons.
        city_path: the city's folder.
        field: the column that holds the class.
        mapping: TOML table from values of that column to class ids; without it the values are class ids.

    Returns:
        The quality report, whose part `functions` is new.

    Raises:
        InputError: the file, the column or the mapping cannot be used, or no polygon meets the city.
        CityLockedError: another writer holds the city.
    """
    raise NotImplementedError
