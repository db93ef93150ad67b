"""Files of an export opened: what kind they are, how they are spelled, which columns they have.

Text files are read by DuckDB as text in every column (a cast there would drop rows and offsets unseen), so all that it
needs to know is found out here: encoding, delimiter, header, quotes. What is not UTF-8 is rewritten as UTF-8.
"""

import csv
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb
import pandas as pd

from fusion.errors import InputError
from fusion.ingest.archives import check_gzip
from fusion.ingest.presets import NULL_TEXTS, Preset
from fusion.ingest.quotes import close_quotes
from fusion.ingest.spelling import (
    LINE_END,
    SAMPLE_BYTES,
    check_last_line,
    ending_of,
    find_delimiter,
    find_encoding,
    is_data,
    look_through,
    new_path,
    open_bytes,
    plain_path,
    rewrite,
)
from fusion.ingest.tables import ROW_NUMBER, Table, as_text, named
from fusion.ingest.times import hours_of
from fusion.ingest.workbooks import Workbook

TEXT_ENDINGS = (".csv", ".tsv", ".txt")
PARQUET_ENDINGS = (".parquet", ".pq")
WORKBOOK_ENDINGS = (".xlsx", ".xlsm", ".xls", ".xlsb")
_SAMPLE_ROWS = 500

Fits = Callable[[Table], object]


class NoRowsError(InputError):
    """A file with a header and nothing below it: of a single hour, perhaps, when nothing was counted."""


def is_table(name: str) -> bool:
    """Tell whether a file of that name can be read as a table."""
    ending = ending_of(name)
    return ending.removesuffix(".gz") in TEXT_ENDINGS or ending in PARQUET_ENDINGS or ending in WORKBOOK_ENDINGS


def open_table(
    path: Path,
    preset: Preset,
    scratch: Path,
    name: str | None = None,
    fits: Fits | None = None,
    most_rows: int | None = None,
) -> Table:
    """Look at a file of text, a Parquet file or a workbook.

    Args:
        path: CSV, TSV or text (also .gz), Parquet, or Excel.
        preset: names the columns of files without a header.
        scratch: a folder for copies that have to be made.
        name: what the user calls it, for a member of an archive; None: the file's own.
        fits: raises InputError for a table without the columns that are needed; the first sheet that fits is taken.
        most_rows: take only so many rows of a workbook; None: all.

    Raises:
        InputError: there is no such file, it is empty, torn, or of another kind.
    """
    name = path.name if name is None else name
    if not path.is_file():
        raise InputError(f"{name}: there is no such file: check the path")
    if path.stat().st_size == 0:
        raise InputError(f"{name} is empty: export it again")
    ending = ending_of(path.name)
    if ending in PARQUET_ENDINGS:
        return _open_parquet(path, scratch, name)
    if ending.removesuffix(".gz") in TEXT_ENDINGS:
        return _open_text(path, preset, scratch, name)
    if ending in WORKBOOK_ENDINGS:
        return _open_workbook(path, preset, scratch, name, fits, most_rows)
    raise InputError(
        f"{name}: {ending or 'no ending'} is not known: give .csv, .tsv, .txt (or these with .gz), .parquet, "
        ".xlsx, .xls, a .zip of them or a folder"
    )


def _open_parquet(path: Path, scratch: Path, name: str) -> Table:
    readable = plain_path(path, scratch)
    with duckdb.connect() as connection:
        try:
            relation = connection.read_parquet(str(readable))
            columns, types = tuple(relation.columns), tuple(str(kind) for kind in relation.types)
            if ROW_NUMBER in columns:
                raise InputError(f"{name} has a column named {ROW_NUMBER}, which is needed here: rename it")
            kinds = zip(map(named, columns), types, strict=True)
            texts = ", ".join(f"{as_text(column, kind)} AS {column}" for column, kind in kinds)
            sample = relation.limit(_SAMPLE_ROWS).project(texts).to_arrow_table().to_pandas()
        except duckdb.Error as error:
            first = str(error).splitlines()[0]
            raise InputError(f"{name} cannot be read as Parquet ({first}): export it again") from None
    if not len(sample):
        raise NoRowsError(f"{name} has no rows: export it again")
    return Table(name, readable, columns, types, sample.astype("string"), kind="parquet")


def _open_workbook(
    path: Path, preset: Preset, scratch: Path, name: str, fits: Fits | None, most_rows: int | None
) -> Table:
    book = Workbook(path, name)
    problem: InputError | None = None
    found: tuple[str, int] | None = None
    for sheet in book.sheets:
        leading = book.leading_rows(sheet)
        for place, (number, cells) in enumerate(leading):
            # Titles stand in one cell; names of columns are no numbers.
            if sum(map(bool, cells)) < 2 or is_data(cells):
                continue
            found = found or (sheet, number)
            try:
                table = _sheet_table(f"{name}/{sheet}", cells, [row for _, row in leading[place + 1 :]])
                if fits is not None:
                    fits(table)
            except InputError as error:
                problem = problem or error
                continue
            return _write_sheet(book, sheet, number, preset, scratch, most_rows)
    if found is None:
        raise InputError(f"{name} has no sheet with names of columns: add a header")
    if most_rows is not None and not isinstance(problem, NoRowsError):
        # A preview shows the columns, so that they can be chosen.
        return _write_sheet(book, *found, preset, scratch, most_rows)
    raise problem or InputError(f"{name} has no rows: export it again")


