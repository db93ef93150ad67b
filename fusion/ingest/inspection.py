"""Checks of the written activity: how much of it is there, and what in it looks wrong.

They read what the city publishes and nothing else, so a report cannot give a suppressed value away. One pass over the
table in batches, and one dense matrix of at most `MOST_JUDGED` cell-hours: medians of a few days in numpy take a tenth
of what grouped medians of an engine take, and memory stays bounded whatever the table's length.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fusion.city import City, CityInfo, Measure
from fusion.errors import CityError
from fusion.ingest.suspicion import Course, days_of, frozen_runs, level_of, outliers_of

# Twice the week of 12,000 cells; a matrix of 20 MB and some six of its size while it is judged.
MOST_JUDGED = 5_000_000
MOST_HOURS_LISTED = 20_000
_BATCH_ROWS = 1_000_000
_HOUR_US = 3_600_000_000
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_BELOW = (0.5, 0.9)
_BINS = 10

Floats = NDArray[np.float32]
Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Tally:
    """What one pass over a measure counts, by cell (N,) and by hour (T,), and the judged cells' values (J,T)."""

    valid_by_cell: Counts
    hidden_by_cell: Counts
    above_zero_by_cell: Counts
    valid_by_hour: Counts
    hidden_by_hour: Counts
    values: Floats

    @classmethod
    def empty(cls, cells: int, judged: int, hours: int) -> "_Tally":
        by_cell, by_hour = np.zeros((3, cells), dtype=np.int64), np.zeros((2, hours), dtype=np.int64)
        values = np.full((judged, hours), np.nan, dtype=np.float32)
        return cls(by_cell[0], by_cell[1], by_cell[2], by_hour[0], by_hour[1], values)

    def add(self, place: NDArray[np.intp], hour: Counts, value: Floats, hidden: NDArray[np.bool_], every: int) -> None:
        """Count rows; of their values, keep every n-th place's."""
        # 0: neither, 1: hidden, 2: zero, 3: above zero; one count of all states at once takes a third of one for each.
        valid = ~np.isnan(value)
        state = np.where(valid, 2 + (value > 0), hidden).astype(np.intp)
        in_cell, in_hour = (
            np.bincount(4 * key + state, minlength=4 * length).reshape(length, 4)
            for key, length in ((place, len(self.valid_by_cell)), (hour, len(self.valid_by_hour)))
        )
        self.valid_by_cell[:] += in_cell[:, 2] + in_cell[:, 3]
        self.hidden_by_cell[:] += in_cell[:, 1]
        self.above_zero_by_cell[:] += in_cell[:, 3]
        self.valid_by_hour[:] += in_hour[:, 2] + in_hour[:, 3]
        self.hidden_by_hour[:] += in_hour[:, 1]
        if every > 1:
            kept = place % every == 0
            place, hour, value = place[kept] // every, hour[kept], value[kept]
        self.values[place, hour] = value


def inspect_city(city: City) -> dict[str, Any]:
    """Inspect the activity that a city has; see `inspect_activity`.

    Raises:
        CityError: there is no activity, or it cannot be read.
    """
    if not city.has_activity:
        raise CityError(f"city {city.name} has no signaling: bring some in with `ingest signaling`")
    return inspect_activity(city.activity, city.info)


