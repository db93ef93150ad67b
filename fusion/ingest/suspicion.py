"""What looks wrong in a matrix of counts: cells that stand still, hours far from a cell's usual, days unlike the rest.

Everything is a median, so the order of summing cannot change a digit, and a third of bad days changes no verdict.
Matrices are (J,T): J cells, ascending, by T hours; NaN where there is no published value.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.geo.grid import to_hex

# A day holds a night and a noon: 24 equal counts of people do not happen (two Poisson counts of mean 16 agree in 7 %
# of cases). Shorter runs do, at quiet places.
FROZEN_HOURS = 24
# Beyond 8 robust deviations a normal error would not be met in 10^14 hours; counts have heavier tails than that.
OUTLIER_LIMIT = 8.0
# Leys et al., J. Exp. Soc. Psychol. 49 (2013) 764: three deviations by median and MAD, the strict choice.
DAY_LIMIT = 3.0
_MAD_TO_SD = 1.4826
_LEAST_OTHERS = 2  # values of a cell at that hour of other days: one alone is no usual
_LEAST_VALUES = 24  # of a cell, for a deviation of its own
_LEAST_CELLS = 20  # below, a city's median is a few cells' own course
_LEAST_HOURS = 6  # of a day, to judge it
_LEAST_SPREAD = 0.02  # a day within 7 % of its kind is not unusual, however alike the others are
_LISTED = 20

Floats = NDArray[np.float32]
Cells = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Course:
    """Local dates and kinds of hours: `slot` (T,) = hour of the day, plus 24 at weekends; `day` (T,) = local date."""

    slot: NDArray[np.intp]
    day: NDArray[np.intp]
    dates: tuple[str, ...]
    weekend: NDArray[np.bool_]

    @classmethod
    def of(cls, span: pd.DatetimeIndex, timezone: str) -> "Course":
        """Lay out hours (UTC) in a city's zone."""
        local = span.tz_convert(timezone)
        weekend = np.asarray(local.day_of_week >= 5)
        day, dates = pd.factorize(local.strftime("%Y-%m-%d"))
        of_day = np.zeros(len(dates), dtype=bool)
        of_day[day] = weekend
        return cls(np.asarray(local.hour) + 24 * weekend, day, tuple(dates), of_day)

    def usual(self, values: Floats) -> Floats:
        """Return (J,T) the median of a row's other values at that slot; NaN where there are fewer than two."""
        usual = np.full(values.shape, np.nan, dtype=np.float32)
        for slot in np.unique(self.slot):
            hours = np.flatnonzero(self.slot == slot)
            if len(hours) > _LEAST_OTHERS:
                usual[:, hours] = _median_of_others(values[:, hours])
        return usual

    def middle(self, values: Floats) -> Floats:
        """Return (J,T) the median of all of a row's values at that slot; NaN where there are fewer than three."""
        middle = np.full(values.shape, np.nan, dtype=np.float32)
        for slot in np.unique(self.slot):
            hours = np.flatnonzero(self.slot == slot)
            middle[:, hours] = median(values[:, hours], least=_LEAST_OTHERS + 1)[:, None]
        return middle


def level_of(values: Floats) -> Floats:
    """Return (T,) the city's level: the median over cells of value / the cell's own median; NaN without any.

    Cells that are there at one hour and not at another move a median of ratios less than a sum.
    """
    own = median(values)
    busy = own > 0
    return median(np.ascontiguousarray((values[busy] / own[busy, None]).T))


