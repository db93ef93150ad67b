"""Numbers as people write them: separators of thousands and full-width digits in SQL, on a second chance only; ids."""

import pandas as pd

from fusion.ingest.tables import quote

# Spaces that office programs put between thousands: plain, no-break, narrow, thin, figure, ideographic.
_SPACES = " \u00a0\u202f\u2009\u2007\u3000"
_WIDE = "０１２３４５６７８９．，－＋’"
_PLAIN = "0123456789.,-+'"
# A whole number as a column of floats has it: 12.0 is 12.
WHOLE = r"^([-+]?\d+)\.0+$"
# Groups of three throughout: 1,23 may be a decimal comma, and 1,2345 anything.
_GROUPED = r"[+-]?\d{1,3}(?:(?:,\d{3})+|(?: \d{3})+|(?:'\d{3})+)(?:\.\d*)?"


def as_number(name: str) -> str:
    """Return the SQL of a text as DOUBLE, NULL where it is no number: `12`, `1,234`, `1 234.5`, `１２３`.

    Args:
        name: the SQL of a text column.
    """
    text = f"trim(translate({name}, {quote(_WIDE + _SPACES)}, {quote(_PLAIN + ' ' * len(_SPACES))}))"
    bare = f"translate({text}, ', ''', '')"
    cleaned = f"CASE WHEN regexp_full_match({text}, {quote(_GROUPED)}) THEN {bare} ELSE {text} END"
    # coalesce looks at its second argument only where the first is NULL. The CASE around that keeps DuckDB from
    # computing its common parts beforehand for every row, which costs thirty times the plain cast.
    second = f"CASE WHEN {name} IS NULL THEN NULL ELSE TRY_CAST({cleaned} AS DOUBLE) END"
    return f"coalesce(TRY_CAST({name} AS DOUBLE), {second})"


def plain_ids(texts: pd.Series) -> pd.Series:
    """Return ids as they are compared: without blanks around, and 12.0 as 12, as a column of floats spells it."""
    return texts.astype("string").str.strip().str.replace(WHOLE, r"\1", regex=True)


def plain_id(text: str) -> str:
    """Return the SQL of a text as `plain_ids` gives it.

    Args:
        text: the SQL of a text column.
    """
    return f"regexp_replace(trim({text}), {quote(WHOLE)}, {quote(chr(92) + '1')})"
