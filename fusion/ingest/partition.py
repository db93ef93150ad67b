"""One part of an export, as a worker takes it: what it reads goes into Parquet files of a folder that all can see.

Two rounds. First each part groups its rows by place and time as written; nothing can be judged yet, because the city's
middle, and which places and times come twice, only all parts together tell. Then, with all places and times indexed,
each part judges its rows and sums the others by cell and hour, before anything is hidden.

Files are written under another name and renamed, the `.json` of a round last: a part with that is done, whoever did it.
"""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from fusion.errors import CityError
from fusion.ingest.columns import Roles
from fusion.ingest.engine import connect
from fusion.ingest.passed import TABLE as PASSED
from fusion.ingest.scan import KEYS_APART, Scan
from fusion.ingest.tables import Table, quote

ROUNDS = ("grouped", "judged")
_COPY = "(FORMAT parquet, COMPRESSION lz4_raw)"


@dataclass(frozen=True)
class Part:
    """Some files of an export, in their order, and where what is made of them lies.

    Attributes:
        number: its place among the parts, from 0.
        first_file: the number of its first file among all.
        folder: of all parts, on a file system that all workers share.
        sums_rows: several rows of one place and time are parts of one count.
        memory_bytes, threads: what the worker may use; None: as `fusion.ingest.engine.connect` decides.
    """

    number: int
    first_file: int
    tables: tuple[Table, ...]
    roles: tuple[Roles, ...]
    folder: Path
    sums_rows: bool
    memory_bytes: int | None = None
    threads: int | None = None

    def file(self, name: str) -> Path:
        """Return the path of one of its files."""
        return self.folder / f"{self.number:05d}-{name}"

    def is_done(self, round_: str) -> bool:
        """Tell whether a round is done for this part."""
        return self.file(f"{round_}.json").is_file()

    def report(self, round_: str) -> dict[str, int]:
        """Return what a round counted."""
        return dict(json.loads(self.file(f"{round_}.json").read_text()))


def group_part(part: Part) -> None:
    """First round: `groups` (p*, t*, n, low, v*), `places` (p*, rows), `times` (t*), `passed` (file, row, text).

    Raises:
        InputError: a file cannot be read.
        CityError: the disk is full, or the files have gone.
    """
    if part.is_done("grouped"):
        return
    with _working(part) as scan:
        scan.group()
        _copy(scan, part, "groups", "FROM groups")
        places = f"SELECT {', '.join(scan.places)}, sum(n)::BIGINT AS rows FROM groups GROUP BY ALL"
        _copy(scan, part, "places", places)
        _copy(scan, part, "times", f"SELECT DISTINCT {', '.join(scan.times)} FROM groups")
        _copy(scan, part, "passed", "FROM passed")
        _finish(part, "grouped", {"plain": int(scan.plain)})


def judge_part(part: Part) -> None:
    """Second round, once `places`, `times` and `shared` of all parts lie in the folder.

    Leaves `hourly` (cell, hour_us, v*), `marked` (as in `Judged`, repeated rows not yet found), `lines` (as `passed`).

    Raises:
        InputError: a file was written meanwhile.
        CityError: the disk is full, or the files have gone.
    """
    if part.is_done("judged"):
        return
    with _working(part) as scan:
        scan.plain = bool(part.report("grouped")["plain"])
        groups, passed = (quote(str(part.file(f"{name}.parquet"))) for name in ("groups", "passed"))
        scan.run(f"CREATE VIEW groups AS FROM read_parquet({groups})")
        scan.run(PASSED)
        scan.run(f"INSERT INTO passed FROM read_parquet({passed})")
        shared = common(part.folder, "shared")
        if shared.is_file():
            scan.run(f"CREATE VIEW shared AS FROM read_parquet({quote(str(shared))})")
        places, times = (f"read_parquet({quote(str(common(part.folder, name)))})" for name in ("places", "times"))
        scan.index_tables(
            places,
            times,
            shared="shared" if shared.is_file() else None,
            first_key=(part.number + 1) * KEYS_APART,
        )
        scan.judge(repeated=False)
        sums = ", ".join(f"sum({name}) AS {name}" for name in scan.values)
        _copy(scan, part, "hourly", f"SELECT cell, hour_us, {sums} FROM ({scan.clean_sql()}) GROUP BY cell, hour_us")
        numbered = f"* REPLACE (file + {part.first_file} AS file)"
        _copy(scan, part, "marked", f"SELECT {numbered} FROM marked")
        _copy(scan, part, "lines", f"SELECT {numbered} FROM passed WHERE text IS NOT NULL")
        read, clean = scan.clean_rows()
        _finish(part, "judged", {"read": read, "clean": clean})


def common(folder: Path, name: str) -> Path:
    """Return the path of a table of all parts."""
    return folder / f"all-{name}.parquet"


def write_table(connection: duckdb.DuckDBPyConnection, query: str, target: Path) -> None:
    """Write a query's rows as Parquet, there as a whole or not at all."""
    draft = target.with_name(f"{target.name}.{uuid.uuid4().hex[:8]}")
    connection.execute(f"COPY ({query}) TO {quote(str(draft))} {_COPY}").fetchall()
    draft.replace(target)


@contextmanager
def _working(part: Part) -> Iterator[Scan]:
    spill = part.folder / f"spill-{part.number}-{uuid.uuid4().hex[:8]}"
    try:
        spill.mkdir()
        with connect(spill, part.memory_bytes, part.threads) as connection:
            yield Scan(connection, part.tables, part.roles, part.sums_rows)
    except (duckdb.Error, OSError) as error:
        # DuckDB's own errors do not survive the way back from another process.
        names = part.tables[0].name + (" and others" if len(part.tables) > 1 else "")
        raise CityError(
            f"{names}: could not be read on {os.uname().nodename} ({' '.join(str(error).split())[:200]}): check that "
            "all workers see its folder and the city's, and that the disk has room"
        ) from None
    finally:
        for stray in spill.glob("*"):
            stray.unlink(missing_ok=True)
        if spill.is_dir():
            spill.rmdir()


def _copy(scan: Scan, part: Part, name: str, query: str) -> None:
    write_table(scan.connection, query, part.file(f"{name}.parquet"))


def _finish(part: Part, round_: str, report: dict[str, int]) -> None:
    draft = part.file(f"{round_}.{uuid.uuid4().hex[:8]}")
    draft.write_text(json.dumps(report))
    draft.replace(part.file(f"{round_}.json"))
