"""What ingest saw: `quality.json`, one report of all parts of a city."""

from typing import Any

from fusion.city import City


def load_quality(city: City) -> dict[str, Any]:
    """Return the quality report of a city; the counts of rows are there, and 0, even before any signaling came."""
    raise NotImplementedError
