"""Lines of text files that hold no row: empty ones, and those with too few or too many fields.

DuckDB passes over both. It can list the malformed, but keeps some 2 kB of memory for each; here files are read in
chunks, and what is found goes into a DuckDB table that spills. Only where quotes may hide a delimiter or a line end
must DuckDB do it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from fusion.ingest.spelling import open_bytes
from fusion.ingest.tables import Table, quote

_CHUNK_BYTES = 4 << 20
_BATCH = 50_000
_NEWLINE = 10
TABLE = "CREATE OR REPLACE TABLE passed (file INTEGER, row BIGINT, text VARCHAR)"


@dataclass(frozen=True)
class Lines:
    """How a file's lines divide: `rows` with the right number of fields, `malformed`, `blank`."""

    rows: int
    malformed: int
    blank: int


def note_passed(
    connection: duckdb.DuckDBPyConnection,
    number: int,
    table: Table,
    malformed: bool,
    hide: Callable[[str], str] | None = None,
) -> Lines:
    """Write the lines without a row of a text file into `passed`: `file`, `row` (its line), `text` (NULL if empty).

    Args:
        connection: has the table `passed`.
        number: of the file, for the column `file`.
        table: the file.
        malformed: whether to write malformed lines, too, and not only empty ones.
        hide: what to write of a line that nobody may see.
    """
    lines, bad, blank = 0, 0, 0
    batch: list[tuple[int, str | None]] = []
    for first, chunk in _chunks(table):
        found, count = _odd_lines(chunk, table)
        lines += count
        for line, text in found:
            bad, blank = bad + (text is not None), blank + (text is None)
            if text is None or malformed:
                batch.append((first + line, hide(text) if hide and text is not None else text))
        if len(batch) >= _BATCH:
            _insert(connection, number, batch)
            batch = []
    _insert(connection, number, batch)
    return Lines(lines - int(table.header) - bad - blank, bad, blank)


def note_rejected(connection: duckdb.DuckDBPyConnection, tables: list[Table]) -> None:
    """Write into `passed` what the last scans of DuckDB, with `store_rejects`, refused."""
    numbers = ", ".join(f"({quote(str(table.path))}, {number})" for number, table in enumerate(tables))
    connection.execute(
        f"""INSERT INTO passed
            SELECT number, line, trim(any_value(csv_line), chr(13) || chr(10))
            FROM reject_errors JOIN reject_scans USING (scan_id, file_id)
            JOIN (VALUES {numbers}) t(file_path, number) USING (file_path) GROUP BY number, line"""
    ).fetchall()


def _chunks(table: Table) -> Iterator[tuple[int, bytes]]:
    """Whole lines of a file, each chunk with the number of its first line."""
    first, rest = 1, b""
    with open_bytes(table.path) as file:
        while block := file.read(_CHUNK_BYTES):
            end = block.rfind(b"\n") + 1
            if not end:
                rest += block
                continue
            chunk = rest + block[:end]
            yield first, chunk
            first += chunk.count(b"\n")
            rest = block[end:]
    if rest:
        yield first, rest + b"\n"


def _odd_lines(chunk: bytes, table: Table) -> tuple[list[tuple[int, str | None]], int]:
    """Lines of a chunk (from 0) that are empty (None) or malformed (their text), and how many lines it has."""
    array = np.frombuffer(chunk, dtype=np.uint8)
    ends = np.flatnonzero(array == _NEWLINE)
    delimiter = (table.delimiter or ",").encode()
    marks = np.flatnonzero(array == delimiter[0])
    counts = np.diff(np.searchsorted(marks, ends), prepend=0)
    needed = len(table.columns) - 1
    odd = set(np.flatnonzero(counts != needed).tolist()) if not table.quoted else set(_short_lines(ends))
    if not table.quoted and (array > 127).any():
        odd |= _undecodable(chunk, ends)
    found: list[tuple[int, str | None]] = []
    for line in sorted(odd):
        text = chunk[ends[line - 1] + 1 if line else 0 : ends[line]].rstrip(b"\r")
        if not text:
            found.append((line, None))
        elif not table.quoted and not _is_row(text, delimiter, needed):
            found.append((line, text.decode("utf-8", errors="replace")))
    return found, len(ends)


def _is_row(text: bytes, delimiter: bytes, needed: int) -> bool:
    """Whether DuckDB takes a line all the same: it forgives empty fields beyond the last."""
    if text.count(delimiter) < needed or text.rstrip(delimiter).count(delimiter) > needed:
        return False
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _short_lines(ends: np.ndarray) -> list[int]:
    """Lines of no more than one byte: empty ones, and perhaps others."""
    return np.flatnonzero(np.diff(ends, prepend=-1) <= 2).tolist()


def _undecodable(chunk: bytes, ends: np.ndarray) -> set[int]:
    """Lines that are no UTF-8."""
    try:
        chunk.decode("utf-8")
    except UnicodeDecodeError:
        lines = chunk.split(b"\n")[: len(ends)]
        return {number for number, line in enumerate(lines) if not line.isascii() and not _decodes(line)}
    return set()


def _decodes(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _insert(connection: duckdb.DuckDBPyConnection, number: int, batch: list[tuple[int, str | None]]) -> None:
    if not batch:
        return
    rows, texts = zip(*batch, strict=True)
    noted = pa.table({"row": pa.array(rows, pa.int64()), "text": pa.array(texts, pa.string())})
    connection.register("noted", noted)
    connection.execute(f"INSERT INTO passed SELECT {number}, row, text FROM noted").fetchall()
    connection.unregister("noted")
