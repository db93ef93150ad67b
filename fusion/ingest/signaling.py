"""Signaling exports into a city: one DuckDB scan, H3 on the distinct places only, one commit."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fusion.ingest.options import SignalingOptions

__all__ = ["SignalingOptions", "ingest_signaling"]

Progress = Callable[[float, str], None]


def ingest_signaling(
    files: Sequence[Path], city_path: Path, options: SignalingOptions | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Replace a city's activity by what these exports hold; make the city if there is none.

    Returns:
        The quality report (docs/data-formats.md), as written to `quality.json`.

    Raises:
        InputError: a file, a column or an option cannot be used, or no row remains; the city stays as it was.
        CityLockedError: another writer holds the city.
    """
    raise NotImplementedError
