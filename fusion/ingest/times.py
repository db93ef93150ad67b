"""Times of exports, as texts, to the UTC start of their local hour; only distinct texts come here.

DuckDB cannot do this: its zones need an extension that cannot be downloaded everywhere, and its cast drops offsets.
"""

import difflib
import zoneinfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.errors import InputError

_DATE = r"(?P<year>\d{4})(?:[-/.年])(?P<month>\d{1,2})(?:[-/.月])(?P<day>\d{1,2})日?"
_CLOCK = r"(?P<hour>\d{1,2})(?:[:时点](?:(?P<minute>\d{1,2})(?:[:分](?:(?P<second>\d{1,2})(?:[.,]\d+)?秒?)?)?)?)?"
_ISO = rf"^{_DATE}(?:T|\s+|(?<=日)){_CLOCK}\s*(?P<zone>Z|z|[+-]\d{{2}}(?::?\d{{2}})?)?$"
_COMPACT = (
    r"^(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})[T\s]?"
    r"(?P<hour>\d{2})(?::?(?P<minute>\d{2}))?(?::?(?P<second>\d{2}))?$"
)
_PARTS = ["year", "month", "day", "hour", "minute", "second"]
_EPOCH_UNITS = {13: 1_000, 16: 1, 19: 0.001}  # digits -> microseconds a unit; 9 to 11 digits are seconds
_YEARS = (1990, 2100)
HOUR_US = 3_600_000_000

EXAMPLES = "2021-07-24 08:00, 2021072408, epoch seconds or milliseconds"


def check_timezone(name: str) -> str:
    """Return an IANA zone's name.

    Raises:
        InputError: there is no such zone; the closest names are given.
    """
    names = zoneinfo.available_timezones()
    if name in names:
        return name
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or ["Asia/Shanghai", "Europe/Rome", "UTC"]
    raise InputError(f"unknown timezone {name!r}: use an IANA name such as {', '.join(close)}")


def hours_of(texts: pd.Series, timezone: str) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """Find the hour of each text.

    Args:
        texts: (N,) times; without an offset they are local times of `timezone`.
        timezone: IANA name.

    Returns:
        `(hour_us, reason)`: the UTC start of the local hour in microseconds since 1970 (0 where there is none) and
        None, `bad_time`, `ambiguous_time` or `nonexistent_time` (the hours that clocks repeat or skip).
    """
    texts = _cleaned(texts)
    hour_us = np.zeros(len(texts), dtype=np.int64)
    reason = np.full(len(texts), "bad_time", dtype=object)
    naive, zone = _written(texts)
    absolute = _epoch_us(texts, naive)
    offset_us = _zone_us(zone)
    written_us = naive.astype("int64").to_numpy()
    has_naive = naive.notna().to_numpy()
    zoned = has_naive & zone.notna().to_numpy()
    absolute[zoned] = written_us[zoned] - offset_us[zoned]

    is_absolute = absolute != 0
    if is_absolute.any():
        utc = pd.DatetimeIndex(absolute[is_absolute].astype("datetime64[us]"), tz="UTC")
        local_us = utc.tz_convert(timezone).tz_localize(None).as_unit("us").asi8
        hour_us[is_absolute] = absolute[is_absolute] - local_us % HOUR_US
        reason[is_absolute] = None
    is_local = has_naive & ~zoned
    if is_local.any():
        local = pd.DatetimeIndex(written_us[is_local].astype("datetime64[us]")).floor("h")
        once = local.tz_localize(timezone, ambiguous="NaT", nonexistent="NaT")
        exists = local.tz_localize(timezone, ambiguous=np.ones(len(local), dtype=bool), nonexistent="NaT").notna()
        found = np.asarray(once.notna())
        hour_us[is_local] = np.where(found, once.as_unit("us").asi8, 0)
        why = np.where(np.asarray(exists), "ambiguous_time", "nonexistent_time").astype(object)
        why[found] = None
        reason[is_local] = why
    year = hour_us.astype("datetime64[us]").astype("datetime64[Y]").astype(int) + 1970
    implausible = (reason == None) & ((year < _YEARS[0]) | (year > _YEARS[1]))  # noqa: E711
    reason[implausible] = "bad_time"
    return hour_us, reason


