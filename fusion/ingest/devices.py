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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pandas as pd

from fusion.errors import InputError
from fusion.ingest.columns import Roles
from fusion.ingest.devices_times import number_sql, text_sql, texts_of
from fusion.ingest.fields import number_of, text_of
from fusion.ingest.judged import Judged
from fusion.ingest.passed import TABLE as PASSED
from fusion.ingest.passed import note_passed, note_rejected
from fusion.ingest.presets import NULL_TEXTS
from fusion.ingest.scan import shifts_sql
from fusion.ingest.tables import FILE_NAME, Table, quote, read_tables
from fusion.ingest.towers import Towers, tower_keys

MASK = "***"
# A field that could not be read may hold anything, an id too: only its shape is kept.
_UNREADABLE = ("bad_place", "unknown_tower", "unknown_grid_id", "bad_time")
_SHAPE_LENGTH = 40
_DIGIT, _LETTER = re.compile(r"\d"), re.compile(r"[^\W\d_]")
_COPY = "(FORMAT parquet, COMPRESSION lz4_raw)"
_NONE_MARKED = "SELECT 0::INTEGER AS file, 0::BIGINT AS row, '' AS why, '' AS text WHERE false"


@dataclass
class DeviceScan(Judged):
    """The passes over an export of device records; what `fusion.ingest.scan.Scan` is for counts.

    Scratch files: `records` (u, p*, k, t*) and `marked-*` (file, row, why, text). Tables: `places` (p*, cell, why,
    shown), `times` (k, t*, hour, why), and those of `Judged`.

    Attributes:
        scratch: a folder for these files, which goes when the ingest ends.
        towers: the tower table, for places of `kind` tower.
        salt: of the hashes; with 22 characters of it an id of 32 is one block of MD5.
        plain: whether every line is a record; known after `group`.
        bad: how many records cannot be taken; known after `index`.
    """

    connection: duckdb.DuckDBPyConnection
    tables: Sequence[Table]
    roles: Sequence[Roles]
    scratch: Path
    towers: Towers | None = None
    salt: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)
    plain: bool = False
    bad: int = 0

    @property
    def places(self) -> list[str]:
        """The key columns of a place."""
        return [f"p{number}" for number in range(len(self.roles[0].place))]

    @property
    def times(self) -> list[str]:
        """The key columns of a time."""
        return ["k", *(f"t{number}" for number in range(len(self.roles[0].time)))]

    @property
    def values(self) -> list[str]:  # type: ignore[override]
        """The column of the count."""
        return ["v0"]

    def group(self) -> None:
        """Read every file once into the scratch table, and find the lines that hold no record."""
        self.run(PASSED)
        self.plain = self._write_records(strict=True)
        if not self.plain:
            self._write_any()
        self.run(f"CREATE OR REPLACE VIEW records AS SELECT * FROM read_parquet({quote(str(self._file('records')))})")

    def distinct_places(self) -> pd.DataFrame:
        """Return the distinct places: columns p*, `rows`."""
        return self.frame(f"SELECT {', '.join(self.places)}, count(*) AS rows FROM records GROUP BY ALL ORDER BY ALL")

    def distinct_times(self) -> pd.DataFrame:
        """Return the distinct times as texts, t*, with their keys `k` and `r0` as `index` wants them back."""
        found = self.frame(f"SELECT DISTINCT {', '.join(self.times)} FROM records ORDER BY ALL")
        found["k"] = found["k"].astype("Int64")
        found["r0"] = found["t0"].astype("string")
        found["t0"] = texts_of(found["k"], found["r0"])
        return found

    def index(self, places: pd.DataFrame, times: pd.DataFrame) -> None:
        """Take the indexed places (p*, `cell`, `why`) and times (those of `distinct_times`, `hour`, `why`)."""
        times = times.assign(t0=times["r0"]).drop(columns="r0")
        for name, frame in (("places", places.assign(shown=self._may_show(places))), ("times", times)):
            self.connection.register(f"{name}_frame", frame)
            self.run(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM {name}_frame")
            self.connection.unregister(f"{name}_frame")
        self.bad = self.one(
            f"""SELECT count(*) FROM records r LEFT JOIN (FROM places WHERE why IS NOT NULL) p
                ON {_same("r", "p", self.places)} LEFT JOIN (FROM times WHERE why IS NOT NULL) t
                ON {_same("r", "t", self.times)} WHERE r.u IS NULL OR p.why IS NOT NULL OR t.why IS NOT NULL"""
        )

    def judge(self) -> None:
        """Read the files again, in order, if any record cannot be taken, and mark those that cannot with the reason.

        Of their fields only time and place are shown, and of one that could not be read its shape.
        """
        paths = [self._file(f"marked-{number}") for number in range(len(self.tables))] if self.bad else []
        for number, path in enumerate(paths):
            if self.plain and self.tables[number].is_text:
                note_passed(self.connection, number, self.tables[number], malformed=False)
            with self._reader() as reader:
                self._judge_file(reader, number, path)
        listed = ", ".join(quote(str(path)) for path in paths)
        self.run(
            f"CREATE OR REPLACE VIEW marked AS {f'SELECT * FROM read_parquet([{listed}])' if paths else _NONE_MARKED}"
        )

    def clean_sql(self) -> str:
        """Return the SQL of `cell`, `hour_us` and the distinct devices."""
        return f"""SELECT p.cell, t.hour AS hour_us, count(DISTINCT r.u)::DOUBLE AS v0
                   FROM records r JOIN (FROM places WHERE why IS NULL) p ON {_same("r", "p", self.places)}
                   JOIN (FROM times WHERE why IS NULL) t ON {_same("r", "t", self.times)}
                   WHERE r.u IS NOT NULL GROUP BY p.cell, t.hour"""

    def clean_rows(self) -> tuple[int, int]:
        """Return how many records were read, and how many of them are taken."""
        read = self.one("SELECT count(*) FROM records")
        return read, read - self.bad

    def _write_records(self, strict: bool, store_rejects: bool = False) -> bool:
        """Write the scratch table; tell whether every line was a record, if that is asked (`strict`)."""
        layouts: dict[tuple[object, ...], list[int]] = {}
        for number, table in enumerate(self.tables):
            layouts.setdefault((table.layout(), self.roles[number]), []).append(number)
        keys = ", ".join(["u", *self.places, *self.times])
        sources = []
        for numbers in layouts.values():
            tables = [self.tables[number] for number in numbers]
            source = read_tables(tables, store_rejects and tables[0].is_text, strict)
            sources.append(f"SELECT {keys} FROM ({self._keys(numbers[0], source, hashed=True)})")
        with self._reader() as reader:
            reader.execute("SET preserve_insertion_order = false")
            try:
                reader.execute(
                    f"COPY ({' UNION ALL '.join(sources)}) TO {quote(str(self._file('records')))} {_COPY}"
                ).fetchall()
            except (duckdb.DataError, duckdb.InvalidInputException):
                if strict:
                    return False
                raise
            if store_rejects:
                reader.execute(PASSED)
                note_rejected(reader, list(self.tables))
                hidden = reader.sql(
                    f"SELECT file, row, format('{MASK} ({{}} characters)', length(text)) AS text FROM passed"
                )
                self.connection.register("hidden", hidden.to_arrow_table())
                self.run("INSERT INTO passed SELECT * FROM hidden")
                self.connection.unregister("hidden")
        return True

    def _write_any(self) -> None:
        """Write the scratch table past lines that hold no record."""
        texts = [number for number, table in enumerate(self.tables) if table.is_text]
        if len(texts) == len(self.tables) and not any(self.tables[number].quoted for number in texts):
            self._write_records(strict=False)
            noted = [note_passed(self.connection, n, self.tables[n], malformed=True, hide=_hide) for n in texts]
            written = self.one(f"SELECT count(*) FROM read_parquet({quote(str(self._file('records')))})")
            # Were the two not of one mind on what a record is, DuckDB would have to list the others itself.
            if sum(lines.rows for lines in noted) == written:
                return
            self.run(PASSED)
        self._write_records(strict=False, store_rejects=True)
        for number in texts:
            note_passed(self.connection, number, self.tables[number], malformed=False)

    def _may_show(self, places: pd.DataFrame) -> pd.Series:
        """Whether an unknown tower may be written down: only if it looks like the table's; else it may be an id."""
        unknown = (places["why"] == "unknown_tower").fillna(False).astype(bool)
        shown = pd.Series(False, index=places.index)
        if self.towers is not None and unknown.any():
            known = set(_shapes(self.towers.key.to_series()))
            keys = tower_keys([places.loc[unknown, name] for name in self.places])
            shown[unknown] = _shapes(keys).isin(known).to_numpy()
        return shown

    def _judge_file(self, reader: duckdb.DuckDBPyConnection, number: int, target: Path) -> None:
        table, roles = self.tables[number], self.roles[number]
        for name in ("places", "times"):
            bad = self.connection.sql(f"SELECT * FROM {name} WHERE why IS NOT NULL").to_arrow_table()
            reader.register(f"bad_{name}", bad)
        reader.register("shifts", self.connection.sql(shifts_sql(number, table)).to_arrow_table())
        known = {column: _shown("p.why", "p.shown") for column in roles.place}
        known |= {column: _shown("t.why", "false") for column in roles.time if column != FILE_NAME}
        fields = ", ".join(
            quote(MASK) if column not in known else f"coalesce({known[column].format(f'r.c{place}')}, '')"
            for place, column in enumerate(table.columns)
        )
        raw = ", ".join(f"{table.sql_of(column)}::VARCHAR AS c{place}" for place, column in enumerate(table.columns))
        row = "row_number() OVER ()" if table.is_text else "file_row_number + 1"
        records = self._keys(number, read_tables([table]), hashed=False, more=f", {row} AS row, {raw}")
        reader.execute(
            f"""COPY (SELECT {number}::INTEGER AS file, m.row + coalesce(shifts.shift, 0) AS row, m.why, m.text
                      FROM (SELECT r.row, coalesce(p.why, t.why, 'missing_user') AS why,
                                   concat_ws({quote(table.delimiter or ",")}, {fields}) AS text
                            FROM ({records}) r
                            LEFT JOIN bad_places p ON {_same("r", "p", self.places)}
                            LEFT JOIN bad_times t ON {_same("r", "t", self.times)}
                            WHERE p.why IS NOT NULL OR t.why IS NOT NULL OR NOT r.u) m
                      ASOF LEFT JOIN shifts ON m.row > shifts.after) TO {quote(str(target))} {_COPY}"""
        ).fetchall()

    def _file(self, name: str) -> Path:
        return self.scratch / f"{name}.parquet"

    def _keys(self, number: int, source: str, hashed: bool, more: str = "") -> str:
        """SQL of a file's records: u (the hash, or whether there is an id), p*, k, t*, and `more` columns."""
        table, roles = self.tables[number], self.roles[number]
        user = text_of(table, roles.user or "")
        if not table.is_text:
            user = f"CASE WHEN {user} NOT IN ({', '.join(quote(text) for text in NULL_TEXTS)}) THEN {user} END"
        place = [number_of(table, c) if roles.kind == "point" else text_of(table, c) for c in roles.place]
        inner = [f"{user} AS x", *(f"{sql} AS p{n}" for n, sql in enumerate(place))]
        inner += [f"{_time(table, roles, column)} AS x{n}" for n, column in enumerate(roles.time)]
        # Ids with blanks around are few; to trim all would cost more than a look.
        user = "CASE WHEN x LIKE ' %' OR x LIKE '% ' THEN nullif(trim(x), '') ELSE nullif(x, '') END"
        user = f"(md5_number({quote(self.salt)} || ({user})) >> 64)::UBIGINT" if hashed else f"({user}) IS NOT NULL"
        one = len(roles.time) == 1
        number_key = number_sql("x0") if one else "NULL::BIGINT"
        text_key = f"CASE WHEN k IS NULL THEN {text_sql('x0')} END" if one else "x0"
        times = [f"{text_key} AS t0", *(f"x{n} AS t{n}" for n in range(1, len(roles.time)))]
        return f"""SELECT * EXCLUDE ({", ".join(f"x{n}" for n in range(len(roles.time)))}), {", ".join(times)}
                   FROM (SELECT {user} AS u, * EXCLUDE (x), {number_key} AS k
                         FROM (SELECT {", ".join(inner)}{more} FROM {source}))"""

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
            except (duckdb.DataError, duckdb.InvalidInputException):
                # What the engine says quotes the line.
                names = ", ".join(table.name for table in self.tables[:3])
                raise InputError(f"{names}: a line cannot be read as a record: export it again") from None


def _same(left: str, right: str, names: list[str]) -> str:
    return " AND ".join(f"{left}.{name} IS NOT DISTINCT FROM {right}.{name}" for name in names)


def _time(table: Table, roles: Roles, column: str) -> str:
    if column == FILE_NAME:
        return quote(roles.stamp)
    if table.type_of(column).startswith("TIMESTAMP") and "ZONE" not in table.type_of(column):
        return f"date_trunc('hour', {table.sql_of(column)})::VARCHAR"
    return text_of(table, column)


def _hide(text: str) -> str:
    """What is written of a line whose fields cannot be told apart."""
    return f"{MASK} ({len(text)} characters)"


def _shown(why: str, may_show: str) -> str:
    """The SQL of a field as rejects hold it: `{}` is the field."""
    unreadable = f"{why} IN ({', '.join(quote(reason) for reason in _UNREADABLE)}) AND NOT {may_show}"
    shape = r"regexp_replace(regexp_replace({0}, '\p{{N}}', '9', 'g'), '\p{{L}}', 'a', 'g')"
    return f"CASE WHEN {unreadable} THEN left({shape}, {_SHAPE_LENGTH}) ELSE {{0}} END"


def _shapes(texts: pd.Series) -> pd.Series:
    """Digits as 9 and letters as a."""
    return pd.Series([_LETTER.sub("a", _DIGIT.sub("9", str(text))) for text in texts], dtype="string")
