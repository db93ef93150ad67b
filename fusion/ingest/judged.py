"""What remains once every row is judged: rows counted, rejects listed, counts summed by cell and hour.

One process has it from its own scan, a merge from many partitions: both only have to provide the tables and sums named
here.
"""

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pandas as pd

from fusion.city import Measure
from fusion.errors import InputError
from fusion.ingest.tables import Table, quote


class Judged:
    """Rows of an export that were judged.

    Tables: `marked` (file, row, text, why, key, cell, hour_us, v*: the rows that had to be looked at one by one; `why`
    is NULL for one that is taken), `passed` (file, row, text: lines that hold no row; text is NULL for an empty one).
    """

    connection: duckdb.DuckDBPyConnection
    tables: Sequence[Table]
    values: list[str]

    def clean_sql(self) -> str:
        """Return the SQL of `cell`, `hour_us` and v* of all that is taken without a look at its rows."""
        raise NotImplementedError

    def clean_rows(self) -> tuple[int, int]:
        """Return how many rows were read and how many of them are taken without a look."""
        raise NotImplementedError

    def write(self, path: Path, measures: tuple[Measure, ...]) -> dict[str, int]:
        """Sum what was taken by cell and hour, hide small sums, and write the city's table.

        Returns:
            `cells`, `hours_with_rows`, `valid`, `suppressed`, `first_us`, `last_us`.
        """
        listed = ", ".join(self.values)
        sums = ", ".join(f"sum({name}) AS {name}" for name in self.values)
        looked_at = f"UNION ALL SELECT cell, hour_us, {listed} FROM marked WHERE why IS NULL"
        if not self.one("SELECT count(*) FROM marked WHERE why IS NULL"):
            looked_at = ""
        columns = []
        for name, measure in zip(self.values, measures, strict=True):
            small = f"{name} > 0 AND {name} <= {measure.min_count}"
            columns.append(f"CASE WHEN {small} THEN NULL ELSE {name}::FLOAT END AS {measure.id}")
            columns.append(f"coalesce({small}, false) AS {measure.id}_suppressed")
        self.run(
            f"""COPY (SELECT cell, to_timestamp(hour_us / 1e6) AS hour, {", ".join(columns)}
                      FROM (SELECT cell::UBIGINT AS cell, hour_us, {sums}
                            FROM ({self.clean_sql()} {looked_at}) GROUP BY cell, hour_us)
                      ORDER BY hour_us, cell)
                TO {quote(str(path))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"""
        )
        ids = [measure.id for measure in measures]
        counts = self.frame(
            f"""SELECT count(DISTINCT cell) AS cells, count(DISTINCT hour) AS hours_with_rows,
                       {" + ".join(f"count({id_})" for id_ in ids)} AS valid,
                       {" + ".join(f"count_if({id_}_suppressed)" for id_ in ids)} AS suppressed,
                       coalesce(epoch_us(min(hour)), 0) AS first_us, coalesce(epoch_us(max(hour)), 0) AS last_us
                FROM read_parquet({quote(str(path))})"""
        ).iloc[0]
        return {str(name): int(count) for name, count in counts.items()}

    def row_counts(self) -> dict[str, int]:
        """Return `rows_read` and `rows_taken`; the rest must lie in `rejects()`.

        Raises:
            InputError: the two readings of a file differ: it was written meanwhile.
        """
        read, clean = self.clean_rows()
        marked = self.one("SELECT count(*) FROM marked")
        if clean + marked != read:
            raise InputError(
                f"{self.tables[0].name}: {read} rows at the first reading, {clean + marked} at the second: "
                "ingest it when nothing writes to it"
            )
        taken = self.one("SELECT count(*) FROM marked WHERE why IS NULL")
        malformed = self.one("SELECT count(*) FROM passed WHERE text IS NOT NULL")
        return {"rows_read": read + malformed, "rows_taken": clean + taken}

    def rejects(self) -> duckdb.DuckDBPyRelation:
        """Return the rows not taken: `file`, `row` (line of a text file, row of Parquet; from 1), `reason`, `text`."""
        names = pd.DataFrame({"file": range(len(self.tables)), "name": [table.name for table in self.tables]})
        self.connection.register("names", names)
        return self.connection.sql(
            """SELECT name AS file, row, why AS reason, text FROM marked JOIN names USING (file) WHERE why IS NOT NULL
               UNION ALL SELECT name, row, 'malformed', text FROM passed JOIN names USING (file)
               WHERE text IS NOT NULL"""
        )

    def mark_repeated(self) -> None:
        """Of several good rows of one place and time, keep the first; the others repeat or contradict it."""
        same = " AND ".join(f"{name} IS NOT DISTINCT FROM first_value({name}) OVER same_key" for name in self.values)
        self.run(
            f"""CREATE OR REPLACE TABLE repeated AS
                SELECT file, row, CASE WHEN same THEN 'duplicate' ELSE 'conflict' END AS why
                FROM (SELECT file, row, row_number() OVER same_key AS place, {same} AS same
                      FROM marked WHERE why IS NULL WINDOW same_key AS (PARTITION BY key ORDER BY file, row))
                WHERE place > 1"""
        )
        if self.one("SELECT count(*) FROM repeated"):
            self.run(
                """CREATE OR REPLACE TABLE settled AS
                   SELECT m.* REPLACE (coalesce(m.why, r.why) AS why)
                   FROM marked m LEFT JOIN repeated r ON m.file = r.file AND m.row = r.row"""
            )
            self.run("DROP TABLE marked")
            self.run("ALTER TABLE settled RENAME TO marked")
        self.run("DROP TABLE repeated")

    def run(self, sql: str) -> None:
        """Run a statement to its end."""
        self.connection.execute(sql).fetchall()

    def frame(self, sql: str) -> pd.DataFrame:
        """Return what a query finds."""
        return self.connection.sql(sql).to_arrow_table().to_pandas()

    def one(self, sql: str) -> int:
        """Return the one number that a query finds."""
        return int(self.connection.execute(sql).fetchall()[0][0])
