"""Questions to a city's tables, answered by DuckDB: an hour of every cell, the profile of a cell, totals.

Every function opens a connection of its own, so that threads of the server never share one. A value's state is 0
valid, 1 suppressed (too few people to publish) or 2 missing; its value is NaN unless it is valid. Cells always come in
one fixed order (ascending index), because a map's selection is a row number.

No answer depends on a suppressed value: sums, means and ratios are over valid ones only, so that no difference of two
answers gives one back. The threshold of `city.toml` holds here too, whatever the table has: one that was raised after
ingest hides more.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from fusion.city import City, Measure
from fusion.errors import CityError, InputError
from fusion.geo.grid import Cells, parents_at, to_hex
from fusion.states import MISSING, STATES, SUPPRESSED, VALID

_MOST_RELEASED = 20_000_000


def hours(city: City) -> pd.DatetimeIndex:
    """Return the start of every hour that the city spans, UTC, whether or not it has rows."""
    if city.info.first_hour is None or not city.info.hours:
        return pd.DatetimeIndex([], tz="UTC")
    return pd.date_range(city.info.first_hour, periods=city.info.hours, freq="h")


def cells(city: City, resolution: int | None = None) -> Cells:
    """Return the city's cells, ascending: all that have signaling or a function.

    Args:
        resolution: roll up to this coarser H3 resolution.

    Raises:
        InputError: the resolution is finer than the city's.
    """
    tables = [str(path) for path in (city.activity, city.functions) if path.is_file()]
    if not tables:
        return np.zeros(0, dtype=np.uint64)
    query = " UNION ".join(f"SELECT cell FROM read_parquet('{_quote(table)}')" for table in tables)
    own = _ask(query)["cell"].to_numpy(dtype=np.uint64)
    return np.unique(_rolled(city, own, resolution))


def snapshot(city: City, hour: datetime, measure: str, resolution: int | None = None) -> pd.DataFrame:
    """Return one hour of every cell, in the fixed order.

    Rolled up, a parent's value is the sum over its valid children: a suppressed child adds nothing, so that no
    difference of two views gives it back. A parent without a valid child is suppressed if any child is.

    Returns:
        Columns `cell` uint64, `value` float64, `state` uint8.

    Raises:
        InputError: the city has no such hour or measure, or the resolution is finer than its own.
    """
    own = cells(city)
    span = [_check_hour(city, hour)]
    return _roll(own, _rolled(city, own, resolution), *_laid_out(_hour_rows(city, span, measure), own, span))


def usual(city: City, hour: datetime, measure: str, resolution: int | None = None) -> pd.DataFrame:
    """Compare one hour with the usual one: the mean of the same local hour on the other days of its kind.

    Working days are compared with working days and weekends with weekends; flagged dates are left out of the mean.
    Rolled up, a parent is compared by those of its children that have both figures.

    Returns:
        Columns `cell`, `value`, `usual`, `ratio` (value over usual, NaN where either is unknown or the usual is 0),
        `state` uint8.

    Raises:
        InputError: as `snapshot`.
    """
    others = usual_hours(city, hour)
    own = snapshot(city, hour, measure)
    own["usual"] = np.nan
    if others:
        rows = _hour_rows(city, others, measure)
        mean = rows[rows["state"] == VALID].groupby("cell")["value"].mean()
        own["usual"] = mean.reindex(own["cell"]).to_numpy()
    kept_cells = own["cell"].to_numpy(dtype=np.uint64)
    shown = _rolled(city, kept_cells, resolution)
    result = _roll(kept_cells, shown, own["value"].to_numpy()[None], own["state"].to_numpy()[None])
    # Of a parent, only children that have both figures: one that is suppressed now or then would look like a change.
    both = own["value"].notna() & own["usual"].notna()
    parts = own[both].assign(cell=shown[both.to_numpy()])
    sums = parts.groupby("cell")[["value", "usual"]].sum().reindex(result["cell"])
    alone = own["usual"].to_numpy() if len(result) == len(own) else sums["usual"].to_numpy()
    ratio = sums["value"] / sums["usual"].where(sums["usual"] > 0)
    return result.assign(usual=alone, ratio=ratio.to_numpy())[["cell", "value", "usual", "ratio", "state"]]


def usual_hours(city: City, hour: datetime) -> list[pd.Timestamp]:
    """Return the hours that `usual` compares one with: few of them make a poor mean.

    Raises:
        InputError: the city has no such hour.
    """
    now, span = _check_hour(city, hour), hours(city)
    local, here = span.tz_convert(city.info.timezone), now.tz_convert(city.info.timezone)
    flagged = [flag.date for flag in city.info.flagged]
    same = (local.hour == here.hour) & ((local.day_of_week >= 5) == (here.day_of_week >= 5)) & (span != now)
    return list(span[same & ~np.isin(local.strftime("%Y-%m-%d"), flagged)])


def profile(city: City, cell: int, measure: str, resolution: int | None = None) -> pd.DataFrame:
    """Return every hour of one cell (or of one parent, rolled up).

    Returns:
        Columns `hour` (UTC), `value` float64, `state` uint8; an hour without a row is missing.

    Raises:
        InputError: the city has no such cell or measure.
    """
    own = cells(city)
    members = own[_rolled(city, own, resolution) == np.uint64(cell)]
    if not len(members):
        raise InputError(f"city {city.name} has no cell {cell:x}: pick one on its map")
    listed = ", ".join(str(member) for member in members.tolist())
    rows = _ask(
        f"""SELECT hour, sum(value) AS value,
                   CASE WHEN count(value) > 0 THEN {VALID} WHEN bool_or(hidden) THEN {SUPPRESSED}
                        ELSE {MISSING} END AS state
            FROM {_published(city, measure)} WHERE cell IN ({listed}) GROUP BY hour"""
    )
    table = rows.set_index("hour").reindex(hours(city))
    return pd.DataFrame(
        {
            "hour": table.index,
            "value": table["value"].to_numpy(dtype=float),
            "state": table["state"].fillna(MISSING).astype("uint8").to_numpy(),
        }
    )


def totals(city: City, measure: str) -> pd.DataFrame:
    """Return the whole city by hour: columns `hour` (UTC), `total`, `cells_valid`, `cells_suppressed`.

    An hour that no cell reports has a NaN total, not a zero.
    """
    rows = _ask(
        f"""SELECT hour, sum(value) AS total, count(value) AS cells_valid, count_if(hidden) AS cells_suppressed
            FROM {_published(city, measure)} GROUP BY hour"""
    )
    table = rows.set_index("hour").reindex(hours(city)).rename_axis("hour").reset_index()
    counts = ["cells_valid", "cells_suppressed"]
    return table.assign(**table[counts].fillna(0).astype("int64"))


def values(city: City, measure: str, resolution: int | None = None, sample: int = 25) -> np.ndarray:
    """Return the reported values of evenly spread hours, in any order: what a colour scale is made of.

    Args:
        measure: of the city's.
        resolution: roll up to this coarser H3 resolution.
        sample: how many hours; an odd number meets every hour of the day.

    Raises:
        InputError: the city has no such measure, or the resolution is finer than its own.
    """
    span = hours(city)
    picked = span[np.unique(np.linspace(0, len(span) - 1, sample).round().astype(int))] if len(span) else span
    rows = _hour_rows(city, list(picked), measure)
    rows = rows[rows["state"] == VALID]
    if resolution in (None, city.info.resolution):
        return rows["value"].to_numpy(dtype=float)
    # Each cell's parent once, not once an hour.
    own, where = np.unique(rows["cell"].to_numpy(dtype=np.uint64), return_inverse=True)
    rows = rows.assign(cell=_rolled(city, own, resolution)[where])
    return rows.groupby(["cell", "hour"])["value"].sum().to_numpy(dtype=float)


def functions(city: City) -> pd.DataFrame:
    """Return the labelled cells: columns `cell` uint64, `function` (class id), `share`, `source`; ascending cells."""
    if not city.has_functions:
        return pd.DataFrame(
            {
                "cell": pd.Series(dtype="uint64"),
                "function": pd.Series(dtype=str),
                "share": pd.Series(dtype="float32"),
                "source": pd.Series(dtype=str),
            }
        )
    return _ask(f"SELECT cell, function, share, source FROM read_parquet('{_quote(city.functions)}') ORDER BY cell")


def coverage(city: City) -> dict[str, float | int]:
    """Return counts of cells, of hours with any row and of labelled cells, and the shares of each state.

    Shares are over cells x hours of the first measure: `share_valid`, `share_suppressed`, `share_missing`.
    """
    labelled = len(functions(city))
    if not city.has_activity:
        return {"cells": len(cells(city)), "hours": 0, "hours_with_data": 0, "labelled": labelled}
    row = _ask(
        f"""SELECT count(DISTINCT cell) AS cells, count(DISTINCT hour) AS hours, count(value) AS valid,
                   count_if(hidden) AS suppressed
            FROM {_published(city, city.info.measures[0].id)}"""
    ).iloc[0]
    possible = max(int(row["cells"]) * city.info.hours, 1)
    valid, suppressed = int(row["valid"]) / possible, int(row["suppressed"]) / possible
    return {
        "cells": int(row["cells"]),
        "hours": city.info.hours,
        "hours_with_data": int(row["hours"]),
        "labelled": labelled,
        "share_valid": valid,
        "share_suppressed": suppressed,
        "share_missing": 1.0 - valid - suppressed,
    }


def release(
    city: City, measure: str, wanted: Sequence[datetime] | None = None, resolution: int | None = None
) -> pd.DataFrame:
    """Return hours of every cell as a table to hand out: what `snapshot` says, with its state in words.

    Args:
        measure: of the city's.
        wanted: hours; all by default.
        resolution: roll up to this coarser H3 resolution.

    Returns:
        Columns `id` (H3 hexadecimal), `hour` (UTC), the measure's id (float64, NaN unless valid) and `state`
        (`valid`, `suppressed`, `missing`); by hour, then in the fixed order of cells.

    Raises:
        InputError: the city has no such hour, measure or resolution, or the table would be too long.
    """
    span = list(hours(city)) if wanted is None else list(dict.fromkeys(_check_hour(city, hour) for hour in wanted))
    own = cells(city)
    if len(own) * len(span) > _MOST_RELEASED:
        raise InputError(
            f"{len(span)} hours of {len(own)} cells are more than {_MOST_RELEASED} rows: release fewer hours at a time"
        )
    shown = _rolled(city, own, resolution)
    value, state = _laid_out(_hour_rows(city, span, measure), own, span)
    table = _roll(own, shown, value, state)
    names = np.array(to_hex(np.unique(shown)), dtype=object)
    return pd.DataFrame(
        {
            "id": np.tile(names, len(span)),
            "hour": pd.DatetimeIndex(span).repeat(len(names)),
            measure: table["value"].to_numpy(),
            "state": np.array(STATES, dtype=object)[table["state"].to_numpy()],
        }
    )


def _hour_rows(city: City, wanted: list[pd.Timestamp], measure: str) -> pd.DataFrame:
    """Rows of some hours: `cell`, `hour`, `value`, `state`."""
    # As integers: DuckDB needs its icu extension, which cannot be downloaded everywhere, to read a zoned literal.
    listed = ", ".join(str(int(hour.timestamp()) * 1_000_000) for hour in wanted)
    return _ask(
        f"""SELECT cell, hour, value, CASE WHEN value IS NOT NULL THEN {VALID} WHEN hidden THEN {SUPPRESSED}
                                           ELSE {MISSING} END AS state
            FROM {_published(city, measure)} WHERE epoch_us(hour) IN ({listed})"""
    )


def _published(city: City, measure: str) -> str:
    """One measure as a subquery `cell`, `hour`, `value` (null unless valid), `hidden`: the one door to its counts."""
    column = _column(city, measure)
    small = hides_sql(city.info.measure(measure))
    return f"""(SELECT cell, hour, CASE WHEN {small} THEN NULL ELSE {column} END AS value,
                       {small} OR ({column} IS NULL AND {column}_suppressed) AS hidden
                FROM read_parquet('{_quote(city.activity)}'))"""


def hides_sql(measure: Measure) -> str:
    """Return the SQL of whether a city hides a count of its table: one of an ingest under a smaller threshold."""
    return f'coalesce("{measure.id}" > 0 AND "{measure.id}" <= {measure.min_count}, false)'


def hides_more(city: City) -> dict[str, float]:
    """Return the measures of whose published counts the city now hides some, with their thresholds."""
    measures = city.info.measures
    if not measures or not city.has_activity:
        return {}
    found = _hidden_now(city.activity, city.activity.stat().st_mtime_ns, tuple(map(hides_sql, measures)))
    return {measure.id: measure.min_count for measure, hides in zip(measures, found, strict=True) if hides}


@lru_cache(maxsize=64)  # a scan of the table, and asked whenever a model is about to read the city
def _hidden_now(activity: Path, changed_ns: int, conditions: tuple[str, ...]) -> tuple[bool, ...]:
    """Tell of each condition whether a row of the table meets it; `changed_ns` is of the file."""
    listed = ", ".join(f"coalesce(bool_or({condition}), false) AS c{n}" for n, condition in enumerate(conditions))
    return tuple(map(bool, _ask(f"SELECT {listed} FROM read_parquet('{_quote(activity)}')").iloc[0]))


def _laid_out(rows: pd.DataFrame, own: Cells, span: list[pd.Timestamp]) -> tuple[np.ndarray, np.ndarray]:
    """Values and states (T,N) of T hours in the order of N cells; a cell without a row is missing."""
    value = np.full((len(span), len(own)), np.nan)
    state = np.full(value.shape, MISSING, dtype=np.uint8)
    at = pd.DatetimeIndex(span).get_indexer(pd.DatetimeIndex(rows["hour"])), np.searchsorted(own, rows["cell"])
    value[at], state[at] = rows["value"].to_numpy(dtype=float, na_value=np.nan), rows["state"].to_numpy()
    return value, state


def _roll(own: Cells, shown: Cells, value: np.ndarray, state: np.ndarray) -> pd.DataFrame:
    """Sum cells into those that are shown in their place, hour by hour: columns `cell`, `value`, `state`."""
    hour = np.repeat(np.arange(len(value)), len(shown))
    table = pd.DataFrame(
        {"hour": hour, "cell": np.tile(shown, len(value)), "value": value.ravel(), "state": state.ravel()}
    )
    if shown is not own:
        grouped = table.groupby(["hour", "cell"])
        # The best state of any child: valid before suppressed before missing, which is also their order as numbers.
        table = grouped["value"].sum(min_count=1).to_frame().assign(state=grouped["state"].min().astype("uint8"))
        table = table.reset_index()
    return table.drop(columns="hour")


def _rolled(city: City, own: Cells, resolution: int | None) -> Cells:
    if resolution is None or resolution == city.info.resolution:
        return own
    if not 0 <= resolution < city.info.resolution:
        raise InputError(f"resolution {resolution} is not one of city {city.name}: use 0 to {city.info.resolution}")
    return parents_at(own, resolution)


def _check_hour(city: City, hour: datetime) -> pd.Timestamp:
    stamp = pd.Timestamp(hour)
    stamp = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
    span = hours(city)
    if stamp not in span:
        spell = "none yet" if not len(span) else f"{span[0]:%Y-%m-%dT%H:%MZ} to {span[-1]:%Y-%m-%dT%H:%MZ}"
        raise InputError(f"city {city.name} has no hour {stamp:%Y-%m-%dT%H:%MZ}: its hours are {spell}")
    return stamp


def _column(city: City, measure: str) -> str:
    """Check a measure against the city's own, so that only known names reach the SQL."""
    name = city.info.measure(measure).id
    if not city.has_activity:
        raise CityError(f"city {city.name} has no signaling: bring some in with `ingest signaling`")
    return name


def _quote(path: object) -> str:
    return str(path).replace("'", "''")


def _ask(query: str) -> pd.DataFrame:
    with duckdb.connect() as connection:
        try:
            return connection.sql(query).to_arrow_table().to_pandas()
        except duckdb.Error as error:
            raise CityError(
                f"a table of this city cannot be read ({str(error).splitlines()[0]}): ingest it again"
            ) from None
