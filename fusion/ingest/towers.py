"""Positions of cell towers, for device records that name a tower instead of a place.

A tower is not where the phone is: more than 60 % of connections come from outside the serving tower's Voronoi cell
(arXiv 2109.02154). What is counted at a tower is put at the tower's own position and spread over nothing.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from fusion.errors import InputError
from fusion.geo.grid import Bounds
from fusion.ingest import presets
from fusion.ingest.columns import Roles
from fusion.ingest.numerals import as_number, plain_ids
from fusion.ingest.opening import open_table
from fusion.ingest.options import SignalingOptions
from fusion.ingest.places import Places, places_at_points
from fusion.ingest.presets import Preset, find_header
from fusion.ingest.tables import Table, read_tables
from fusion.ingest.vectors import read_polygons

VECTOR_ENDINGS = (".geojson", ".json", ".gpkg", ".shp")
_TABLE = Preset("towers", timezone="", min_count=0, sums_rows=False)
SEPARATORS = r"[\s_\-+:/|.]+"
_SAME_DEG = 1e-7  # about a centimetre: the digits in which two tables spell one position differently


@dataclass(frozen=True, eq=False)
class Towers:
    """A tower table: `lon`, `lat` (N,) degrees of the table's datum by `key` (N,), NaN for a tower without a position.

    `name` is the file's, `columns` are those that make up an id, `position` those of longitude and latitude (none where
    the file has shapes).
    """

    name: str
    columns: tuple[str, ...]
    position: tuple[str, ...]
    key: pd.Index
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]

    @property
    def without_position(self) -> int:
        """Towers that the table names without saying where they stand."""
        return int(np.isnan(self.lon).sum())

    def spelled(self, loosely: bool = False) -> pd.Series:
        """Return the distinct keys; `loosely`, with any separator as `+` (see `tower_keys`)."""
        keys = self.key.to_series()
        return (_loose(keys) if loosely else keys).drop_duplicates().reset_index(drop=True)


def towers_of(options: SignalingOptions, roles: Roles) -> Towers | None:
    """Read the tower table that options name, where the records have towers.

    Raises:
        InputError: the table cannot be used.
    """
    if roles.kind != "tower" or options.towers is None:
        return None
    return read_towers(Path(options.towers), options.tower_property, roles.place, options.lon, options.lat)


def read_towers(
    path: Path,
    wanted: str | None,
    default: tuple[str, ...],
    lon: str | None = None,
    lat: str | None = None,
) -> Towers:
    """Read a tower table.

    Args:
        path: a table (CSV, Parquet, Excel ...) with lon and lat columns, or GeoJSON, GeoPackage or Shapefile.
        wanted: the column of its ids, or two joined by `+`; None: as in the records, else by the header.
        default: the columns that the records have.
        lon, lat: its columns of the position in degrees; None: by the header.

    Raises:
        InputError: the file cannot be read, lacks a column, has no tower with a position, or has an id at two places.
    """
    name = f"towers {path.name}"
    position: tuple[str, ...] = ()
    if path.suffix.lower() in VECTOR_ENDINGS:
        table = read_polygons(path, "towers")
        names = tuple(str(column) for column in table.columns if column != table.geometry.name)
        columns = _id_columns(name, names, wanted, default)
        points = shapely.centroid(table.geometry.to_numpy())
        ids = pd.DataFrame({column: table[column].astype("string") for column in columns})
        x, y = shapely.get_x(points), shapely.get_y(points)
    else:
        ids, x, y, position = _read_table(path, name, wanted, default, lon, lat)
        columns = tuple(ids.columns)
    found = pd.DataFrame({"key": tower_keys([ids[column] for column in columns]), "lon": x, "lat": y})
    found.loc[~np.isfinite(found["lon"]) | ~np.isfinite(found["lat"]), ["lon", "lat"]] = np.nan
    found = found[found["key"].notna()].sort_values(["key", "lon"], kind="stable", na_position="last")
    if not found["lon"].notna().any():
        raise InputError(f"{name} has no tower with a position: give ids with longitude and latitude in degrees")
    apart = _apart(found)
    if len(apart):
        raise InputError(
            f"{name}: {'+'.join(columns)} {str(apart[0])!r} stands there twice, at two places: "
            f"keep one row a tower ({len(apart)} in all)"
        )
    found = found.drop_duplicates("key")
    return Towers(
        name,
        columns,
        position,
        pd.Index(found["key"], dtype="string"),
        found["lon"].to_numpy(dtype=float),
        found["lat"].to_numpy(dtype=float),
    )


def places_of_towers(
    ids: list[pd.Series], rows: NDArray[np.int64], towers: Towers, datum: str, resolution: int, frame: Bounds | None
) -> Places:
    """Look ids up in a tower table and index the positions.

    Args:
        ids: the columns that make up the id in the records, each (N,).
        rows: (N,) records at each.
        towers: the table.
        datum: that of the table.
        resolution: H3 resolution.
        frame: the city's bounds; None for a city that has none yet.

    Raises:
        InputError: the datum is unknown, or one of China for towers elsewhere; or an id that has its parts joined in
            several ways stands at two places.
    """
    loosely = len(ids) != len(towers.columns)
    keys = tower_keys(ids, loosely)
    own = towers.key.to_series()
    known = pd.DataFrame({"key": (_loose(own) if loosely else own).array, "lon": towers.lon, "lat": towers.lat})
    apart = _apart(known)
    if len(apart):
        raise InputError(
            f"{towers.name}: {str(apart[0])!r} stands there twice, at two places: name its columns with "
            "--tower-property"
        )
    known = known.sort_values(["key", "lon"], kind="stable", na_position="last").drop_duplicates("key")
    row = pd.Series(known.index, index=pd.Index(known["key"])).reindex(keys).to_numpy(dtype=float)
    found = ~np.isnan(row)
    lon, lat = np.full(len(row), np.nan), np.full(len(row), np.nan)
    lon[found] = towers.lon[row[found].astype(int)]
    lat[found] = towers.lat[row[found].astype(int)]
    places = places_at_points(lon, lat, rows, datum, resolution, frame)
    places.reason[np.isnan(lon)] = "unknown_tower"
    return places


def tower_keys(parts: list[pd.Series], loosely: bool = False) -> pd.Series:
    """Join the parts of ids as they are compared: without blanks around, 12.0 as 12; missing where a part is.

    Args:
        parts: columns of one length.
        loosely: any separator inside is one, so that `4301-12` equals the parts 4301 and 12.
    """
    texts = [plain_ids(part) for part in parts]
    texts = [text.mask(text == "") for text in texts]
    key = texts[0]
    for text in texts[1:]:
        key = key + "+" + text
    return _loose(key) if loosely else key


def _apart(found: pd.DataFrame) -> pd.Index:
    """Return those of `key` that stand at two places, by `lon` and `lat` (degrees, NaN where there is none)."""
    places = found.groupby("key")[["lon", "lat"]]
    spread = places.max() - places.min()
    return spread.index[(spread["lon"] > _SAME_DEG) | (spread["lat"] > _SAME_DEG)]


def _loose(keys: pd.Series) -> pd.Series:
    return keys.str.replace(SEPARATORS, "+", regex=True)


def _read_table(
    path: Path, name: str, wanted: str | None, default: tuple[str, ...], lon: str | None, lat: str | None
) -> tuple[pd.DataFrame, NDArray[np.float64], NDArray[np.float64], tuple[str, str]]:
    # Not in the city's scratch: a tower table stays out of the city, even as a copy that has to be made.
    with tempfile.TemporaryDirectory() as scratch, duckdb.connect() as connection:
        table = open_table(
            path, _TABLE, Path(scratch), name, lambda sheet: _table_columns(sheet, wanted, default, lon, lat)
        )
        columns, x, y = _table_columns(table, wanted, default, lon, lat)
        listed = [f"trim({table.sql_of(column)}::VARCHAR)" for column in columns]
        listed += [as_number(f"{table.sql_of(column)}::VARCHAR") for column in (x, y)]
        named = ", ".join(f"{sql} AS k{number}" for number, sql in enumerate(listed))
        frame = connection.sql(f"SELECT {named} FROM {read_tables([table], store_rejects=table.is_text)}")
        found = frame.to_arrow_table().to_pandas()
        if table.is_text:
            bad = connection.sql("SELECT min(line), count(*) FROM reject_errors").fetchall()[0]
            if bad[1]:
                raise InputError(f"{name}: line {bad[0]} has too few or too many fields: mend it")
    ids = found[[f"k{number}" for number in range(len(columns))]].set_axis(list(columns), axis="columns")
    east, north = (found[f"k{len(columns) + place}"].to_numpy(dtype=float) for place in (0, 1))
    return ids, east, north, (x, y)


def _table_columns(
    table: Table, wanted: str | None, default: tuple[str, ...], lon: str | None, lat: str | None
) -> tuple[tuple[str, ...], str, str]:
    columns = _id_columns(table.name, table.columns, wanted, default)
    found = []
    for given, headers, what, option in (
        (lon, presets.LON_HEADERS, "longitude", "--lon"),
        (lat, presets.LAT_HEADERS, "latitude", "--lat"),
    ):
        column = given or find_header(table.columns, headers)
        if column is None or column not in table.columns:
            raise InputError(
                f"{table.name}: no column {f'{given!r}' if given else f'is known to hold the {what}'}: it has "
                f"{', '.join(table.columns)}; name one with {option}"
            )
        found.append(column)
    return columns, found[0], found[1]


def _id_columns(name: str, columns: tuple[str, ...], wanted: str | None, default: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of the ids: those asked for, those of the records, or the one that a header tells."""
    have = ", ".join(columns) or "no columns"
    if wanted is not None:
        names = (wanted,) if wanted in columns else tuple(part.strip() for part in wanted.split("+"))
        for part in names:
            if part not in columns:
                raise InputError(f"{name}: no column {part!r}: it has {have}; name one with --tower-property")
        return names
    if all(part in columns for part in default):
        return default
    known = find_header(columns, presets.TOWER_HEADERS + presets.TOWER_ID_HEADERS)
    if known is None:
        raise InputError(f"{name}: no column is known to hold the tower's id: it has {have}; name --tower-property")
    return (known,)
