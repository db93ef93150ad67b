"""The fields of an export's rows as SQL: place and time as keys, counts as doubles."""

from fusion.ingest.columns import Roles
from fusion.ingest.numerals import as_number
from fusion.ingest.presets import NULL_TEXTS
from fusion.ingest.tables import FILE_NAME, Table, as_text, quote

TOO_MANY = 1e30  # beyond any count, and beyond float32 once summed
_NUMERIC = (
    *("DOUBLE", "FLOAT", "DECIMAL", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"),
)


def key_fields(table: Table, roles: Roles) -> list[str]:
    """Return the SQL of a row's place and time, whatever its file holds: doubles for lon and lat, else texts."""
    listed = (*(() if roles.kind == "point" else roles.place), *roles.time)
    texts = [quote(roles.stamp or "") if column == FILE_NAME else text_of(table, column) for column in listed]
    return [*([number_of(table, column) for column in roles.place] if roles.kind == "point" else []), *texts]


def plain_fields(table: Table, roles: Roles) -> tuple[list[str], list[str], tuple[str, ...]]:
    """Return keys, counts and the columns to parse as DOUBLE, of a text whose every number is one as DuckDB reads it.

    What is no number raises in DuckDB. A negative count becomes NaN, so the sum of its group shows that its rows have
    to be judged one by one; the keys that no group may have are asked for once they are grouped, by `odd_keys`.
    """
    points = roles.place if roles.kind == "point" else ()
    listed = (*(() if points else roles.place), *roles.time)
    keys = [quote(roles.stamp or "") if column == FILE_NAME else table.sql_of(column) for column in listed]
    counts = [f"CASE WHEN {name} < 0 THEN 'nan'::DOUBLE ELSE {name} END" for name in map(table.sql_of, roles.values)]
    return [*map(table.sql_of, points), *keys], counts, (*points, *roles.values)


def odd_keys(points: list[str], texts: list[str]) -> str:
    """Return the SQL of whether a group of `plain_fields` has a key that only a reading field by field can judge.

    Args:
        points: the columns of lon and lat, doubles.
        texts: the other keys. What stands for no value was not looked for in them: with one, they differ from those of
            that reading.
    """
    nulls = ", ".join(quote(text) for text in NULL_TEXTS)
    return " OR ".join(
        [f"{name} IS NULL OR NOT isfinite({name})" for name in points] + [f"{name} IN ({nulls})" for name in texts]
    )


def number_of(table: Table, column: str) -> str:
    """Return the SQL of a column as DOUBLE, NULL where it is no number, and where it is none that a place can have."""
    name = table.sql_of(column)
    number = f"{name}::DOUBLE" if _is_number(table.type_of(column)) else as_number(text_of(table, column))
    return f"CASE WHEN isfinite({number}) THEN {number} END"


def _is_number(kind: str) -> bool:
    """Tell whether a type of DuckDB is one of numbers: DECIMAL(18,3) is, BIGINT[] is not."""
    return kind.split("(")[0] in _NUMERIC and not kind.endswith("]")


def text_of(table: Table, column: str) -> str:
    """Return the SQL of a column as text."""
    return as_text(table.sql_of(column), table.type_of(column))


def count_of(table: Table, column: str) -> str:
    """Return the SQL of a count as DOUBLE: NULL where there is none, NaN where the text is no number."""
    name, text = table.sql_of(column), text_of(table, column)
    if _is_number(table.type_of(column)):
        return f"CASE WHEN isnan({name}::DOUBLE) THEN NULL ELSE {name}::DOUBLE END"
    empty = f"{text} IS NULL"
    if not table.is_text:
        empty = f"coalesce(trim({text}) IN ({', '.join(quote(null) for null in NULL_TEXTS)}), true)"
    return f"CASE WHEN {empty} THEN NULL ELSE coalesce({as_number(text)}, 'nan'::DOUBLE) END"