def instants_of(texts: pd.Series) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """Find how each text is written, and the microseconds since 1970 of its clock, finer than the hour.

    Args:
        texts: (N,) times.

    Returns:
        `(instant_us, kind)`: local clocks are taken as if of UTC, so that only differences of one kind mean anything;
        kind is `local time`, `time with offset`, `epoch seconds`, `epoch milliseconds`, `epoch microseconds`,
        `epoch nanoseconds`, or None for what is no time.
    """
    texts = _cleaned(texts)
    naive, zone = _written(texts)
    epoch_us = _epoch_us(texts, naive)
    has_naive = naive.notna().to_numpy()
    instant_us = np.where(has_naive, naive.astype("int64").to_numpy() - _zone_us(zone), epoch_us)
    kind = np.full(len(texts), None, dtype=object)
    kind[has_naive] = "local time"
    kind[has_naive & zone.notna().to_numpy()] = "time with offset"
    lengths = texts.str.len().to_numpy(dtype=np.int64)
    for digits, unit in ((11, "seconds"), (13, "milliseconds"), (16, "microseconds"), (19, "nanoseconds")):
        fits = lengths <= 11 if digits == 11 else lengths == digits
        kind[(epoch_us != 0) & fits] = f"epoch {unit}"
    return instant_us, kind


def _cleaned(texts: pd.Series) -> pd.Series:
    # Full-width digits and colons are read as plain ones.
    texts = texts.reset_index(drop=True).astype("string").str.strip().str.normalize("NFKC")
    texts = texts.str.replace(r"^(\d{9,19})\.0*$", r"\1", regex=True)
    # A missing text matches nothing and ends as bad_time.
    return texts.fillna("")


def join_date_and_hour(date: pd.Series, hour: pd.Series) -> pd.Series:
    """Join dates (2021-07-24, 20210724, midnight behind it or not) and hours (8, 08:00, 8时, 08:00-09:00) to times."""
    day = date.astype("string").str.strip()
    day = day.str.replace(r"^(\d{4})(\d{2})(\d{2})$", r"\1-\2-\3", regex=True)
    day = day.str.extract(rf"^({_DATE})(?:[T\s].*)?$")[0]
    clock = hour.astype("string").str.strip().str.replace(r"\.0*$", "", regex=True)
    clock = clock.str.extract(r"^(\d{1,2}(?:[:时点]\d{0,2}(?::\d{1,2})?)?)(?:\s*[-~至到].*)?$")[0]
    return day + " " + clock


def is_hour_of_day(texts: pd.Series) -> bool:
    """Tell whether every text is an hour or a clock time without a date."""
    texts = texts.dropna().astype("string").str.strip()
    return bool(len(texts)) and bool(texts.str.fullmatch(r"\d{1,2}(?:\.0)?(?:[:时点].*)?").all())


def is_date_only(texts: pd.Series) -> bool:
    """Tell whether every text is a date without an hour."""
    texts = texts.dropna().astype("string").str.strip()
    return bool(len(texts)) and bool(texts.str.fullmatch(rf"{_DATE}|\d{{8}}").all())


def _written(texts: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Dates and clocks as written, naive, and the offset behind them."""
    iso = texts.str.extract(_ISO)
    compact = texts.str.extract(_COMPACT)
    parts = iso[_PARTS].fillna(compact[_PARTS])
    numbers = parts.fillna({"minute": "0", "second": "0"}).astype("Float64")
    fits = (
        numbers["year"].between(*_YEARS)
        & numbers["month"].between(1, 12)
        & numbers["day"].between(1, 31)
        & numbers["hour"].between(0, 23)
        & numbers["minute"].between(0, 59)
        & numbers["second"].between(0, 59)
    ).fillna(False)
    naive = pd.Series(pd.NaT, index=texts.index, dtype="datetime64[us]")
    if fits.any():
        frame = numbers[fits].astype("int64")
        # errors="coerce": the thirty-first of a month of thirty days.
        naive[fits] = pd.to_datetime(frame, errors="coerce").astype("datetime64[us]")
    return naive, iso["zone"]


def _epoch_us(texts: pd.Series, naive: pd.Series) -> NDArray[np.int64]:
    """Microseconds since 1970 where a text is an epoch (and no compact date); 0 elsewhere."""
    found = np.zeros(len(texts), dtype=np.int64)
    # A compact hour (2021072408) would be an epoch of the years 2033 to 2036: the compact reading wins.
    digits = texts.str.fullmatch(r"\d{9,19}").to_numpy(dtype=bool) & naive.isna().to_numpy()
    lengths = texts.str.len().to_numpy(dtype=np.int64)
    for row in np.flatnonzero(digits):
        unit = 1_000_000 if lengths[row] <= 11 else _EPOCH_UNITS.get(int(lengths[row]))
        if unit is not None:
            found[row] = int(texts.iloc[row]) * unit if unit >= 1 else int(texts.iloc[row]) // 1_000
    return found


def _zone_us(zone: pd.Series) -> NDArray[np.int64]:
    """Offsets such as +08:00 in microseconds, 0 for Z and for none."""
    parts = zone.astype("string").str.extract(r"^([+-])(\d{2}):?(\d{2})?$")
    minutes = parts[1].astype("Float64").fillna(0) * 60 + parts[2].astype("Float64").fillna(0)
    sign = np.where((parts[0] == "-").fillna(False), -1, 1)
    return (minutes.to_numpy(dtype=float) * sign * 60_000_000).astype(np.int64)
