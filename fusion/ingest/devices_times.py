"""Times of device records, to the second, as few distinct keys.

A month has 2.6 million seconds and 744 hours. What DuckDB can read beyond doubt is cut to its hour, or an epoch to its
quarter of an hour (every zone since 1990 is a multiple of that away from UTC), and becomes a number; any other spelling
stays a text. Both are then read by `fusion.ingest.times`, as the times of every export are.
"""

import numpy as np
import pandas as pd

_HOUR_US, _QUARTER_S = 3_600_000_000, 900
_FIRST_QUARTER = 1 << 40  # numbers from here on are quarters of an hour, smaller ones local hours
_FORMS = (
    ("____-__-__ __:__:__", "%Y-%m-%d %H:%M:%S"),
    ("____/__/__ __:__:__", "%Y/%m/%d %H:%M:%S"),
    ("____-__-__T__:__:__", "%Y-%m-%dT%H:%M:%S"),
    ("____-__-__ __:__:__.___", "%Y-%m-%d %H:%M:%S.%f"),
    ("____-__-__ __:__:__.______", "%Y-%m-%d %H:%M:%S.%f"),
)
UNREADABLE = "?"
_N, _BLANK = r"\p{N}", r"[\s\x{3000}\x{a0}]"
_DATE = rf"{_N}{{4}}[-/.年／－．]{_N}{{1,2}}[-/.月／－．]{_N}{{1,2}}日?"
_CLOCK = rf"{_N}{{1,2}}([:：时点]({_N}{{1,2}}([:：分]({_N}{{1,2}}([.,]{_N}{{1,12}})?秒?)?)?)?)?"
_ZONE = rf"({_BLANK}*([Zz]|[+-]{_N}{{2}}(:?{_N}{{2}})?))?"
_COMPACT = rf"(19|20){_N}{{6}}(T|{_BLANK})?{_N}{{2}}(:?{_N}{{2}}){{0,2}}"
# Epochs from 1990 to 2100 only: telephone numbers have 11 digits and IMSI 15, and many ids 9 or 10.
_EPOCH = rf"([6-9]{_N}{{8}}|[1-4]{_N}{{9}}|{_N}{{13}}|{_N}{{16}}|{_N}{{19}})(\.0*)?"
_TIME = rf"{_BLANK}*({_DATE}(T|{_BLANK})*{_CLOCK}{_ZONE}|{_COMPACT}|{_EPOCH}){_BLANK}*"
_DAY = rf"({_DATE}|(19|20){_N}{{6}})((T|{_BLANK})[{_N}:.]{{1,15}})?"
_HOUR = rf"{_N}{{1,2}}(\.0*|[:时点]{_N}{{0,2}}(:{_N}{{1,2}})?)?({_BLANK}*[-~至到][{_N}\s:时点]{{0,12}})?"
_PART = rf"{_BLANK}*({_DAY}|{_HOUR}){_BLANK}*"
_FIRST_S, _COMPACT_S = 631_152_000, 1_990_000_000  # 1990; from 1990000000 on ten digits may be a compact hour


def number_sql(name: str) -> str:
    """Return the SQL of a time's first key, a number; NULL where it has to stay a text.

    Args:
        name: the SQL of a text; evaluated several times, so a column.
    """
    # A pattern goes first: strptime takes its time to say no.
    written = " ".join(
        f"WHEN {name} LIKE '{pattern}' THEN epoch_us(try_strptime({name}, '{form}')) // {_HOUR_US}"
        for pattern, form in _FORMS
    )
    # Ten digits of these years cannot be a date and an hour, which `times` prefers.
    epochs = " ".join(
        f"WHEN strlen({name}) = {digits} AND regexp_full_match({name}, '\\d{{{digits}}}') "
        f"AND {name}::BIGINT BETWEEN {_FIRST_S * unit} AND {last} "
        f"THEN {_FIRST_QUARTER} + {name}::BIGINT // {_QUARTER_S * unit}"
        for digits, unit, last in ((10, 1, _COMPACT_S - 1), (13, 1000, 10**13), (16, 1_000_000, 10**16))
    )
    return f"CASE {written} {epochs} END"


def text_sql(name: str) -> str:
    """Return the SQL of the second key, for a time without a number: its text, in a compact one the minutes as 00.

    What cannot be a time may be an id in the wrong field, and is not kept.
    """
    return f"""CASE
        WHEN strlen({name}) = 14 AND regexp_full_match({name}, '\\d{{10}}[0-5]\\d[0-5]\\d')
        THEN concat(substr({name}, 1, 10), '0000')
        WHEN strlen({name}) = 12 AND regexp_full_match({name}, '\\d{{10}}[0-5]\\d')
        THEN concat(substr({name}, 1, 10), '00')
        WHEN regexp_full_match({name}, '{_TIME}') THEN {name} ELSE '{UNREADABLE}' END"""


def part_sql(name: str) -> str:
    """Return the SQL of a date or an hour that stand apart: its text, if it can be either."""
    return f"CASE WHEN regexp_full_match({name}, '{_PART}') THEN {name} ELSE '{UNREADABLE}' END"


def texts_of(numbers: pd.Series, texts: pd.Series) -> pd.Series:
    """Spell keys as times: local hours as 2021-07-24 08:00, quarters as epoch milliseconds, texts as they are.

    Args:
        numbers: (N,) the first key, missing for a text.
        texts: (N,) the second.
    """
    spelled = texts.astype(object).to_numpy(copy=True)
    number = numbers.to_numpy(dtype=float, na_value=np.nan)
    hours = np.flatnonzero(number < _FIRST_QUARTER)
    quarters = np.flatnonzero(number >= _FIRST_QUARTER)
    local = number[hours].astype("int64").astype("datetime64[h]").astype("datetime64[m]")
    spelled[hours] = [text.replace("T", " ") for text in np.datetime_as_string(local)]
    # Thirteen digits are milliseconds whatever they hold; ten might be a compact date and hour.
    milliseconds = (number[quarters].astype("int64") - _FIRST_QUARTER) * _QUARTER_S * 1000
    spelled[quarters] = [f"{value:013d}" for value in milliseconds]
    return pd.Series(spelled, index=texts.index, dtype="string")
