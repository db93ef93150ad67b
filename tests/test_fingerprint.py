"""Fingerprints of tables: the same however they are read, another when a value changes."""

from pathlib import Path

import duckdb
import pytest

from fusion import fingerprint

ROWS = """SELECT hash(i) AS cell, TIMESTAMPTZ '2021-07-24 00:00:00Z' + to_hours((i % 192)::INT) AS hour,
                 CASE WHEN i % 7 <> 0 THEN (i % 300)::FLOAT END AS people, i % 7 = 0 AS people_suppressed
          FROM range(5001) t(i)"""


def write(path: Path, query: str) -> Path:
    duckdb.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    return path


# No key: each pair of cell and hour twice, with another count, and the rows in no order.
REPEATED = ROWS.replace("hash(i)", "hash(i // 2)").replace("i % 192", "i // 2 % 192") + " ORDER BY hash(i + 1)"
# The same for one pair alone, so that only two rows of a batch, or of two batches, tell it.
ONCE = ROWS + " UNION ALL SELECT hash(78), TIMESTAMPTZ '2021-07-24 00:00:00Z' + to_hours(78), 5, false"


@pytest.mark.parametrize("query", [ROWS, REPEATED, ONCE])
@pytest.mark.parametrize("batch_rows", [100, 4999, 1_000_000])
def test_a_table_read_in_parts_has_the_fingerprint_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_rows: int, query: str
) -> None:
    path = write(tmp_path / "a.parquet", query)
    whole = fingerprint.fingerprint_table(path)
    monkeypatch.setattr(fingerprint, "LARGE_ROWS", 1)
    monkeypatch.setattr(fingerprint, "_BATCH_ROWS", batch_rows)

    assert fingerprint.fingerprint_table(path) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


def test_one_value_changes_the_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "LARGE_ROWS", 1)
    one = write(tmp_path / "a.parquet", ROWS)
    other = write(tmp_path / "b.parquet", ROWS.replace("(i % 300)::FLOAT", "(CASE WHEN i = 8 THEN 9 ELSE i % 300 END)"))

    assert fingerprint.fingerprint_table(one) != fingerprint.fingerprint_table(other)