def _median_of_others(values: Floats) -> Floats:
    """Return (J,K) the median of the other values of each row. A value is known to be away by where it sorts."""
    ordered = np.sort(values, axis=1)
    count = np.isfinite(ordered).sum(axis=1)[:, None]
    last = values.shape[1] - 1
    total = np.zeros_like(values)
    for middle in ((count - 2) // 2, (count - 1) // 2):
        at, after = (np.take_along_axis(ordered, (middle + step).clip(0, last), 1) for step in (0, 1))
        total += np.where(values <= at, after, at)
    return np.where((count > _LEAST_OTHERS) & ~np.isnan(values), total / 2, np.nan)


def median(values: Floats, least: int = 1) -> Floats:
    """Return the median along the last axis, NaN passed over; NaN where fewer than `least` values are."""
    if not values.shape[-1]:  # no cell is busy: all is suppressed or zero
        return np.full(values.shape[:-1], np.nan, dtype=np.float32)
    ordered = np.sort(values, axis=-1)
    count = np.isfinite(ordered).sum(axis=-1)
    below, above = ((np.maximum(count - 1, 0) // 2)[..., None], (count // 2).clip(max=values.shape[-1] - 1)[..., None])
    middle = (np.take_along_axis(ordered, below, -1) + np.take_along_axis(ordered, above, -1))[..., 0] / 2
    return np.where(count >= least, middle, np.nan).astype(np.float32)


def frozen_runs(values: Floats, cells: Cells, span: pd.DatetimeIndex) -> dict[str, Any]:
    """Find cells that report one non-zero value for `FROZEN_HOURS` hours on end."""
    same = (values[:, 1:] == values[:, :-1]) & (values[:, 1:] > 0)
    steps = FROZEN_HOURS - 1
    runs: list[tuple[int, int, int]] = []  # hours, cell's row, first hour
    if same.shape[1] >= steps:
        summed = np.cumsum(same, axis=1, dtype=np.int32)
        window = summed[:, steps - 1 :].copy()
        window[:, 1:] -= summed[:, :-steps]
        for row in np.flatnonzero((window == steps).any(axis=1)):
            edges = np.flatnonzero(np.diff(np.concatenate([[False], same[row], [False]]).astype(np.int8)))
            starts, stops = edges[::2], edges[1::2]
            runs += [
                (int(stop - start) + 1, int(row), int(start))
                for start, stop in zip(starts, stops, strict=True)
                if stop - start >= steps
            ]
    runs.sort(key=lambda run: (-run[0], run[1], run[2]))
    listed = [
        {
            "cell": _hex(cells, row),
            "value": _number(values[row, start]),
            "first_hour": _iso(span, start),
            "hours": hours,
        }
        for hours, row, start in runs[:_LISTED]
    ]
    return {"hours": FROZEN_HOURS, "cells": len({row for _, row, _ in runs}), "listed": listed}


def outliers_of(values: Floats, level: Floats, course: Course, cells: Cells, span: pd.DatetimeIndex) -> dict[str, Any]:
    """Find hours of cells that differ from the cell's usual by more than the city does at that hour.

    The square root makes the noise of counts alike at every size (Bartlett 1936). The deviation is the cell's own, or
    the median cell's where that is larger.
    """
    usual = course.usual(values)
    ratio = level / course.usual(level[None])[0]
    busy = (~np.isnan(values)).sum(axis=0) >= _LEAST_CELLS
    common = np.where(busy & np.isfinite(ratio), ratio, 1.0).astype(np.float32)
    away = np.sqrt(values) - np.sqrt(usual * common)
    spread = _MAD_TO_SD * median(np.abs(away), least=_LEAST_VALUES)
    known = spread[np.isfinite(spread)]
    least = float(np.median(known)) if len(known) else 0.0
    scale = np.maximum(np.nan_to_num(spread), least)
    judged = ~np.isnan(away) & (scale > 0)[:, None]
    away = np.where(judged, away, 0) / np.where(scale > 0, scale, 1)[:, None]
    rows, hours = np.nonzero(np.abs(away) > OUTLIER_LIMIT)
    order = np.lexsort((hours, rows, -np.abs(away[rows, hours])))[:_LISTED]
    listed = [
        {
            "cell": _hex(cells, row),
            "hour": _iso(span, hour),
            "value": _number(values[row, hour]),
            "usual": _number(usual[row, hour]),
            "score": round(float(away[row, hour]), 1),
        }
        for row, hour in zip(rows[order].tolist(), hours[order].tolist(), strict=True)
    ]
    return {"limit": OUTLIER_LIMIT, "judged": int(judged.sum()), "found": len(rows), "listed": listed}


def days_of(level: Floats, course: Course) -> dict[str, Any]:
    """Score local days by how far the city's level lay from the middle day of its kind, hour by hour."""
    # A thousandth stands for none at all, whose logarithm there is not.
    floored = np.maximum(level, np.float32(1e-3)).astype(np.float64)
    away = np.log(floored) - np.log(course.middle(floored[None].astype(np.float32))[0])
    known = away[np.isfinite(away)]
    spread = max(_MAD_TO_SD * float(np.median(np.abs(known))), _LEAST_SPREAD) if len(known) else _LEAST_SPREAD
    days = []
    for number, date in enumerate(course.dates):
        own = away[(course.day == number) & np.isfinite(away)]
        enough = len(own) >= _LEAST_HOURS
        score = round(float(np.median(np.abs(own))) / spread, 2) if enough else None
        days.append(
            {
                "date": date,
                "kind": "weekend" if course.weekend[number] else "weekday",
                "hours": len(own),
                "ratio": round(float(np.exp(np.median(own))), 4) if enough else None,
                "score": score,
                "unusual": score is not None and score > DAY_LIMIT,
            }
        )
    return {"limit": DAY_LIMIT, "unusual": sum(day["unusual"] for day in days), "days": days}


def _hex(cells: Cells, row: int) -> str:
    return to_hex(cells[row : row + 1])[0]


def _iso(span: pd.DatetimeIndex, hour: int) -> str:
    return f"{span[hour]:%Y-%m-%dT%H:%M:%SZ}"


def _number(value: np.float32) -> float:
    """A float32 with its own digits, not those of the double beside it."""
    return float(f"{float(value):.6g}")
