"""The fields of device records as SQL: the device as a hash, place and time as keys, and what rejects may show.

An id may stand in the wrong field of a damaged record. So a key is kept only if it can be a place or a time; anything
else becomes `UNREADABLE`, which is neither.
"""

from collections.abc import Sequence

import duckdb
import numpy as np
import pandas as pd

from fusion.ingest.columns import Roles
from fusion.ingest.devices_times import UNREADABLE, number_sql, part_sql, text_sql
from fusion.ingest.fields import number_of, text_of
from fusion.ingest.presets import NULL_TEXTS
from fusion.ingest.tables import FILE_NAME, Table, quote
from fusion.ingest.times import hours_of, join_date_and_hour
from fusion.ingest.towers import SEPARATORS, Towers

MASK = "***"
_UNREADABLE_REASONS = ("bad_place", "unknown_tower", "unknown_grid_id", "bad_time")
_SHAPE_LENGTH = 40
_MOST_DEG = 180
# H3 cells as 15 hexadecimal digits or 18 decimal ones.
_CELL = r"\s*(0x)?0?8[0-9a-fA-F]{14}\s*|\s*[56]\d{17}\s*"


def record_sql(table: Table, roles: Roles, source: str, device: str, towers: "KnownTowers | None", more: str) -> str:
    """Return the SQL of a file's records: `u`, p*, k, t*.

    Args:
        table, roles: the file and its columns.
        source: the relation that reads it.
        device: the SQL of `u`, of a text `id` that is NULL where there is none.
        towers: for places of `kind` tower.
        more: further columns of `source`, from `, ` on, that come out as they are.
    """
    user = text_of(table, roles.user or "")
    if not table.is_text:
        user = f"CASE WHEN {user} NOT IN ({', '.join(map(quote, NULL_TEXTS))}) THEN {user} END"
    places = [f"p{number}" for number in range(len(roles.place))]
    raw_places = [number_of(table, c) if roles.kind == "point" else text_of(table, c) for c in roles.place]
    times = [f"x{number}" for number in range(len(roles.time))]
    inner = [f"{user} AS x", *(f"{sql} AS {name}" for sql, name in zip(raw_places, places, strict=True))]
    inner += [f"{_time(table, roles, column)} AS {name}" for column, name in zip(roles.time, times, strict=True)]
    number, texts = "NULL::BIGINT", [part_sql(name) for name in times]
    if len(times) == 1:
        number, texts = number_sql("x0"), [f"CASE WHEN k IS NULL THEN {text_sql('x0')} END"]
    keys = [f"{sql} AS {name}" for sql, name in zip(_places(roles, places, towers), places, strict=True)]
    keys += [f"{sql} AS t{number}" for number, sql in enumerate(texts)]
    # Ids with blanks around are few; to trim all would cost more than a look.
    trimmed = "CASE WHEN x LIKE ' %' OR x LIKE '% ' THEN nullif(trim(x), '') ELSE nullif(x, '') END"
    join = towers.join_sql(places) if towers else ""
    return f"""SELECT r.* EXCLUDE ({", ".join([*places, *times, "id"])}), {device} AS u, {", ".join(keys)}
               FROM (SELECT * EXCLUDE (x), {trimmed} AS id, {number} AS k
                     FROM (SELECT {", ".join(inner)}{more} FROM {source})) r {join}"""


def hashed(salt: str) -> str:
    """Return the SQL of the hash of `id`: MD5 of salt and id, cut to 64 bits."""
    return f"(md5_number({quote(salt)} || id) >> 64)::UBIGINT"


def shown_sql(name: str, why: str, may_show: str = "false") -> str:
    """Return the SQL of a field as rejects hold it: of one that could not be read only the shape.

    Args:
        name: the field.
        why: the SQL of the reason that this field gave, NULL for none.
        may_show: the SQL of whether it may be shown all the same.
    """
    reasons = ", ".join(map(quote, _UNREADABLE_REASONS))
    return f"CASE WHEN {why} IN ({reasons}) AND NOT {may_show} THEN {shape_sql(name)} ELSE {name} END"


