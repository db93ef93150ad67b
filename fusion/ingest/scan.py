"""The passes of DuckDB over an export: one scan that groups, and a second one only where rows have to be judged.

The first scan sums by place and time as they are written; places and times are then indexed where they are distinct,
and joined back. A group is suspect when its place or time cannot be used, a value is no count, or a place and time
comes twice; only then are the files read again, in order, to judge each row of those groups and number it.

Nearly all exports are plain: every field that should be a number is one. So DuckDB first parses these as numbers, which
fails at the first that is none; only then are all fields read as texts and looked at one by one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import duckdb
import pandas as pd

from fusion.errors import InputError
from fusion.ingest.columns import Roles
from fusion.ingest.engine import connect
from fusion.ingest.fields import TOO_MANY, count_of, key_fields, odd_keys, plain_fields
from fusion.ingest.judged import Judged
from fusion.ingest.passed import TABLE as PASSED
from fusion.ingest.passed import note_passed, note_rejected
from fusion.ingest.tables import ROW_NUMBER, Table, quote, read_plain_tables, read_tables

__all__ = ["Scan", "connect"]

KEYS_APART = 1 << 40  # keys of suspects that come once are numbered from here, those of `shared_sql` below


@dataclass
class Scan(Judged):
    """One export in DuckDB: its files, the columns' roles in each, and the tables that the passes make.

    Tables: `groups` (keys p*, t*, n, low, v*), `places` (p*, cell, why), `times` (t*, hour, why), `suspects` (key, p*,
    t*, why, n, cell, hour_us), and those of `Judged`.

    Attributes:
        sums_rows: several rows of one place and time are parts of one count, not repetitions.
        towers: none: devices have them, counts do not.
        plain: whether every number could be parsed as one; known after `group`.
    """

    connection: duckdb.DuckDBPyConnection
    tables: Sequence[Table]
    roles: Sequence[Roles]
    sums_rows: bool
    towers: None = None
    plain: bool = False

    @property
    def places(self) -> list[str]:
        """The key columns of a place."""
        return [f"p{number}" for number in range(len(self.roles[0].place))]

    @property
    def times(self) -> list[str]:
        """The key columns of a time."""
        return [f"t{number}" for number in range(len(self.roles[0].time))]

    @property
    def values(self) -> list[str]:  # type: ignore[override]
        """The columns of counts."""
        return [f"v{number}" for number in range(len(self.roles[0].values))]

    @property
    def keys(self) -> list[str]:
        """Place and time together."""
        return self.places + self.times

    def group(self) -> None:
        """Read every file once and sum by place and time as written.

        Raises:
            InputError: a line is longer than DuckDB can take.
        """
        self.run(PASSED)
        try:
            self.plain = all(table.is_text for table in self.tables) and self._group_plain()
            if not self.plain:
                self._group_any()
        except duckdb.NotImplementedException:  # of its parallel reader, when a line fills a whole buffer
            names = self.tables[0].name + (" or another file" if len(self.tables) > 1 else "")
            raise InputError(f"{names} has a line of more than 30 MB: look for lines that lost their ends") from None

    def distinct_places(self) -> pd.DataFrame:
        """Return the distinct places: columns p*, `rows`."""
        return self.frame(
            f"SELECT {', '.join(self.places)}, sum(n)::BIGINT AS rows FROM groups GROUP BY ALL ORDER BY ALL"
        )

    def distinct_times(self) -> pd.DataFrame:
        """Return the distinct times as texts: columns t*."""
        return self.frame(f"SELECT DISTINCT {', '.join(self.times)} FROM groups ORDER BY ALL")

    def index(self, places: pd.DataFrame, times: pd.DataFrame) -> None:
        """Take the indexed places (p*, `cell`, `why`) and times (t*, `hour`, `why`) and list what is suspect."""
        self.connection.register("places_frame", places)
        self.connection.register("times_frame", times)
        respelled = not self.sums_rows and self.one(f"SELECT count(*) FROM ({busy_sql('times_frame')})") > 0
        if respelled:
            query = shared_sql("groups", "times_frame", "times_frame", self.places, self.times)
            self.run(f"CREATE OR REPLACE TABLE shared AS {query}")
        self.index_tables("places_frame", "times_frame", "shared" if respelled else None, KEYS_APART)
        self.connection.unregister("places_frame")
        self.connection.unregister("times_frame")

    def index_tables(self, places: str, times: str, shared: str | None = None, first_key: int = 0) -> None:
        """Do what `index` does, with tables that DuckDB knows.

        Args:
            places, times: their names.
            shared: a table (`key`, p*, t*) of places and times that come in several spellings or parts (`shared_sql`).
            first_key: suspects that are not shared are numbered from here.
        """
        self.run(f"CREATE OR REPLACE TABLE places AS FROM {places}")
        self.run(f"CREATE OR REPLACE TABLE times AS FROM {times}")
        flaws = ["coalesce(g.low < 0, false)", *(f"coalesce(NOT (g.{v} < {TOO_MANY}), false)" for v in self.values)]
        if not self.sums_rows:
            flaws.append("g.n > 1")
        key, joined = f"{first_key} + row_number() OVER ()", ""
        if shared:
            key, joined = f"coalesce(o.key, {key})", f"LEFT JOIN {shared} o ON {self._same('g', 'o', self.keys)}"
            flaws.append("o.key IS NOT NULL")
        # Good places are nearly all: joined only with bad ones, groups pass by an all but empty table.
        self.run(
            f"""CREATE OR REPLACE TABLE suspects AS
                SELECT s.*, p.cell, t.hour AS hour_us
                FROM (SELECT {key} AS key, {self._listed("g.", self.keys)}, g.n, coalesce(p.why, t.why) AS why
                      FROM groups g
                      LEFT JOIN (FROM places WHERE why IS NOT NULL) p ON {self._same("g", "p", self.places)}
                      LEFT JOIN (FROM times WHERE why IS NOT NULL) t ON {self._same("g", "t", self.times)} {joined}
                      WHERE p.why IS NOT NULL OR t.why IS NOT NULL OR {" OR ".join(flaws)}) s
                JOIN places p ON {self._same("s", "p", self.places)}
                JOIN times t ON {self._same("s", "t", self.times)}"""
        )

    def judge(self, repeated: bool = True) -> None:
        """Read the files again, in order, if any group is suspect, and mark its rows: `why` is None for one to take.

        Args:
            repeated: whether to look for repeated rows, where they are an error; a merge does it for all parts.
        """
        values = ", ".join(f"{name} DOUBLE" for name in self.values)
        self.run(
            f"""CREATE OR REPLACE TABLE marked
                (file INTEGER, row BIGINT, text VARCHAR, why VARCHAR, key BIGINT, cell UBIGINT, hour_us BIGINT,
                 {values})"""
        )
        if not self._has_suspects():
            return
        for number, table in enumerate(self.tables):
            if table.is_text and self.plain:
                note_passed(self.connection, number, table, malformed=False)
        self.run("SET preserve_insertion_order = true")
        for number in range(len(self.tables)):
            self._judge_file(number)
        self.run("SET preserve_insertion_order = false")
        if repeated and not self.sums_rows:
            self.mark_repeated()

    def clean_sql(self) -> str:
        """Return the SQL of what no suspect has a part in."""
        anti = f"ANTI JOIN suspects s ON {self._same('g', 's', self.keys)}" if self._has_suspects() else ""
        return f"""SELECT p.cell, t.hour AS hour_us, {self._listed("g.", self.values)}
                   FROM (SELECT * FROM groups g {anti}) g JOIN places p ON {self._same("g", "p", self.places)}
                   JOIN times t ON {self._same("g", "t", self.times)}"""

    def clean_rows(self) -> tuple[int, int]:
        """Return how many rows were grouped, and how many of them no suspect has a part in."""
        grouped = self.one("SELECT coalesce(sum(n), 0) FROM groups")
        return grouped, grouped - self.one("SELECT coalesce(sum(n), 0) FROM suspects")

    def _group_plain(self) -> bool:
        """Group in the hope that every number is one; tell whether it held."""

        def columns(number: int) -> tuple[list[str], list[str]]:
            return plain_fields(self.tables[number], self.roles[number])[:2]

        def read(numbers: list[int]) -> str:
            doubles = plain_fields(self.tables[numbers[0]], self.roles[numbers[0]])[2]
            return read_plain_tables([self.tables[number] for number in numbers], doubles)

        try:
            self.run("CREATE OR REPLACE TABLE groups AS " + self._grouping(columns, read, low="NULL::DOUBLE"))
        except (duckdb.DataError, duckdb.InvalidInputException):
            return False
        points = self.places if self.roles[0].kind == "point" else []
        texts = [key for key in self.keys if key not in points]
        return not self.one(f"SELECT count(*) FROM groups WHERE {odd_keys(points, texts)}")

    def _group_any(self) -> None:
        """Group whatever the fields hold, and find the lines that hold no row."""

        def columns(number: int) -> tuple[list[str], list[str]]:
            return self._fields(number)

        low = f"least({', '.join(self.values)})" if len(self.values) > 1 else self.values[0]
        texts = [number for number, table in enumerate(self.tables) if table.is_text]
        countable = len(texts) == len(self.tables) and not any(self.tables[number].quoted for number in texts)
        for store in (False, True) if countable or not texts else (True,):

            def read(numbers: list[int], store: bool = store) -> str:
                return read_tables([self.tables[number] for number in numbers], store)

            self.run("CREATE OR REPLACE TABLE groups AS " + self._grouping(columns, read, f"min({low})"))
            if not texts:
                return
            self.run(PASSED)
            if store:
                note_rejected(self.connection, list(self.tables))
                for number in texts:
                    note_passed(self.connection, number, self.tables[number], malformed=False)
            else:
                rows = sum(note_passed(self.connection, n, self.tables[n], malformed=True).rows for n in texts)
                # Were the two not of one mind on what a row is, DuckDB would have to list the others itself.
                if rows == self.one("SELECT coalesce(sum(n), 0) FROM groups"):
                    return

    def _grouping(
        self, columns: Callable[[int], tuple[list[str], list[str]]], read: Callable[[list[int]], str], low: str
    ) -> str:
        layouts: dict[tuple[object, ...], list[int]] = {}
        for number, table in enumerate(self.tables):
            layouts.setdefault((table.layout(), self.roles[number]), []).append(number)
        source = " UNION ALL ".join(
            f"SELECT {self._named(*columns(numbers[0]))} FROM {read(numbers)}" for numbers in layouts.values()
        )
        keys, sums = ", ".join(self.keys), ", ".join(f"sum({name}) AS {name}" for name in self.values)
        return f"SELECT {keys}, count(*) AS n, {low} AS low, {sums} FROM ({source}) GROUP BY {keys}"

    def _fields(self, number: int) -> tuple[list[str], list[str]]:
        table, roles = self.tables[number], self.roles[number]
        return key_fields(table, roles), [count_of(table, column) for column in roles.values]

    def _named(self, keys: list[str], counts: list[str]) -> str:
        named = zip(keys + counts, self.keys + self.values, strict=True)
        return ", ".join(f"{expression} AS {name}" for expression, name in named)

    def _judge_file(self, number: int) -> None:
        table = self.tables[number]
        names = [table.sql_of(column) for column in table.columns]
        raw = ", ".join(f"{name} AS x{place}" for place, name in enumerate(names))
        fields = ", ".join(f"coalesce(r.x{place}::VARCHAR, '')" for place in range(len(names)))
        row = f"{ROW_NUMBER} + 1" if not table.is_text else "row_number() OVER ()"
        flaws = " ".join(f"WHEN NOT (r.{v} < {TOO_MANY}) THEN 'bad_value'" for v in self.values)
        flaws += " ".join(f" WHEN r.{v} < 0 THEN 'negative'" for v in self.values)
        # The text is put together behind the join: of the few rows that need it.
        self.run(
            f"""INSERT INTO marked
                SELECT {number}, m.row + coalesce(h.shift, 0), m.text, m.why, m.key, m.cell, m.hour_us,
                       {self._listed("m.", self.values)}
                FROM (SELECT r.row, concat_ws({quote(table.delimiter or ",")}, {fields}) AS text,
                             CASE WHEN s.why IS NOT NULL THEN s.why {flaws} END AS why, s.key, s.cell, s.hour_us,
                             {self._listed("r.", self.values)}
                      FROM (SELECT {self._named(*self._fields(number))}, {raw}, {row} AS row
                            FROM {read_tables([table])}) r
                      JOIN suspects s ON {self._same("r", "s", self.keys)}) m
                ASOF LEFT JOIN ({shifts_sql(number, table)}) h ON m.row > h.after"""
        )

    def _has_suspects(self) -> bool:
        return bool(self.one("SELECT count(*) FROM suspects"))

    def _same(self, left: str, right: str, names: list[str]) -> str:
        return " AND ".join(f"{left}.{name} IS NOT DISTINCT FROM {right}.{name}" for name in names)

    def _listed(self, prefix: str, names: list[str]) -> str:
        return ", ".join(prefix + name for name in names)


def busy_sql(seen: str) -> str:
    """Return the SQL of instants that come more than once in `seen`: `instant`, `why`, a row a spelling or part."""
    return f"SELECT instant FROM {seen} WHERE why IS NULL GROUP BY instant HAVING count(*) > 1"


def shared_sql(groups: str, seen: str, times: str, places: Sequence[str], whens: Sequence[str]) -> str:
    """Return the SQL of places and instants that come in several spellings of the time, or in several parts.

    Args:
        groups: relation of p*, t*.
        seen: as `busy_sql` takes it.
        times: relation of t*, `instant`, `why`, each t* once.
        places, whens: the columns p* and t*.

    Returns:
        A query of `key`, p*, t*: one key a place and instant, however its time is spelled.
    """
    same = " AND ".join(f"g.{name} IS NOT DISTINCT FROM t.{name}" for name in whens)
    where, when = ", ".join(places), ", ".join(whens)
    return f"""SELECT key, {where}, {when}
               FROM (SELECT row_number() OVER () AS key, {where}, instant
                     FROM {groups} g
                     JOIN (SELECT {when}, instant FROM {times} SEMI JOIN ({busy_sql(seen)}) USING (instant)
                           WHERE why IS NULL) t ON {same}
                     GROUP BY {where}, instant HAVING count(*) > 1)
               JOIN (FROM {times} WHERE why IS NULL) USING (instant)"""


def shifts_sql(number: int, table: Table) -> str:
    """SQL of how far a record's number lies behind its line's: `shift` lines for records beyond the `after`-th."""
    if not table.is_text:
        return "SELECT -1::BIGINT AS after, 0::BIGINT AS shift"
    header = int(table.header)
    return f"""SELECT after, max(shift) AS shift
               FROM (SELECT -1::BIGINT AS after, {header}::BIGINT AS shift
                     UNION ALL SELECT row - {header} - place, {header} + place
                     FROM (SELECT row, row_number() OVER (ORDER BY row) AS place
                           FROM (SELECT DISTINCT row FROM passed WHERE file = {number})))
               GROUP BY after"""
