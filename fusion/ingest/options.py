"""What a user may say about an export: options of the three ingest functions."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SignalingOptions:
    """How to read a signaling export; None means: by the preset, the header or the city.

    Attributes:
        preset: `daas` or `milan` (`fusion.ingest.presets.PRESETS`).
        time: column of the time; two joined by `+` where date and hour lie apart (`日期+小时`).
        lon, lat: columns of the place in degrees.
        h3: column of H3 cells, instead of `lon` and `lat`.
        grid_id: column of grid ids; needs `grid`, a GeoJSON file, whose property `grid_property` has the ids.
        values: columns of counts.
        datum: datum of lon/lat and of the grid, one of `fusion.geo.datum.DATUMS`.
        timezone: IANA name; the zone of times without an offset, and the city's.
        resolution: H3 resolution of the city's cells.
        min_count: sums from 1 to this one are suppressed; 0: none.
    """

    preset: str | None = None
    time: str | None = None
    lon: str | None = None
    lat: str | None = None
    h3: str | None = None
    grid_id: str | None = None
    grid: Path | None = None
    grid_property: str | None = None
    values: tuple[str, ...] = ()
    datum: str | None = None
    timezone: str | None = None
    resolution: int | None = None
    min_count: int | None = None


@dataclass(frozen=True)
class ImageryOptions:
    """How to bring imagery in.

    Attributes:
        pixel_m: edge of a pixel in metres; None: the source's, where it is finest.
        stretch: lower and upper percentile that 16-bit values are stretched between.
        timezone, resolution: of a city that the imagery makes; an existing city keeps its own.
    """

    pixel_m: float | None = None
    stretch: tuple[float, float] = (2.0, 98.0)
    timezone: str | None = None
    resolution: int | None = None