def shape_sql(name: str) -> str:
    """Return the SQL of a text's shape: digits as 9, letters as a, of 40 characters at most."""
    digits = rf"regexp_replace({name}, '\p{{N}}', '9', 'g')"
    return rf"left(regexp_replace({digits}, '\p{{L}}', 'a', 'g'), {_SHAPE_LENGTH})"


def hide_ids(rows: pd.DataFrame, roles: Roles) -> pd.DataFrame:
    """Return records as a preview may show them: places and times that can be read, and nothing else.

    Args:
        rows: columns of texts, as the file names them.
        roles: those that are known; a tower is shown as it is written.
    """
    shown = pd.DataFrame(MASK, index=rows.index, columns=rows.columns, dtype=object)
    for column in roles.place:
        shown[column] = rows[column]
        if roles.kind == "point":
            degrees = pd.to_numeric(rows[column], errors="coerce").abs() <= _MOST_DEG
            shown[column] = rows[column].where(degrees, MASK)
    times = [column for column in roles.time if column in rows]
    if times:
        texts = rows[times[0]] if len(times) == 1 else join_date_and_hour(rows[times[0]], rows[times[1]])
        _, reason = hours_of(texts, "UTC")
        shown[times] = rows[times].where(np.array([why is None for why in reason])[:, None], MASK)
    return shown


class KnownTowers:
    """Which towers of records may be written down: those of the table, and others that look like them.

    Needs the table `known_towers` (key), see `register`.
    """

    def __init__(self, towers: Towers, parts: int, connection: duckdb.DuckDBPyConnection) -> None:
        self._loosely = parts != len(towers.columns)
        self._keys = pd.DataFrame({"key": towers.spelled(self._loosely)})
        self.register(connection)
        rows = connection.sql(f"SELECT DISTINCT {shape_sql('key')} FROM known_towers ORDER BY ALL").fetchall()
        self._shapes = ", ".join(quote(shape) for (shape,) in rows)

    def register(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make the table known to a connection."""
        connection.register("known_towers", self._keys)

    def join_sql(self, parts: Sequence[str]) -> str:
        """Return the join by which towers that are spelled as in the table pass quickly; the others are few."""
        return (
            f"LEFT JOIN known_towers w ON {' || {} || '.format(quote('+')).join(f'r.{part}' for part in parts)} = w.key"
        )

    def may_show_sql(self, parts: Sequence[str]) -> str:
        """Return the SQL of whether a tower looks like one of the table's."""
        trimmed = [rf"regexp_replace(trim({part}), '^(\d+)\.0+$', '\1')" for part in parts]
        key = " || '+' || ".join(trimmed)
        if self._loosely:
            key = f"regexp_replace({key}, {quote(SEPARATORS)}, '+', 'g')"
        return f"coalesce(list_contains([{self._shapes}], {shape_sql(key)}), false)"


def _places(roles: Roles, places: list[str], towers: KnownTowers | None) -> list[str]:
    """SQL of the keys of a place."""
    if roles.kind == "point":
        return [f"CASE WHEN abs(r.{name}) <= {_MOST_DEG} THEN r.{name} END" for name in places]
    if roles.kind == "h3":
        return [f"CASE WHEN regexp_full_match(r.p0, {quote(_CELL)}) THEN r.p0 ELSE '{UNREADABLE}' END"]
    if towers is None:
        return [f"r.{name}" for name in places]
    look = towers.may_show_sql([f"r.{name}" for name in places])
    return [f"CASE WHEN w.key IS NOT NULL THEN r.{n} WHEN {look} THEN r.{n} ELSE '{UNREADABLE}' END" for n in places]


def _time(table: Table, roles: Roles, column: str) -> str:
    if column == FILE_NAME:
        return quote(roles.stamp)
    if table.type_of(column).startswith("TIMESTAMP") and "ZONE" not in table.type_of(column):
        return f"date_trunc('hour', {table.sql_of(column)})::VARCHAR"
    return text_of(table, column)
