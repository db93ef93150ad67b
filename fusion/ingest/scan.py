"""The passes of DuckDB over an export: one scan that groups, and a second one only where rows have to be judged.

The first scan sums by place and time as they are written; places and times are then indexed where they are distinct,
and joined back. A group is suspect when its place or time cannot be used, a value is no count, or a place and time
comes twice; only then are the files read again, in order, to judge each row of those groups and number it.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from fusion.city import Measure
from fusion.errors import InputError
from fusion.ingest.columns import Roles
from fusion.ingest.numerals import as_number
from fusion.ingest.presets import NULL_TEXTS
from fusion.ingest.tables import FILE_NAME, Table, blank_lines, quote, read_tables

# Below 2 GB grouping 10 million rows into 2.6 million spills, and takes twice the time.
_MEMORY_MB_LEAST, _MEMORY_MB_MOST, _MEMORY_SHARE = 1024, 4096, 0.25
_TOO_MANY = 1e30  # beyond any count, and beyond float32 once summed
_NUMERIC = (
    *("DOUBLE", "FLOAT", "DECIMAL", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"),
)


@dataclass
class Scan:
    """One export in DuckDB: its files, the columns' roles in each, and the tables that the passes make.

    Tables: `groups` (keys p*, t*, n, low, v*), `places` (p*, cell, why), `times` (t*, hour, why), `suspects`, `marked`.
    """

    connection: duckdb.DuckDBPyConnection
    tables: list[Table]
    roles: list[Roles]
    sums_rows: bool
    towers: None = None
    malformed: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def places(self) -> list[str]:
        """The key columns of a place."""
        return [f"p{number}" for number in range(len(self.roles[0].place))]

    @property
    def times(self) -> list[str]:
        """The key columns of a time."""
        return [f"t{number}" for number in range(len(self.roles[0].time))]

    @property
    def values(self) -> list[str]:
        """The columns of counts."""
        return [f"v{number}" for number in range(len(self.roles[0].values))]

    @property
    def keys(self) -> list[str]:
        """Place and time together."""
        return self.places + self.times

    def group(self) -> None:
        """Read every file once and sum by place and time as written."""
        self._run("CREATE OR REPLACE TABLE groups AS " + self._grouping(self._source(store_rejects=True)))
        self.malformed = self._malformed()

    def distinct_places(self) -> pd.DataFrame:
        """Return the distinct places: columns p*, `rows`."""
        return self._frame(
            f"SELECT {', '.join(self.places)}, sum(n)::BIGINT AS rows FROM groups GROUP BY ALL ORDER BY ALL"
        )

    def distinct_times(self) -> pd.DataFrame:
        """Return the distinct times as texts: columns t*."""
        return self._frame(f"SELECT DISTINCT {', '.join(self.times)} FROM groups ORDER BY ALL")

    def index(self, places: pd.DataFrame, times: pd.DataFrame) -> None:
        """Take the indexed places (p*, `cell`, `why`) and times (t*, `hour`, `why`) and list what is suspect."""
        for name, frame in (("places", places), ("times", times)):
            self.connection.register(f"{name}_frame", frame)
            self._run(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM {name}_frame")
            self.connection.unregister(f"{name}_frame")
        flaws = ["coalesce(g.low < 0, false)", *(f"coalesce(NOT (g.{v} < {_TOO_MANY}), false)" for v in self.values)]
        if not self.sums_rows:
            flaws.append("g.n > 1")
        self._run(
            f"""CREATE OR REPLACE TABLE suspects AS
                SELECT row_number() OVER () AS key, {self._listed("g.", self.keys)}, coalesce(p.why, t.why) AS why
                FROM groups g JOIN places p ON {self._same("g", "p", self.places)}
                JOIN times t ON {self._same("g", "t", self.times)}
                WHERE p.why IS NOT NULL OR t.why IS NOT NULL OR {" OR ".join(flaws)}"""
        )

    def judge(self) -> None:
        """Read the files again, in order, if any group is suspect, and mark its rows: `why` is None for one to take."""
        values = ", ".join(f"{name} DOUBLE" for name in self.values)
        self._run(
            f"""CREATE OR REPLACE TABLE marked
                (file INTEGER, row BIGINT, text VARCHAR, why VARCHAR, key BIGINT, {values})"""
        )
        if not self._one("SELECT count(*) FROM suspects"):
            return
        self._run("SET preserve_insertion_order = true")
        for number in range(len(self.tables)):
            self._judge_file(number)
        self._run("SET preserve_insertion_order = false")
        if not self.sums_rows:
            self._mark_repeated()

    def write(self, path: Path, measures: tuple[Measure, ...]) -> dict[str, int]:
        """Sum what was taken by cell and hour, hide small sums, and write the city's table.

        Returns:
            `rows_read`, `rows_taken`, `cells`, `hours_with_rows`, `valid`, `suppressed`, `first_us`, `last_us`.
        """
        listed = ", ".join(self.keys)
        own = f"g.{', g.'.join(self.keys)}, {self._listed('g.', self.values)}"
        sums = ", ".join(f"sum({name}) AS {name}" for name in self.values)
        self._run(
            f"""CREATE OR REPLACE TABLE hourly AS
                WITH judged AS (SELECT key, {sums} FROM marked WHERE why IS NULL GROUP BY key),
                taken AS (
                    SELECT {own} FROM groups g ANTI JOIN suspects s ON {self._same("g", "s", self.keys)}
                    UNION ALL SELECT {listed}, {", ".join(self.values)} FROM judged JOIN suspects USING (key))
                SELECT p.cell::UBIGINT AS cell, t.hour AS hour_us, {sums}
                FROM taken g JOIN places p ON {self._same("g", "p", self.places)}
                JOIN times t ON {self._same("g", "t", self.times)} GROUP BY ALL"""
        )
        columns = []
        for name, measure in zip(self.values, measures, strict=True):
            small = f"{name} > 0 AND {name} <= {measure.min_count}"
            columns.append(f"CASE WHEN {small} THEN NULL ELSE {name}::FLOAT END AS {measure.id}")
            columns.append(f"coalesce({small}, false) AS {measure.id}_suppressed")
        self._run(
            f"""COPY (SELECT cell, to_timestamp(hour_us / 1e6) AS hour, {", ".join(columns)}
                      FROM hourly ORDER BY hour_us, cell)
                TO {quote(str(path))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"""
        )
        ids = [measure.id for measure in measures]
        counts = self._frame(
            f"""SELECT count(DISTINCT cell) AS cells, count(DISTINCT hour) AS hours_with_rows,
                       {" + ".join(f"count({id_})" for id_ in ids)} AS valid,
                       {" + ".join(f"count_if({id_}_suppressed)" for id_ in ids)} AS suppressed,
                       coalesce(epoch_us(min(hour)), 0) AS first_us, coalesce(epoch_us(max(hour)), 0) AS last_us
                FROM read_parquet({quote(str(path))})"""
        ).iloc[0]
        return {str(name): int(count) for name, count in counts.items()} | self.row_counts()

    def row_counts(self) -> dict[str, int]:
        """Return `rows_read` and `rows_taken`; the rest must lie in `rejects()`.

        Raises:
            InputError: the two readings of a file differ: it was written meanwhile.
        """
        grouped = self._one("SELECT coalesce(sum(n), 0) FROM groups")
        clean = self._one(
            f"SELECT coalesce(sum(n), 0) FROM groups g ANTI JOIN suspects s ON {self._same('g', 's', self.keys)}"
        )
        marked, taken = (
            self._one("SELECT count(*) FROM marked"),
            self._one("SELECT count(*) FROM marked WHERE why IS NULL"),
        )
        if clean + marked != grouped:
            raise InputError(
                f"{self.tables[0].name}: {grouped} rows at the first reading, {clean + marked} at the second: "
                "ingest it when nothing writes to it"
            )
        return {"rows_read": grouped + len(self.malformed), "rows_taken": clean + taken}

    def rejects(self) -> duckdb.DuckDBPyRelation:
        """Return the rows not taken: `file`, `row` (line of a text file, row of Parquet; from 1), `reason`, `text`."""
        names = pd.DataFrame({"file": range(len(self.tables)), "name": [table.name for table in self.tables]})
        self.connection.register("names", names)
        self.connection.register("malformed", self.malformed)
        return self.connection.sql(
            """SELECT name AS file, row, why AS reason, text FROM marked JOIN names USING (file) WHERE why IS NOT NULL
               UNION ALL SELECT name, row, 'malformed', text FROM malformed JOIN names USING (file)"""
        )

    def _source(self, store_rejects: bool) -> str:
        layouts: dict[tuple[object, ...], list[int]] = {}
        for number, table in enumerate(self.tables):
            layouts.setdefault((table.layout(), self.roles[number]), []).append(number)
        return " UNION ALL ".join(
            f"SELECT {self._columns(numbers[0])} "
            f"FROM {read_tables([self.tables[number] for number in numbers], store_rejects)}"
            for numbers in layouts.values()
        )

    def _columns(self, number: int) -> str:
        """Keys and values of one file as SQL."""
        table, roles = self.tables[number], self.roles[number]
        keys = (*(() if roles.kind == "point" else roles.place), *roles.time)
        texts = [quote(roles.stamp) if column == FILE_NAME else _text(table, column) for column in keys]
        points = [_number(table, column) for column in roles.place] if roles.kind == "point" else []
        values = [_count(table, column) for column in roles.values]
        named = zip(points + texts + values, self.keys + self.values, strict=True)
        return ", ".join(f"{expression} AS {name}" for expression, name in named)

    def _grouping(self, source: str) -> str:
        keys = ", ".join(self.keys)
        sums = ", ".join(f"sum({name}) AS {name}" for name in self.values)
        low = f"least({', '.join(self.values)})" if len(self.values) > 1 else self.values[0]
        return f"SELECT {keys}, count(*) AS n, min({low}) AS low, {sums} FROM ({source}) GROUP BY {keys}"

    def _judge_file(self, number: int) -> None:
        table = self.tables[number]
        names = [table.sql_of(column) for column in table.columns]
        text = (
            f"concat_ws({quote(table.delimiter or ',')}, {', '.join(f'''coalesce({n}::VARCHAR, '')''' for n in names)})"
        )
        row = "file_row_number + 1" if not table.is_text else "row_number() OVER ()"
        flaws = " ".join(f"WHEN NOT (r.{v} < {_TOO_MANY}) THEN 'bad_value'" for v in self.values)
        flaws += " ".join(f" WHEN r.{v} < 0 THEN 'negative'" for v in self.values)
        shift = self._shifts(number)
        self.connection.register("shifts", shift)
        self._run(
            f"""INSERT INTO marked
                SELECT {number}, m.row + coalesce(shifts.shift, 0), m.text, m.why, m.key,
                       {self._listed("m.", self.values)}
                FROM (SELECT r.row, r.text, CASE WHEN s.why IS NOT NULL THEN s.why {flaws} END AS why, s.key,
                             {self._listed("r.", self.values)}
                      FROM (SELECT {self._columns(number)}, {text} AS text, {row} AS row
                            FROM {read_tables([table])}) r
                      JOIN suspects s ON {self._same("r", "s", self.keys)}) m
                ASOF LEFT JOIN shifts ON m.row > shifts.after"""
        )

    def _shifts(self, number: int) -> pd.DataFrame:
        """How far a record's number lies behind its line's: `shift` lines for records beyond the `after`-th."""
        table = self.tables[number]
        after, shift = [-1], [0]
        if table.is_text:
            header = int(table.header)
            known = self.malformed.loc[self.malformed["file"] == number, "row"].tolist()
            shift[0] = header
            for passed, line in enumerate(sorted({*known, *blank_lines(table)})):
                after.append(line - 1 - header - passed)
                shift.append(header + passed + 1)
        frame = pd.DataFrame({"after": np.array(after, dtype=np.int64), "shift": np.array(shift, dtype=np.int64)})
        return frame.groupby("after")["shift"].max().reset_index()

    def _mark_repeated(self) -> None:
        """Of several good rows of one place and time, keep the first; the others repeat or contradict it."""
        same = " AND ".join(f"{name} IS NOT DISTINCT FROM first_value({name}) OVER same_key" for name in self.values)
        self._run(
            f"""CREATE OR REPLACE TABLE marked AS
                SELECT * REPLACE (CASE WHEN why IS NOT NULL THEN why
                                       WHEN row_number() OVER same_key = 1 THEN NULL
                                       WHEN {same} THEN 'duplicate' ELSE 'conflict' END AS why)
                FROM marked WINDOW same_key AS (PARTITION BY key, why IS NULL ORDER BY file, row)"""
        )

    def _malformed(self) -> pd.DataFrame:
        if not any(table.is_text for table in self.tables):
            return pd.DataFrame({"file": pd.Series(dtype="int64"), "row": pd.Series(dtype="int64"), "text": []})
        found = self._frame(
            """SELECT file_path, line::BIGINT AS row, any_value(csv_line) AS text
               FROM reject_errors JOIN reject_scans USING (scan_id, file_id) GROUP BY ALL ORDER BY ALL"""
        )
        numbers = {str(table.path): number for number, table in enumerate(self.tables)}
        found["file"] = found["file_path"].map(numbers).astype("int64")
        found["text"] = found["text"].str.strip("\r\n")
        return found[["file", "row", "text"]]

    def _same(self, left: str, right: str, names: list[str]) -> str:
        return " AND ".join(f"{left}.{name} IS NOT DISTINCT FROM {right}.{name}" for name in names)

    def _listed(self, prefix: str, names: list[str]) -> str:
        return ", ".join(prefix + name for name in names)

    def _run(self, sql: str) -> None:
        self.connection.execute(sql).fetchall()

    def _frame(self, sql: str) -> pd.DataFrame:
        return self.connection.sql(sql).to_arrow_table().to_pandas()

    def _one(self, sql: str) -> int:
        return int(self.connection.execute(sql).fetchall()[0][0])


def connect(scratch: Path) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB that keeps within a quarter of the memory, 1 to 4 GB, and spills to a folder."""
    physical_mb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**20
    memory_mb = min(max(physical_mb * _MEMORY_SHARE, _MEMORY_MB_LEAST), _MEMORY_MB_MOST)
    connection = duckdb.connect()
    connection.execute(f"SET memory_limit = '{memory_mb:.0f}MB'")
    connection.execute(f"SET temp_directory = {quote(str(scratch))}")
    connection.execute("SET preserve_insertion_order = false")
    return connection


def _number(table: Table, column: str) -> str:
    name = table.sql_of(column)
    return name + "::DOUBLE" if table.type_of(column).startswith(_NUMERIC) else as_number(name)


def _text(table: Table, column: str) -> str:
    name, kind = table.sql_of(column), table.type_of(column)
    if kind == "TIMESTAMP WITH TIME ZONE":
        # An instant, not a local time: as microseconds since 1970 it cannot be taken for one.
        return f"epoch_us({name})::VARCHAR"
    return name if kind == "VARCHAR" else f"{name}::VARCHAR"


def _count(table: Table, column: str) -> str:
    """A count as a double: NULL where there is none, NaN where the text is no number."""
    name = table.sql_of(column)
    if table.type_of(column).startswith(_NUMERIC):
        return f"CASE WHEN isnan({name}::DOUBLE) THEN NULL ELSE {name}::DOUBLE END"
    empty = f"{name} IS NULL"
    if not table.is_text:
        empty = f"coalesce(trim({name}::VARCHAR) IN ({', '.join(quote(text) for text in NULL_TEXTS)}), true)"
    return f"CASE WHEN {empty} THEN NULL ELSE coalesce({as_number(name)}, 'nan'::DOUBLE) END"