def _sheet_table(name: str, cells: list[str], body: list[list[str]]) -> Table:
    """A sheet's first rows as a table that only serves to find its columns."""
    width = max(place for place, cell in enumerate(cells, start=1) if cell)
    columns = tuple(cell.strip() for cell in cells[:width])
    _check_columns(name, columns, [cells], header=True, shown="")
    if not body:
        raise NoRowsError(f"{name} has a header and no rows: export it again")
    sample = pd.DataFrame([row[:width] for row in body], columns=list(columns), dtype="string")
    sample = sample.replace(list(NULL_TEXTS), pd.NA)
    return Table(name, Path(), columns, ("VARCHAR",) * width, sample, ",")


def _write_sheet(
    book: Workbook, sheet: str, header_row: int, preset: Preset, scratch: Path, most_rows: int | None
) -> Table:
    copy = new_path(scratch, ".csv")
    book.write(sheet, header_row, copy, most_rows)
    table = _open_text(copy, preset, scratch, f"{book.name}/{sheet}", delimiter=",")
    others = tuple(other for other in book.sheets if other != sheet and book.leading_rows(other))
    return replace(table, kind="workbook", encoding=None, others=others)


def _open_text(path: Path, preset: Preset, scratch: Path, name: str, delimiter: str | None = None) -> Table:
    try:
        if path.suffix.lower() == ".gz":
            check_gzip(path, name)
        encoding = find_encoding(path, name)
        even, quoted = look_through(path, name) if encoding == "utf-8" else (False, False)
        readable = plain_path(path, scratch) if even else rewrite(path, encoding, scratch, name)
        quoted = quoted or (not even and look_through(readable, name)[1])
        check_last_line(readable, name)
        skip, lines = _first_lines(readable, name)
        delimiter = delimiter or find_delimiter(lines[0])
        if quoted and (closed := close_quotes(readable, delimiter, scratch, name)):
            readable = closed
            skip, lines = _first_lines(readable, name)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{name} cannot be read ({error}): export it again") from None
    rows = _split(lines, delimiter, quoted, name)
    header = not is_data(rows[0])
    columns = tuple(cell.strip() for cell in rows[0]) if header else preset.columns
    if preset.counts_devices and not header:
        raise InputError(
            f"{name} has no header: add a line that names the columns (user, time, lon, lat, or the tower)"
        )
    shown = "" if preset.counts_devices else f" ({','.join(rows[0])[:60]})"
    _check_columns(name, columns, rows, header, shown)
    if preset.counts_devices:
        check_header(name, columns)
    body = [row for row in rows[1 if header else 0 :] if len(row) == len(columns)]
    if header and len(rows) == 1:
        raise NoRowsError(f"{name} has a header and no rows: export it again")
    sample = pd.DataFrame(body, columns=list(columns), dtype="string").replace(list(NULL_TEXTS), pd.NA)
    types = ("VARCHAR",) * len(columns)
    return Table(name, readable, columns, types, sample, delimiter, header, quoted, skip, encoding)


def _first_lines(path: Path, name: str) -> tuple[int, list[str]]:
    """Return how many empty lines a text begins with, and the first lines that are not."""
    with open_bytes(path) as file:
        head = file.read(SAMPLE_BYTES)
    text = head.decode("utf-8-sig", errors="replace")
    if len(head) == SAMPLE_BYTES:
        text = text[: text.rfind("\n") + 1] or text
    written = LINE_END.split(text)
    lines = [line for line in written if line.strip()][: _SAMPLE_ROWS + 1]
    if not lines:
        raise InputError(f"{name} is empty: export it again")
    return next(number for number, line in enumerate(written) if line.strip()), lines


def check_header(name: str, columns: tuple[str, ...]) -> None:
    """Refuse a first line that is a record of a device: whatever lists columns would show its id.

    Raises:
        InputError: it holds a time.
    """
    _, reason = hours_of(pd.Series(columns, dtype="string"), "UTC")
    if any(why is None for why in reason):
        raise InputError(f"{name} has no header: its first line holds a time; add a line that names the columns")


def _split(lines: list[str], delimiter: str, quoted: bool, name: str) -> list[list[str]]:
    try:
        return list(csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE))
    except csv.Error as error:
        raise InputError(
            f"{name} is no table of counts ({error} in its first lines): look for a quote that is not closed"
        ) from None


def _check_columns(name: str, columns: tuple[str, ...], rows: list[list[str]], header: bool, shown: str) -> None:
    if not columns:
        raise InputError(f"{name} has no header{shown}: add one, or name its preset (--preset milan)")
    if not header and len(rows[0]) != len(columns):
        raise InputError(f"{name} has no header and {len(rows[0])} columns: the preset expects {len(columns)}")
    twice = {column for column in columns if columns.count(column) > 1 and column}
    if twice:
        raise InputError(f"{name} has two columns named {sorted(twice)[0]!r}: rename one")
