"""The fields of an export's rows as SQL: place and time as keys, counts as doubles."""

from fusion.ingest.columns import Roles
from fusion.ingest.numerals import as_number
from fusion.ingest.presets import NULL_TEXTS
from fusion.ingest.tables import FILE_NAME, Table, quote

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

    A negative, infinite or immense count raises in DuckDB, and so does whatever is no number.
    """
    points = roles.place if roles.kind == "point" else ()
    keys = [f"CASE WHEN isfinite({name}) THEN {name} ELSE {_FAIL} END" for name in map(table.sql_of, points)]
    listed = (*(() if points else roles.place), *roles.time)
    keys += [quote(roles.stamp or "") if column == FILE_NAME else table.sql_of(column) for column in listed]
    counts = [
        f"CASE WHEN {name} >= 0 AND {name} < {TOO_MANY} THEN {name} WHEN {name} IS NOT NULL THEN {_FAIL} END"
        for name in map(table.sql_of, roles.values)
    ]
    return keys, counts, (*points, *roles.values)


def number_of(table: Table, column: str) -> str:
    """Return the SQL of a column as DOUBLE, NULL where it is no number."""
    name = table.sql_of(column)
    return name + "::DOUBLE" if table.type_of(column).startswith(_NUMERIC) else as_number(name)


def text_of(table: Table, column: str) -> str:
    """Return the SQL of a column as text."""
    name, kind = table.sql_of(column), table.type_of(column)
    if kind == "TIMESTAMP WITH TIME ZONE":
        # An instant, not a local time: as microseconds since 1970 it cannot be taken for one.
        return f"epoch_us({name})::VARCHAR"
    return name if kind == "VARCHAR" else f"{name}::VARCHAR"


def count_of(table: Table, column: str) -> str:
    """Return the SQL of a count as DOUBLE: NULL where there is none, NaN where the text is no number."""
    name = table.sql_of(column)
    if table.type_of(column).startswith(_NUMERIC):
        return f"CASE WHEN isnan({name}::DOUBLE) THEN NULL ELSE {name}::DOUBLE END"
    empty = f"{name} IS NULL"
    if not table.is_text:
        empty = f"coalesce(trim({name}::VARCHAR) IN ({', '.join(quote(text) for text in NULL_TEXTS)}), true)"
    return f"CASE WHEN {empty} THEN NULL ELSE coalesce({as_number(name)}, 'nan'::DOUBLE) END"


_FAIL = "error('not plain')"
