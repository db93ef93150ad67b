"""Overhead imagery into a city: one cloud-optimised GeoTIFF of three bytes a pixel, in the city's UTM zone."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fusion.ingest.options import ImageryOptions

__all__ = ["ImageryOptions", "ingest_imagery"]

Progress = Callable[[float, str], None]


def ingest_imagery(
    files: Sequence[Path], city_path: Path, options: ImageryOptions | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Replace a city's imagery by these GeoTIFFs, laid side by side; make the city if there is none.

    Returns:
        The quality report, whose part `imagery` is new.

    Raises:
        InputError: a file is no imagery of three bands with a place on the ground, or it misses the city.
        CityLockedError: another writer holds the city.
    """
    raise NotImplementedError
