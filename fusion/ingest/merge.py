"""An export taken in parts, by processes of this machine or of a cluster, and put together as one process would have.

Sums of all parts are added before anything is hidden. A place and time that several parts have is judged anew over all
of them, so that the first row is taken wherever it stands. A worker that is lost has its part done again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import joblib
import numpy as np
import pandas as pd

from fusion.backends import Backend, WorkersLostError
from fusion.errors import CityError, FusionError
from fusion.ingest.columns import Roles
from fusion.ingest.judged import Judged
from fusion.ingest.partition import Part, common, group_part, judge_part, write_table
from fusion.ingest.scan import busy_sql, shared_sql
from fusion.ingest.tables import Table, quote

# Files of an hour or so each are too small for a part of their own: so many parts a worker keep all of them busy.
_PARTS_A_JOB = 4
_ATTEMPTS = 3


@dataclass
class PartedScan(Judged):
    """What `fusion.ingest.scan.Scan` is for one process, over parts.

    Attributes:
        sums_rows: several rows of one place and time are parts of one count, not repetitions.
        folder: for the parts' files; all workers see it.
        backend: where the parts are worked on.
        memory_bytes: for each worker.
        lost: how many times workers were lost and their parts done again.
    """

    connection: duckdb.DuckDBPyConnection
    tables: Sequence[Table]
    roles: Sequence[Roles]
    sums_rows: bool
    folder: Path
    backend: Backend
    memory_bytes: int | None = None
    towers: None = None
    lost: int = 0
    parts: list[Part] = field(init=False)

    def __post_init__(self) -> None:
        # Workers have other working folders. A link stays one: DuckDB could not read the name behind it.
        self.folder = self.folder.absolute()
        tables = [replace(table, path=table.path.absolute()) for table in self.tables]
        sizes = [table.path.stat().st_size for table in tables]
        self.parts = [
            Part(
                number,
                files[0],
                tuple(tables[file] for file in files),
                tuple(self.roles[file] for file in files),
                self.folder,
                self.sums_rows,
                self.memory_bytes,
                self.backend.threads,
            )
            for number, files in enumerate(divide(sizes, self.backend.jobs * _PARTS_A_JOB))
        ]

    @property
    def values(self) -> list[str]:  # type: ignore[override]
        """The columns of counts."""
        return [f"v{number}" for number in range(len(self.roles[0].values))]

    def group(self) -> None:
        """Let every part group its rows."""
        self._work(group_part, "grouped")

    def distinct_places(self) -> pd.DataFrame:
        """Return the distinct places of all parts: columns p*, `rows`."""
        return self.frame(
            f"SELECT * EXCLUDE (rows), sum(rows)::BIGINT AS rows FROM {self._all('places')} GROUP BY ALL ORDER BY ALL"
        )

    def distinct_times(self) -> pd.DataFrame:
        """Return the distinct times of all parts as texts: columns t*."""
        return self.frame(f"SELECT DISTINCT * FROM {self._all('times')} ORDER BY ALL")

    def index(self, places: pd.DataFrame, times: pd.DataFrame) -> None:
        """Give the indexed places and times to all parts, and find what several of them have."""
        for name, frame in (("places", places), ("times", times)):
            self.connection.register(f"{name}_frame", frame)
            write_table(self.connection, f"FROM {name}_frame", common(self.folder, name))
            self.connection.unregister(f"{name}_frame")
        if self.sums_rows:
            return
        table = f"read_parquet({quote(str(common(self.folder, 'times')))})"
        where = [name for name in places.columns if name not in ("cell", "why")]
        whens = [name for name in times.columns if name not in ("hour", "instant", "why")]
        same = " AND ".join(f"a.{name} IS NOT DISTINCT FROM t.{name}" for name in whens)
        self.run(f"CREATE OR REPLACE TABLE seen AS SELECT t.* FROM {self._all('times')} a JOIN {table} t ON {same}")
        # Parts are days, mostly: where no time comes twice, no row of one can repeat a row of another.
        if self.one(f"SELECT count(*) FROM ({busy_sql('seen')})"):
            shared = shared_sql(self._all("groups"), "seen", table, where, whens)
            write_table(self.connection, shared, common(self.folder, "shared"))

    def judge(self) -> None:
        """Let every part judge its rows, and find repeated ones across parts."""
        self._work(judge_part, "judged")
        self.run(f"CREATE OR REPLACE TABLE marked AS FROM {self._all('marked')}")
        self.run(f"CREATE OR REPLACE VIEW passed AS FROM {self._all('lines')}")
        if not self.sums_rows:
            self.mark_repeated()

    def clean_sql(self) -> str:
        """Return the SQL of the parts' sums."""
        return f"SELECT cell, hour_us, {', '.join(self.values)} FROM {self._all('hourly')}"

    def clean_rows(self) -> tuple[int, int]:
        """Return how many rows the parts grouped, and how many of them no suspect has a part in."""
        reports = [part.report("judged") for part in self.parts]
        return sum(report["read"] for report in reports), sum(report["clean"] for report in reports)

    def _work(self, work: Callable[[Part], None], round_: str) -> None:
        """Do a round for all parts; those of lost workers again."""
        for attempt in range(_ATTEMPTS):
            waiting = [part for part in self.parts if not part.is_done(round_)]
            if not waiting:
                return
            try:
                self.backend.run([joblib.delayed(work)(part) for part in waiting], passing=(FusionError,))
            except WorkersLostError as error:
                self.lost += 1
                if attempt == _ATTEMPTS - 1:
                    left = [part for part in self.parts if not part.is_done(round_)]
                    raise CityError(
                        f"workers were lost {_ATTEMPTS} times ({error}), {len(left)} of {len(self.parts)} parts are "
                        "not done: take fewer --jobs, or more memory for each"
                    ) from None

    def _all(self, name: str) -> str:
        listed = ", ".join(quote(str(part.file(f"{name}.parquet"))) for part in self.parts)
        return f"read_parquet([{listed}])"


def divide(sizes: Sequence[int], most: int) -> list[list[int]]:
    """Divide files, in their order, into at most so many parts of about one size.

    Args:
        sizes: bytes of each file.
        most: parts; files are never divided.

    Returns:
        The numbers of each part's files.
    """
    if len(sizes) <= most:
        return [[number] for number in range(len(sizes))]
    # A file belongs to the part in which its middle lies.
    ends = np.cumsum(np.asarray(sizes, dtype=float) + 1.0)
    middles = ends - (np.asarray(sizes, dtype=float) + 1.0) / 2
    owner = np.minimum((middles / ends[-1] * most).astype(int), most - 1)
    return [np.flatnonzero(owner == part).tolist() for part in np.unique(owner)]
