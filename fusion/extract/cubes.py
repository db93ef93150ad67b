"""The series of every place of a city, laid out in time.

`days`: 24 steps, the hours of the local day, and a channel a measure and local date. `hours`: a step an hour and a
channel a measure.
"""

from collections.abc import Callable
from dataclasses import dataclass

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion import store
from fusion.city import City
from fusion.errors import CityError, ConfigError
from fusion.geo.grid import Cells
from fusion.states import MISSING, SUPPRESSED, VALID

_HOUR_US = 3_600_000_000
_ROWS_AT_ONCE = 2_000_000


@dataclass(frozen=True, eq=False)
class TimePlan:
    """Where each of the city's H hours goes.

    `step` (H,) the time step; `day` (H,) the channel within a measure; `repeat` (H,) how many earlier hours share that
    step and day (1 for the second 02:00 of a night that sets the clock back). Channels lie measure by measure:
    channel = measure x `per_measure` + day.
    """

    step: NDArray[np.int64]
    day: NDArray[np.int64]
    repeat: NDArray[np.int64]
    steps: int
    per_measure: int
    channel_measure: tuple[int, ...]
    channel_names: tuple[str, ...]


def plan_time(city: City, layout: str) -> TimePlan:
    """Lay the city's hours out as `days` or `hours`.

    Raises:
        ConfigError: the layout is neither.
        CityError: the city has no hours.
    """
    hours = store.hours(city)
    names = [measure.id for measure in city.info.measures]
    if not len(hours) or not names:
        raise CityError(f"city {city.name} has no hours of signaling: bring some in with `ingest signaling`")
    if layout == "hours":
        own = np.arange(len(hours))
        zero = np.zeros(len(hours), dtype=np.int64)
        return TimePlan(own, zero, zero, len(hours), 1, tuple(range(len(names))), tuple(names))
    if layout != "days":
        raise ConfigError(f"layout {layout!r} does not exist: use days or hours")
    local = hours.tz_convert(city.info.timezone)
    dates = local.strftime("%Y-%m-%d")
    days = sorted(set(dates))
    step, day = np.asarray(local.hour, dtype=np.int64), np.searchsorted(days, dates).astype(np.int64)
    repeat = np.asarray(pd.Series(step).groupby([step, day]).cumcount(), dtype=np.int64)
    measure = tuple(index for index in range(len(names)) for _ in days)
    return TimePlan(
        step, day, repeat, 24, len(days), measure, tuple(f"{name} {date}" for name in names for date in days)
    )


def fill_series(
    city: City,
    places: Cells,
    plan: TimePlan,
    series: NDArray[np.float32],
    state: NDArray[np.uint8],
    progress: Callable[[float], None] | None = None,
) -> None:
    """Write the city's counts and states into (M,T,C) arrays, a bounded number of rows at a time.

    What no row reports is missing: hours without rows, places without signaling, and steps of a local day that the
    export does not cover or that the clock skipped. Where two hours share a step because the clock was set back, the
    mean of the valid ones counts, else suppressed before missing.

    Args:
        places: (M,) sorted cells.
        series, state: arrays to fill, whatever they hold.

    Raises:
        CityError: the table cannot be read, holds a negative count or an hour that the city does not span.
    """
    series[:], state[:] = 0, MISSING
    first_us = int(store.hours(city)[0].timestamp()) * 1_000_000
    count = len(plan.step)
    at_once = max(1, _ROWS_AT_ONCE // max(len(places), 1))
    for start in range(0, count, at_once):
        stop = min(start + at_once, count)
        rows = _read(city, first_us + start * _HOUR_US, first_us + stop * _HOUR_US, start == 0, stop == count)
        hour, left = np.divmod(rows["us"] - first_us, _HOUR_US)
        if ((hour < 0) | (hour >= count) | (left != 0)).any():
            raise CityError(f"{city.name}/activity.parquet has hours outside its {count}: ingest the signaling again")
        place = np.searchsorted(places, rows["cell"]).clip(max=len(places) - 1)
        if (places[place] != rows["cell"]).any():
            raise CityError(f"{city.name}/activity.parquet changed while it was read: try again")
        for turn in range(int(plan.repeat.max()) + 1):
            now = plan.repeat[hour] == turn
            _scatter(city, plan, {key: values[now] for key, values in rows.items()}, place[now], hour[now], turn,
                     series, state)  # fmt: skip
        if progress:
            progress(stop / count)


def _read(city: City, from_us: int, to_us: int, first: bool, last: bool) -> dict[str, np.ndarray]:
    """Read a span of hours; the first and last span are open, so that stray hours are found and not passed over."""
    columns = ", ".join(
        f'CASE WHEN {hides} THEN NULL ELSE "{id_}" END AS "{id_}", '
        f'{hides} OR coalesce("{id_}_suppressed", false) AS "{id_}_suppressed"'
        for id_, hides in ((measure.id, store.hides_sql(measure)) for measure in city.info.measures)
    )
    bounds = [*([] if first else [f"us >= {from_us}"]), *([] if last else [f"us < {to_us}"])]
    path = str(city.activity).replace("'", "''")
    span = " AND ".join(bounds) or "true"
    query = f"SELECT cell, epoch_us(hour) AS us, {columns} FROM read_parquet('{path}') WHERE {span}"
    with duckdb.connect() as connection:
        try:
            return dict(connection.sql(query).fetchnumpy())
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            raise CityError(f"{city.name}/activity.parquet cannot be read ({reason}): ingest it again") from None


def _scatter(
    city: City,
    plan: TimePlan,
    rows: dict[str, np.ndarray],
    place: NDArray[np.int64],
    hour: NDArray[np.int64],
    turn: int,
    series: NDArray[np.float32],
    state: NDArray[np.uint8],
) -> None:
    for index, measure in enumerate(city.info.measures):
        # DuckDB gives a masked array where the column has nulls.
        column = np.ma.asarray(rows[measure.id])
        null = np.ma.getmaskarray(column)
        value = column.filled(0).astype(np.float32)
        if not (value >= 0).all():
            raise CityError(f"{city.name}/activity.parquet has a negative or undefined {measure.id}: ingest it again")
        suppressed = np.ma.asarray(rows[f"{measure.id}_suppressed"]).filled(False)
        found = np.where(null, np.where(suppressed, SUPPRESSED, MISSING), VALID).astype(np.uint8)
        at = (place, plan.step[hour], index * plan.per_measure + plan.day[hour])
        if turn:
            earlier, earlier_state = series[at], state[at]
            both = (found == VALID) & (earlier_state == VALID)
            weight = np.float32(turn / (turn + 1))
            value = np.where(both, earlier * weight + value * (1 - weight), np.maximum(value, earlier))
            found = np.minimum(found, earlier_state)
        series[at], state[at] = value, found