def inspect_activity(path: Path, info: CityInfo, most_judged: int = MOST_JUDGED) -> dict[str, Any]:
    """Count the states of every measure and look for what stands out.

    Args:
        path: `activity.parquet`.
        info: the description that goes with it: measures, first hour, hours, timezone, flagged dates.
        most_judged: cell-hours beyond which only every n-th cell is judged.

    Returns:
        `coverage`, `frozen_cells`, `outliers`, `unusual_days`: each an entry a measure (docs/data-formats.md).

    Raises:
        CityError: the table cannot be read, or holds an hour that the description does not span.
    """
    found: dict[str, dict[str, Any]] = {"coverage": {}, "frozen_cells": {}, "outliers": {}, "unusual_days": {}}
    if info.first_hour is None or not info.hours:
        return found
    span = pd.date_range(info.first_hour, periods=info.hours, freq="h")
    first_us = int(span[0].timestamp()) * 1_000_000
    try:
        cells = _cells(path)
        course = Course.of(span, info.timezone)
        every = -(-len(cells) * info.hours // most_judged)
        judged = cells[::every]
        for measure in info.measures:
            tally = _tally(path, measure, cells, every, first_us, info.hours)
            found["coverage"][measure.id] = {"min_count": measure.min_count, **_coverage(tally, span)}
            share = {} if every == 1 else {"share_judged": len(judged) / len(cells)}
            level = level_of(tally.values)
            found["frozen_cells"][measure.id] = frozen_runs(tally.values, judged, span) | share
            found["outliers"][measure.id] = outliers_of(tally.values, level, course, judged, span) | share
            found["unusual_days"][measure.id] = days_of(level, course) | share
    except (pa.ArrowException, OSError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise CityError(f"{info.name}/activity.parquet cannot be read ({reason}): ingest it again") from None
    return found


def _cells(path: Path) -> NDArray[np.uint64]:
    with pq.ParquetFile(path) as file:
        parts = [
            pc.unique(batch.column("cell")).to_numpy() for batch in file.iter_batches(_BATCH_ROWS, columns=["cell"])
        ]
    return np.unique(np.concatenate(parts)) if parts else np.zeros(0, dtype=np.uint64)


def _columns(path: Path, names: list[str]) -> Iterator[tuple[NDArray[Any], ...]]:
    """Yield columns of a Parquet file in batches; times as microseconds, nulls of floats as NaN."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH_ROWS, columns=names):
            yield tuple(_plain(batch.column(name)) for name in names)


def _plain(column: pa.Array) -> NDArray[Any]:
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()).to_numpy(zero_copy_only=False)
    if pa.types.is_boolean(column.type):
        return column.fill_null(False).to_numpy(zero_copy_only=False)
    return column.to_numpy(zero_copy_only=False)


def _tally(path: Path, measure: Measure, cells: NDArray[np.uint64], every: int, first_us: int, hours: int) -> _Tally:
    index = pd.Index(cells)
    tally = _Tally.empty(len(cells), -(-len(cells) // every), hours)
    for cell, hour_us, value, hidden in _columns(path, ["cell", "hour", measure.id, f"{measure.id}_suppressed"]):
        small = (value > 0) & (value <= measure.min_count)  # as the store: a threshold raised since hides more
        place = index.get_indexer(pd.Index(cell))
        hour = (hour_us - first_us) // _HOUR_US
        if len(hour) and not (hour.min() >= 0 and hour.max() < hours and place.min() >= 0):
            raise OSError(f"it has hours beyond its {hours}, or changed while it was read")
        tally.add(place, hour, np.where(small, np.float32(np.nan), value), hidden | small, every)
    return tally


def _coverage(tally: _Tally, span: pd.DatetimeIndex) -> dict[str, Any]:
    cells, hours = len(tally.valid_by_cell), len(span)
    valid, hidden = int(tally.valid_by_cell.sum()), int(tally.hidden_by_cell.sum())
    reported = tally.valid_by_cell + tally.hidden_by_cell
    by_hour = {
        "hour": span.strftime("%Y-%m-%dT%H:%M:%SZ").tolist(),
        "valid": tally.valid_by_hour.tolist(),
        "suppressed": tally.hidden_by_hour.tolist(),
        "missing": (cells - tally.valid_by_hour - tally.hidden_by_hour).tolist(),
    }
    return {
        "cell_hours": cells * hours,
        "valid": valid,
        "zero": valid - int(tally.above_zero_by_cell.sum()),
        "suppressed": hidden,
        "missing": cells * hours - valid - hidden,
        "share_suppressed": hidden / max(valid + hidden, 1),
        "by_hour": by_hour if hours <= MOST_HOURS_LISTED else None,
        "by_cell": {
            "quantiles": {f"{q:g}": float(np.quantile(reported, q, method="lower")) / hours for q in _QUANTILES},
            "cells_below": {f"{share:g}": int((reported < share * hours).sum()) for share in _BELOW},
            # In whole numbers: a share of exactly 0.3 belongs to the bin that starts there.
            "histogram": np.bincount((reported * _BINS // hours).clip(max=_BINS - 1), minlength=_BINS).tolist(),
            "never_valid": int((tally.valid_by_cell == 0).sum()),
            "always_zero": int(((tally.valid_by_cell > 0) & (tally.above_zero_by_cell == 0)).sum()),
        },
    }
