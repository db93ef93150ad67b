"""Device records in DuckDB: distinct devices a cell and hour, without keeping an id.

One scan of the files writes a scratch table of three things a record: the device as a salted hash, the place and the
time as keys. Places and times are indexed where they are distinct; then the scratch table, much smaller than the files,
is joined with both and counted. Records are judged one by one: a repeated record is the same device again.

Ids pass through a connection that has no folder to spill to, so they are in no file. What is written holds
`md5(salt + id)` cut to 64 bits; the salt is 128 random bits of this process and is written nowhere. Two of n devices
share a hash with a probability of n^2 / 2^65: 0.03 % for 10^8 devices, and then one count of one hour is off by one
if both are in one cell.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from fusion.city import Measure
from fusion.errors import InputError
from fusion.ingest.columns import Roles
from fusion.ingest.devices_times import key_sql, texts_of
from fusion.ingest.fields import number_of, text_of
from fusion.ingest.presets import NULL_TEXTS
from fusion.ingest.tables import FILE_NAME, Table, blank_lines, quote, read_tables
from fusion.ingest.towers import Towers, tower_keys

MASK = "***"
# A field that could not be read may hold anything, an id too: only its shape is kept.
_UNREADABLE = ("bad_place", "unknown_tower", "unknown_grid_id", "bad_time")
_SHAPE_LENGTH = 40
_DIGIT, _LETTER = re.compile(r"\d"), re.compile(r"[^\W\d_]")
_COPY = "(FORMAT parquet, COMPRESSION lz4_raw)"
_NO_REJECTS = "SELECT 0::INTEGER AS file, 0::BIGINT AS row, '' AS why, '' AS text WHERE false"


@dataclass
class DeviceScan:
    """The passes over an export of device records; what `fusion.ingest.scan.Scan` is for counts.

    Scratch files: `records` (u, p*, k, t*), `malformed` and `marked-*` (file, row, why, text). Tables: `places` (p*,
    cell, why, shown), `times` (k, t*, hour, why).
    """

    connection: duckdb.DuckDBPyConnection
    tables: list[Table]
    roles: list[Roles]
    scratch: Path
    towers: Towers | None = None
    salt: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    bad: int = 0

    @property
    def places(self) -> list[str]:
        """The key columns of a place."""
        return [f"p{number}" for number in range(len(self.roles[0].place))]

    @property
    def times(self) -> list[str]:
        """The key columns of a time."""
        return ["k", *(f"t{number}" for number in range(len(self.roles[0].time)))]

    def group(self) -> None:
        """Read every file once into the scratch table."""
        layouts: dict[tuple[object, ...], list[int]] = {}
        for number, table in enumerate(self.tables):
            layouts.setdefault((table.layout(), self.roles[number]), []).append(number)
        keys = ", ".join(["u", *self.places, *self.times])
        source = " UNION ALL ".join(
            f"SELECT {keys} FROM ({self._keys(numbers[0], [self.tables[n] for n in numbers], hashed=True)})"
            for numbers in layouts.values()
        )
        with self._reader() as reader:
            reader.execute("SET preserve_insertion_order = false")
            reader.execute(f"COPY ({source}) TO {quote(str(self._records))} {_COPY}").fetchall()
            self._write_malformed(reader)
        self._run(f"CREATE VIEW records AS SELECT * FROM read_parquet({quote(str(self._records))})")
        self._run(f"CREATE VIEW malformed AS SELECT * FROM read_parquet({quote(str(self._scratch_file('malformed')))})")

    def distinct_places(self) -> pd.DataFrame:
        """Return the distinct places: columns p*, `rows`."""
        return self._frame(f"SELECT {', '.join(self.places)}, count(*) AS rows FROM records GROUP BY ALL ORDER BY ALL")

    def distinct_times(self) -> pd.DataFrame:
        """Return the distinct times as texts, t*, with their keys `k` and `r0` as `index` wants them back."""
        found = self._frame(f"SELECT DISTINCT {', '.join(self.times)} FROM records ORDER BY ALL")
        found["k"] = found["k"].astype("Int64")
        found["r0"] = found["t0"].astype("string")
        found["t0"] = texts_of(found["k"], found["r0"])
        return found

    def index(self, places: pd.DataFrame, times: pd.DataFrame) -> None:
        """Take the indexed places (p*, `cell`, `why`) and times (those of `distinct_times`, `hour`, `why`)."""
        times = times.assign(t0=times["r0"]).drop(columns="r0")
        for name, frame in (("places", places.assign(shown=self._may_show(places))), ("times", times)):
            self.connection.register(f"{name}_frame", frame)
            self._run(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM {name}_frame")
            self.connection.unregister(f"{name}_frame")
        self.bad = self._one(
            f"""SELECT count(*) FROM records r LEFT JOIN (FROM places WHERE why IS NOT NULL) p
                ON {_same("r", "p", self.places)} LEFT JOIN (FROM times WHERE why IS NOT NULL) t
                ON {_same("r", "t", self.times)} WHERE r.u IS NULL OR p.why IS NOT NULL OR t.why IS NOT NULL"""
        )

    def judge(self) -> None:
        """Read the files again, in order, if any record cannot be taken, and write down which and why.

        Raises:
            InputError: the two readings of a file differ: it was written meanwhile.
        """
        paths = [self._scratch_file(f"marked-{number}") for number in range(len(self.tables))] if self.bad else []
        if paths:
            with self._reader() as reader:
                for name in ("places", "times"):
                    bad = self.connection.sql(f"SELECT * FROM {name} WHERE why IS NOT NULL")
                    reader.register("bad", bad.to_arrow_table())
                    reader.execute(f"CREATE TABLE bad_{name} AS SELECT * FROM bad")
                for number, path in enumerate(paths):
                    self._judge_file(reader, number, path)
        listed = ", ".join(quote(str(path)) for path in paths)
        self._run(
            f"CREATE OR REPLACE VIEW marked AS {f'SELECT * FROM read_parquet([{listed}])' if paths else _NO_REJECTS}"
        )
        marked = self._one("SELECT count(*) FROM marked")
        if marked != self.bad:
            raise InputError(
                f"{self.tables[0].name}: {self.bad} records to reject at the first reading, {marked} at the second: "
                "ingest it when nothing writes to it"
            )

    def write(self, path: Path, measures: tuple[Measure, ...]) -> dict[str, int]:
        """Count devices by cell and hour, hide small counts, and write the city's table.

        Returns:
            `rows_read`, `rows_taken`, `cells`, `hours_with_rows`, `valid`, `suppressed`, `first_us`, `last_us`.
        """
        (measure,) = measures
        self._run(
            f"""CREATE OR REPLACE TABLE hourly AS
                SELECT p.cell::UBIGINT AS cell, t.hour AS hour_us, count(DISTINCT r.u) AS n
                FROM records r JOIN (FROM places WHERE why IS NULL) p ON {_same("r", "p", self.places)}
                JOIN (FROM times WHERE why IS NULL) t ON {_same("r", "t", self.times)}
                WHERE r.u IS NOT NULL GROUP BY ALL"""
        )
        small = f"n <= {measure.min_count}"
        self._run(
            f"""COPY (SELECT cell, to_timestamp(hour_us / 1e6) AS hour,
                             CASE WHEN {small} THEN NULL ELSE n::FLOAT END AS {measure.id},
                             {small} AS {measure.id}_suppressed
                      FROM hourly ORDER BY hour_us, cell)
                TO {quote(str(path))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"""
        )
        counts = self._frame(
            f"""SELECT count(DISTINCT cell) AS cells, count(DISTINCT hour_us) AS hours_with_rows,
                       count_if(NOT ({small})) AS valid, count_if({small}) AS suppressed,
                       coalesce(min(hour_us), 0) AS first_us, coalesce(max(hour_us), 0) AS last_us FROM hourly"""
        ).iloc[0]
        return {str(name): int(count) for name, count in counts.items()} | self.row_counts()

    def row_counts(self) -> dict[str, int]:
        """Return `rows_read` and `rows_taken`; the rest must lie in `rejects()`."""
        read = self._one("SELECT count(*) FROM records")
        return {"rows_read": read + self._one("SELECT count(*) FROM malformed"), "rows_taken": read - self.bad}

    def rejects(self) -> duckdb.DuckDBPyRelation:
        """Return the rows not taken: `file`, `row` (line of a text file, row of Parquet; from 1), `reason`, `text`.

        Of the fields only time and place are shown, and of one that could not be read its shape; of a line whose
        fields cannot be told apart, its length.
        """
        names = pd.DataFrame({"file": range(len(self.tables)), "name": [table.name for table in self.tables]})
        self.connection.register("names", names)
        return self.connection.sql(
            """SELECT name AS file, row, why AS reason, text FROM (FROM marked UNION ALL FROM malformed)
               JOIN names USING (file)"""
        )

    def _may_show(self, places: pd.DataFrame) -> pd.Series:
        """Whether an unknown tower may be written down: only if it looks like the table's; else it may be an id."""
        unknown = (places["why"] == "unknown_tower").fillna(False)
        shown = pd.Series(False, index=places.index)
        if self.towers is not None and unknown.any():
            known = set(_shapes(self.towers.key.to_series()))
            keys = tower_keys([places.loc[unknown, name] for name in self.places])
            shown[unknown] = _shapes(keys).isin(known).to_numpy()
        return shown

    def _write_malformed(self, reader: duckdb.DuckDBPyConnection) -> None:
        """Keep of a line whose fields cannot be told apart where it stood and how long it was."""
        target = f"{quote(str(self._scratch_file('malformed')))} {_COPY}"
        if not any(table.is_text for table in self.tables):
            reader.execute(f"COPY ({_NO_REJECTS}) TO {target}").fetchall()
            return
        paths = pd.DataFrame({"file": range(len(self.tables)), "path": [str(table.path) for table in self.tables]})
        reader.register("paths", paths)
        length = "length(trim(any_value(csv_line), chr(13) || chr(10)))"
        reader.execute(
            f"""COPY (SELECT file::INTEGER AS file, line::BIGINT AS row, 'malformed' AS why,
                             format('{MASK} ({{}} characters)', {length}) AS text
                      FROM reject_errors JOIN reject_scans USING (scan_id, file_id) JOIN paths ON path = file_path
                      GROUP BY file, line ORDER BY file, line) TO {target}"""
        ).fetchall()

    def _judge_file(self, reader: duckdb.DuckDBPyConnection, number: int, target: Path) -> None:
        table, roles = self.tables[number], self.roles[number]
        known = {column: _shown("p.why", "p.shown") for column in roles.place}
        known |= {column: _shown("t.why", "false") for column in roles.time if column != FILE_NAME}
        fields = ", ".join(
            quote(MASK) if column not in known else f"coalesce({known[column].format(f'r.c{place}')}, '')"
            for place, column in enumerate(table.columns)
        )
        raw = ", ".join(f"{table.sql_of(column)}::VARCHAR AS c{place}" for place, column in enumerate(table.columns))
        row = "row_number() OVER ()" if table.is_text else "file_row_number + 1"
        reader.register("shifts", self._shifts(number))
        reader.execute(
            f"""COPY (SELECT {number}::INTEGER AS file, m.row + coalesce(shifts.shift, 0) AS row, m.why, m.text
                      FROM (SELECT r.row, coalesce(p.why, t.why, 'missing_user') AS why,
                                   concat_ws({quote(table.delimiter or ",")}, {fields}) AS text
                            FROM ({self._keys(number, [table], hashed=False, more=f", {row} AS row, {raw}")}) r
                            LEFT JOIN bad_places p ON {_same("r", "p", self.places)}
                            LEFT JOIN bad_times t ON {_same("r", "t", self.times)}
                            WHERE p.why IS NOT NULL OR t.why IS NOT NULL OR NOT r.u) m
                      ASOF LEFT JOIN shifts ON m.row > shifts.after) TO {quote(str(target))} {_COPY}"""
        ).fetchall()

    def _shifts(self, number: int) -> pd.DataFrame:
        """How far a record's number lies behind its line's: `shift` lines for records beyond the `after`-th."""
        table = self.tables[number]
        after, shift = [-1], [0]
        if table.is_text:
            header = int(table.header)
            shift[0] = header
            bad = self._frame(f"SELECT row FROM malformed WHERE file = {number}")["row"].tolist()
            for passed, line in enumerate(sorted({*bad, *blank_lines(table)})):
                after.append(line - 1 - header - passed)
                shift.append(header + passed + 1)
        frame = pd.DataFrame({"after": np.array(after, dtype=np.int64), "shift": np.array(shift, dtype=np.int64)})
        return frame.groupby("after")["shift"].max().reset_index()

    @property
    def _records(self) -> Path:
        return self._scratch_file("records")

    def _scratch_file(self, name: str) -> Path:
        return self.scratch / f"{name}.parquet"

    def _keys(self, number: int, tables: list[Table], hashed: bool, more: str = "") -> str:
        """Keys of a file's records as SQL: u, p*, k, t*, and x* the columns as they came."""
        table, roles = tables[0], self.roles[number]
        user = text_of(table, roles.user or "")
        if not table.is_text:
            user = f"CASE WHEN {user} NOT IN ({', '.join(quote(text) for text in NULL_TEXTS)}) THEN {user} END"
        place = [number_of(table, c) if roles.kind == "point" else text_of(table, c) for c in roles.place]
        time = [quote(roles.stamp) if column == FILE_NAME else text_of(table, column) for column in roles.time]
        inner = [f"{user} AS x", *(f"{sql} AS p{n}" for n, sql in enumerate(place))]
        inner += [f"{sql} AS x{n}" for n, sql in enumerate(time)]
        # Ids with blanks around are few; trimming all would cost more than hashing.
        user = "CASE WHEN x LIKE ' %' OR x LIKE '% ' THEN nullif(trim(x), '') ELSE nullif(x, '') END"
        hashed_user = f"(md5_number({quote(self.salt)} || ({user})) >> 64)::UBIGINT"
        keys = key_sql("x0") if len(time) == 1 else ("NULL::BIGINT", "x0")
        outer = [f"{hashed_user if hashed else f'({user}) IS NOT NULL'} AS u", *self.places]
        outer += [f"{keys[0]} AS k", f"{keys[1]} AS t0", *(f"x{n} AS t{n}" for n in range(1, len(time)))]
        source = read_tables(tables, store_rejects=hashed and table.is_text)
        kept = ", * EXCLUDE (x, " + ", ".join([*self.places, *(f"x{n}" for n in range(len(time)))]) + ")"
        return f"SELECT {', '.join(outer)}{kept if more else ''} FROM (SELECT {', '.join(inner)}{more} FROM {source})"

    @contextmanager
    def _reader(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that may see ids: it keeps within the same memory, and has nowhere to spill to."""
        limit, threads = self.connection.sql(
            "SELECT current_setting('memory_limit'), current_setting('threads')"
        ).fetchall()[0]
        with duckdb.connect() as reader:
            reader.execute("SET temp_directory = ''")
            reader.execute(f"SET memory_limit = {quote(str(limit))}")
            reader.execute(f"SET threads = {threads}")
            try:
                yield reader
            except (duckdb.InvalidInputException, duckdb.ConversionException):
                # What the engine says quotes the line.
                names = ", ".join(table.name for table in self.tables[:3])
                raise InputError(f"{names}: a line cannot be read as a record: export it again") from None

    def _run(self, sql: str) -> None:
        self.connection.execute(sql).fetchall()

    def _frame(self, sql: str) -> pd.DataFrame:
        return self.connection.sql(sql).to_arrow_table().to_pandas()

    def _one(self, sql: str) -> int:
        return int(self.connection.execute(sql).fetchall()[0][0])


def _same(left: str, right: str, names: list[str]) -> str:
    return " AND ".join(f"{left}.{name} IS NOT DISTINCT FROM {right}.{name}" for name in names)


def _shown(why: str, may_show: str) -> str:
    """The SQL of a field as rejects hold it: `{}` is the field."""
    unreadable = f"{why} IN ({', '.join(quote(reason) for reason in _UNREADABLE)}) AND NOT {may_show}"
    shape = r"regexp_replace(regexp_replace({0}, '\p{{N}}', '9', 'g'), '\p{{L}}', 'a', 'g')"
    return f"CASE WHEN {unreadable} THEN left({shape}, {_SHAPE_LENGTH}) ELSE {{0}} END"


def _shapes(texts: pd.Series) -> pd.Series:
    """Digits as 9 and letters as a."""
    return pd.Series([_LETTER.sub("a", _DIGIT.sub("9", str(text))) for text in texts], dtype="string")
