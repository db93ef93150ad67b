"""Device records in DuckDB: distinct devices a cell and hour, without keeping an id.

One scan of the files writes a scratch table of three things a record: the device as a salted hash, the place and the
time as keys. Places and times are indexed where they are distinct; then the scratch table, much smaller than the files,
is joined with both and counted. Records are judged one by one: a repeated record is the same device again.

Ids pass through a connection that has no folder to spill to, so they are in no file. What is written holds
`md5(salt + id)` cut to 64 bits; the salt is 128 random bits of this process and is written nowhere. Two of n devices
share a hash with a probability of n^2 / 2^65: 0.03 % for 10^8 devices, and then one count of one hour is off by one
if both are in one cell.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pandas as pd

from fusion.errors import InputError
from fusion.ingest.columns import Roles
from fusion.ingest.devices_fields import MASK, KnownTowers, hashed, record_sql, shown_sql
from fusion.ingest.devices_times import texts_of
from fusion.ingest.judged import Judged
from fusion.ingest.passed import TABLE as PASSED
from fusion.ingest.passed import note_passed, note_rejected
from fusion.ingest.scan import shifts_sql
from fusion.ingest.tables import FILE_NAME, ROW_NUMBER, Table, quote, read_tables
from fusion.ingest.towers import Towers

# Of a distinct place while it is indexed, measured with a million.
_PLACE_BYTES = 300
_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_COPY = "(FORMAT parquet, COMPRESSION lz4_raw)"
_NONE_MARKED = "SELECT 0::INTEGER AS file, 0::BIGINT AS row, '' AS why, '' AS text WHERE false"


@dataclass
class DeviceScan(Judged):
    """The passes over an export of device records; what `fusion.ingest.scan.Scan` is for counts.

    Scratch files: `records` (u, p*, k, t*) and `marked-*` (file, row, why, text). Tables: `places` (p*, cell, why),
    `times` (k, t*, hour, why), and those of `Judged`.

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
    _towers: KnownTowers | None = None

    def __post_init__(self) -> None:
        if self.towers is not None:
            self._towers = KnownTowers(self.towers, len(self.roles[0].place), self.connection)

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
        """Return the distinct places: columns p*, `rows`.

        Raises:
            InputError: they are too many for the memory, as GPS fixes may be: each row another place.
        """
        self.run(
            f"""CREATE OR REPLACE TABLE distinct_places AS
                SELECT {", ".join(self.places)}, count(*) AS rows FROM records GROUP BY ALL"""
        )
        found = self.one("SELECT count(*) FROM distinct_places")
        amount, unit = self.connection.sql("SELECT current_setting('memory_limit')").fetchall()[0][0].split()
        if found * _PLACE_BYTES > float(amount) * _UNITS[unit]:
            raise InputError(
                f"{self.tables[0].name}: {found} distinct places need {found * _PLACE_BYTES / 1e9:.1f} GB of memory: "
                "round longitude and latitude to four decimals (11 m), or give more with --memory"
            )
        return self.frame("FROM distinct_places ORDER BY ALL")

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
        for name, frame in (("places", places), ("times", times)):
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
            records = record_sql(tables[0], self.roles[numbers[0]], source, hashed(self.salt), self._towers, "")
            sources.append(f"SELECT {keys} FROM ({records})")
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

    def _judge_file(self, reader: duckdb.DuckDBPyConnection, number: int, target: Path) -> None:
        table, roles = self.tables[number], self.roles[number]
        for name in ("places", "times"):
            bad = self.connection.sql(f"SELECT * FROM {name} WHERE why IS NOT NULL").to_arrow_table()
            reader.register(f"bad_{name}", bad)
        reader.register("shifts", self.connection.sql(shifts_sql(number, table)).to_arrow_table())
        place = [f"r.c{table.columns.index(column)}" for column in roles.place]
        may_show = self._towers.may_show_sql(place) if self._towers else "false"
        known = dict.fromkeys(roles.place, ("p.why", may_show))
        known |= {column: ("t.why", "false") for column in roles.time if column != FILE_NAME}
        fields = ", ".join(
            f"coalesce({shown_sql(f'r.c{number}', *known[column])}, '')" if column in known else quote(MASK)
            for number, column in enumerate(table.columns)
        )
        raw = ", ".join(f"{table.sql_of(name)}::VARCHAR AS c{number}" for number, name in enumerate(table.columns))
        row = "row_number() OVER ()" if table.is_text else f"{ROW_NUMBER} + 1"
        records = record_sql(
            table, roles, read_tables([table]), "id IS NOT NULL", self._towers, f", {row} AS row, {raw}"
        )
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
            if self._towers:
                self._towers.register(reader)
            try:
                yield reader
            except (duckdb.DataError, duckdb.InvalidInputException):
                # What the engine says quotes the line.
                names = ", ".join(table.name for table in self.tables[:3])
                raise InputError(f"{names}: a line cannot be read as a record: export it again") from None


def _same(left: str, right: str, names: list[str]) -> str:
    return " AND ".join(f"{left}.{name} IS NOT DISTINCT FROM {right}.{name}" for name in names)


def _hide(text: str) -> str:
    """What is written of a line whose fields cannot be told apart."""
    return f"{MASK} ({len(text)} characters)"
