"""Times of device records, to the second, as few distinct keys.

A month has 2.6 million seconds and 744 hours. What DuckDB can read beyond doubt is cut to its hour, or an epoch to its
quarter of an hour (every zone since 1990 is a multiple of that away from UTC), and becomes a number; any other spelling
stays a text. Both are then read by `fusion.ingest.times`, as the times of every export are.
"""

import numpy as np
import pandas as pd

_HOUR_US, _QUARTER_S = 3_600_000_000, 900
_FIRST_QUARTER = 1 << 40  # numbers from here on are quarters of an hour, smaller ones local hours
_FIRST_S, _COMPACT_S = 631_152_000, 1_990_000_000  # 1990; from 1990000000 on ten digits may be a compact hour


def key_sql(name: str) -> tuple[str, str]:
    """Return the SQL of a time's two keys: `(number, text)`, of which one is NULL.

    Args:
        name: the SQL of a text; evaluated several times, so a column.
    """
    # Ten digits of these years cannot be a date and an hour, which `times` prefers.
    seconds = f"TRY_CAST({name} AS BIGINT)"
    number = f"""CASE
        WHEN substr({name}, 14, 1) = ':' AND substr({name}, 17, 1) = ':' AND substr({name}, 5, 1) IN ('-', '/')
             AND substr({name}, 12, 2) < '24'
             AND (length({name}) = 19 OR regexp_full_match(substr({name}, 20), '\\.\\d{{1,9}}'))
        THEN epoch_us(TRY_CAST(substr({name}, 1, 19) AS TIMESTAMP)) // {_HOUR_US}
        WHEN length({name}) = 10 AND regexp_full_match({name}, '\\d{{10}}')
             AND {seconds} BETWEEN {_FIRST_S} AND {_COMPACT_S - 1}
        THEN {_FIRST_QUARTER} + {seconds} // {_QUARTER_S}
        WHEN length({name}) = 13 AND regexp_full_match({name}, '\\d{{13}}') AND {seconds} >= {_FIRST_S * 1000}
        THEN {_FIRST_QUARTER} + {seconds} // {_QUARTER_S * 1000}
        WHEN length({name}) = 16 AND regexp_full_match({name}, '\\d{{16}}') AND {seconds} >= {_FIRST_S * 1_000_000}
        THEN {_FIRST_QUARTER} + {seconds} // {_QUARTER_S * 1_000_000}
        END"""
    return number, f"CASE WHEN ({number}) IS NULL THEN {_short(name)} END"


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
    spelled[hours] = np.char.replace(np.datetime_as_string(local), "T", " ")
    # Thirteen digits are milliseconds whatever they hold; ten might be a compact date and hour.
    milliseconds = (number[quarters].astype("int64") - _FIRST_QUARTER) * _QUARTER_S * 1000
    spelled[quarters] = [f"{value:013d}" for value in milliseconds]
    return pd.Series(spelled, index=texts.index, dtype="string")


def _short(name: str) -> str:
    """Minutes and seconds of compact times as zeros."""
    return f"""CASE
        WHEN length({name}) = 14 AND regexp_full_match({name}, '\\d{{10}}[0-5]\\d[0-5]\\d')
        THEN concat(substr({name}, 1, 10), '0000')
        WHEN length({name}) = 12 AND regexp_full_match({name}, '\\d{{10}}[0-5]\\d')
        THEN concat(substr({name}, 1, 10), '00')
        ELSE {name} END"""
