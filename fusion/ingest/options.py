"""What a user may say about an export: options of the ingest functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fusion.errors import InputError


@dataclass(frozen=True)
class SignalingOptions:
    """How to read a signaling export; None means: by the preset, the header or the city.

    Attributes:
        preset: `daas`, `devices` or `milan` (`fusion.ingest.presets.PRESETS`).
        time: column of the time; two joined by `+` where date and hour lie apart (`日期+小时`).
        lon, lat: columns of the place in degrees.
        h3: column of H3 cells, instead of `lon` and `lat`.
        wkt: column of points or polygons as well-known text.
        grid_id: column of grid ids (two joined by `+` where row and column lie apart); needs a grid.
        grid: its GeoJSON file, whose property `grid_property` has the ids; or else
        grid_origin: its corner, `LON,LAT`, with grid_size: `500m`, `250x500m`, `0.005deg` (width x height);
            see `fusion.ingest.lattice` for the arithmetic.
        grid_order: `row_col` or `col_row`; grid_columns: squares in a row, where an id is one number;
            grid_first: the first number (0 for pairs, 1 for single ones); grid_corner: `sw` or `nw`.
        values: columns of counts.
        user: column that tells devices apart, of device records.
        tower: their column of cell towers (two joined by `+`: `lac+ci`), instead of a place; needs
        towers: the tower table, whose ids stand in `tower_property`; `lon` and `lat` are then columns of it.
        datum: datum of lon/lat and of the grid, one of `fusion.geo.datum.DATUMS`.
        timezone: IANA name; the zone of times without an offset, and the city's.
        resolution: H3 resolution of the city's cells.
        min_count: sums above 0 and up to this one are suppressed; 0: none.
        min_counts: the same for single measures: (id or column, threshold) pairs.
    """

    preset: str | None = None
    time: str | None = None
    lon: str | None = None
    lat: str | None = None
    h3: str | None = None
    wkt: str | None = None
    grid_id: str | None = None
    grid: Path | None = None
    grid_property: str | None = None
    grid_origin: str | None = None
    grid_size: str | None = None
    grid_order: str = "row_col"
    grid_columns: int | None = None
    grid_first: int | None = None
    grid_corner: str = "sw"
    values: tuple[str, ...] = ()
    user: str | None = None
    tower: str | None = None
    towers: Path | None = None
    tower_property: str | None = None
    datum: str | None = None
    timezone: str | None = None
    resolution: int | None = None
    min_count: int | None = None
    min_counts: tuple[tuple[str, int], ...] = ()


def read_thresholds(texts: Sequence[str]) -> tuple[int | None, tuple[tuple[str, int], ...]]:
    """Read `15` (every measure) and `outflow=5` (one of them) into `min_count` and `min_counts`.

    Raises:
        InputError: a text is neither, or a threshold comes twice.
    """
    general: int | None = None
    single: dict[str, int] = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        name, number = name.strip(), number.strip()
        if not (number.isascii() and number.removeprefix("-").isdigit()) or len(number) > 9:
            raise InputError(f"--min-count {text!r} is no threshold: give a count such as 15, or MEASURE=15")
        if name in single or (not name and general is not None):
            raise InputError(f"--min-count is given twice for {name or 'every measure'}: give it once")
        if name:
            single[name] = int(number)
        else:
            general = int(number)
    return general, tuple(single.items())


@dataclass(frozen=True)
class Resources:
    """What an ingest of signaling may use.

    Attributes:
        memory_bytes: of each process, all in all; None: what suits the machine.
        jobs: processes; None: one, or on a cluster all its CPUs. One process already uses all cores.
        backend: `local` or `ray`.
    """

    memory_bytes: int | None = None
    jobs: int | None = None
    backend: str = "local"

    @property
    def in_parts(self) -> bool:
        """Whether the files are divided among processes."""
        return self.backend != "local" or (self.jobs or 1) > 1


@dataclass(frozen=True)
class ImageryOptions:
    """How to bring imagery in.

    Attributes:
        pixel_m: edge of a pixel in metres; None: the source's, where it is finest.
        stretch: lower and upper percentile that values of more than 8 bits are stretched between.
        bands: those of red, green and blue, from 1; None: the bands that say so, else the first three.
        timezone, resolution: of a city that the imagery makes; an existing city keeps its own.
    """

    pixel_m: float | None = None
    stretch: tuple[float, float] = (2.0, 98.0)
    bands: tuple[int, int, int] | None = None
    timezone: str | None = None
    resolution: int | None = None


@dataclass(frozen=True)
class FunctionOptions:
    """How to read labelled functions; None means: by the file, its headers or the city.

    Attributes:
        field: column of the class; several joined by `+` are levels of one (`大类+中类`).
        mapping: a TOML file, or the name of one that ships (`fusion.ingest.mapping`); None: class ids or URFC codes.
        layer: layer of a file that has several.
        lon, lat: columns of a point in degrees; `lon` alone: of both, as `113.65,34.76`.
        h3: column of H3 cells.
        wkt: column of points or polygons as well-known text.
        share: column of the share that a class has of its cell, 0 to 1.
        datum: datum of all these, one of `fusion.geo.datum.DATUMS`.
        timezone, resolution: of a city that the functions make; an existing city keeps its own.
    """

    field: str | None = None
    mapping: str | Path | None = None
    layer: str | None = None
    lon: str | None = None
    lat: str | None = None
    h3: str | None = None
    wkt: str | None = None
    share: str | None = None
    datum: str = "wgs84"
    timezone: str | None = None
    resolution: int | None = None
