"""Files of an export: what kind they are, how they are spelled, which columns they have.

Text files are read by DuckDB as text in every column (a cast there would drop rows and offsets unseen), so all that it
needs to know is found out here: encoding, delimiter, header, quotes. What is not UTF-8 is rewritten as UTF-8.
"""

import codecs
import csv
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import duckdb
import pandas as pd

from fusion.errors import InputError
from fusion.ingest.presets import NULL_TEXTS, Preset

TEXT_ENDINGS = (".csv", ".tsv", ".txt")
_SAMPLE_BYTES = 1 << 18
_SAMPLE_ROWS = 500
_ENCODINGS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True)
class Table:
    """One file: `name` as the user knows it, `path` to read (perhaps a rewritten copy), and how it is spelled."""

    name: str
    path: Path
    columns: tuple[str, ...]
    types: tuple[str, ...]
    sample: pd.DataFrame
    delimiter: str | None = None
    header: bool = True
    quoted: bool = False
    skip: int = 0

    @property
    def is_text(self) -> bool:
        """Whether this is a text file and not Parquet."""
        return self.delimiter is not None

    def layout(self) -> tuple[object, ...]:
        """Return what two files must share to be scanned as one."""
        return self.columns, self.types, self.delimiter, self.header, self.quoted, self.skip

    def type_of(self, column: str) -> str:
        """Return DuckDB's type of a column."""
        return self.types[self.columns.index(column)]

    def sql_of(self, column: str) -> str:
        """Return how SQL over `read_tables` names a column."""
        if self.is_text:
            return f"c{self.columns.index(column)}"
        return '"' + column.replace('"', '""') + '"'


def open_table(path: Path, preset: Preset, scratch: Path) -> Table:
    """Look at a file of an export.

    Args:
        path: CSV, TSV or text (also .gz), or Parquet.
        preset: names the columns of files without a header.
        scratch: a folder for copies that have to be made.

    Raises:
        InputError: there is no such file, it is empty, torn, or of another kind.
    """
    if not path.is_file():
        raise InputError(f"{path.name}: there is no such file: check the path")
    if path.stat().st_size == 0:
        raise InputError(f"{path.name} is empty: export it again")
    ending = "".join(path.suffixes[-2:]).lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    if ending in (".parquet", ".pq"):
        return _open_parquet(path, scratch)
    if ending.removesuffix(".gz") in TEXT_ENDINGS:
        return _open_text(path, preset, scratch)
    raise InputError(
        f"{path.name}: {ending or 'no ending'} is not known: give .csv, .tsv, .txt (or these with .gz) or .parquet"
    )


def read_tables(tables: list[Table], store_rejects: bool = False) -> str:
    """Return the DuckDB relation of files of one layout; the columns of text files are all text.

    Lines of text with too few or too many fields are passed over; `store_rejects` keeps them in `reject_errors`.
    """
    first = tables[0]
    paths = ", ".join(quote(str(table.path)) for table in tables)
    if not first.is_text:
        return f"read_parquet([{paths}], file_row_number=true)"
    columns = ", ".join(f"{quote(f'c{number}')}: 'VARCHAR'" for number in range(len(first.columns)))
    mark = quote('"' if first.quoted else "")
    options = {
        "auto_detect": "false",
        # DuckDB takes an empty first line for the header.
        "skip": str(first.skip),
        "header": str(first.header).lower(),
        "delim": quote(first.delimiter or ","),
        "quote": mark,
        "escape": mark,
        "columns": f"{{{columns}}}",
        "nullstr": f"[{', '.join(quote(text) for text in NULL_TEXTS)}]",
        "ignore_errors": "true",
        "store_rejects": str(store_rejects).lower(),
    }
    return f"read_csv([{paths}], {', '.join(f'{key}={value}' for key, value in options.items())})"


def quote(text: str) -> str:
    """Spell a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def blank_lines(table: Table) -> list[int]:
    """Return the numbers of a text file's empty lines, which DuckDB passes over; the first line is 1."""
    with _open_bytes(table.path) as file:
        return [number for number, line in enumerate(file, start=1) if not line.strip(b"\r\n")]


def _open_parquet(path: Path, scratch: Path) -> Table:
    readable = _plain_path(path, scratch)
    with duckdb.connect() as connection:
        try:
            relation = connection.read_parquet(str(readable))
            columns, types = tuple(relation.columns), tuple(str(kind) for kind in relation.types)
            sample = relation.limit(_SAMPLE_ROWS).to_arrow_table().to_pandas()
        except duckdb.Error as error:
            first = str(error).splitlines()[0]
            raise InputError(f"{path.name} cannot be read as Parquet ({first}): export it again") from None
    if not len(sample):
        raise InputError(f"{path.name} has no rows: export it again")
    return Table(path.name, readable, columns, types, sample.astype("string"))


def _open_text(path: Path, preset: Preset, scratch: Path) -> Table:
    try:
        encoding = _encoding(path)
        readable = _plain_path(path, scratch) if encoding == "utf-8" else _rewrite(path, encoding, scratch)
        with _open_bytes(readable) as file:
            head = file.read(_SAMPLE_BYTES)
    except (OSError, EOFError, gzip.BadGzipFile) as error:
        raise InputError(f"{path.name} cannot be read ({error}): export it again") from None
    text = head.decode("utf-8-sig", errors="replace")
    if len(head) == _SAMPLE_BYTES:
        text = text[: text.rfind("\n") + 1] or text
    written = text.splitlines()
    lines = [line for line in written if line.strip()][: _SAMPLE_ROWS + 1]
    if not lines:
        raise InputError(f"{path.name} is empty: export it again")
    skip = next(number for number, line in enumerate(written) if line.strip())
    delimiter = _delimiter(lines[0])
    quoted = '"' in text
    rows = list(csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE))
    header = not _is_data(rows[0])
    columns = tuple(cell.strip() for cell in rows[0]) if header else preset.columns
    _check_columns(path.name, columns, rows, header)
    body = [row for row in rows[1 if header else 0 :] if len(row) == len(columns)]
    if header and len(rows) == 1:
        raise InputError(f"{path.name} has a header and no rows: export it again")
    sample = pd.DataFrame(body, columns=list(columns), dtype="string").replace(list(NULL_TEXTS), pd.NA)
    types = ("VARCHAR",) * len(columns)
    return Table(path.name, readable, columns, types, sample, delimiter, header, quoted, skip)


def _check_columns(name: str, columns: tuple[str, ...], rows: list[list[str]], header: bool) -> None:
    if not columns:
        raise InputError(
            f"{name} has no header ({','.join(rows[0])[:60]}): add one, or name its preset (--preset milan)"
        )
    if not header and len(rows[0]) != len(columns):
        raise InputError(f"{name} has no header and {len(rows[0])} columns: the preset expects {len(columns)}")
    twice = {column for column in columns if columns.count(column) > 1 and column}
    if twice:
        raise InputError(f"{name} has two columns named {sorted(twice)[0]!r}: rename one")


def _is_data(row: list[str]) -> bool:
    """A line is no header if it has numbers: names of columns are not numbers."""
    return any(_is_number(cell) for cell in row)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.strip().lower() not in ("nan", "inf", "infinity")


def _delimiter(line: str) -> str:
    return max(("\t", ",", ";", "|"), key=lambda mark: (line.count(mark), mark == ","))


def _encoding(path: Path) -> str:
    with _open_bytes(path) as file:
        head = file.read(_SAMPLE_BYTES)
    for mark, encoding in _ENCODINGS.items():
        if head.startswith(mark):
            return encoding
    for encoding in ("utf-8", "gb18030"):
        try:
            # Not final: the sample may end in the middle of a character.
            codecs.getincrementaldecoder(encoding)().decode(head, final=False)
        except UnicodeDecodeError:
            continue
        return encoding
    raise InputError(f"{path.name} is neither UTF-8 nor GBK text: save it as UTF-8")


def _rewrite(path: Path, encoding: str, scratch: Path) -> Path:
    """Copy a file as UTF-8."""
    copy = scratch / f"{len(list(scratch.iterdir()))}{path.suffixes[0] if path.suffixes else '.csv'}"
    name = path.name
    with _open_bytes(path) as source, copy.open("wb") as target:
        decoder = codecs.getincrementaldecoder(encoding)()
        done = 0
        try:
            while chunk := source.read(1 << 20):
                target.write(decoder.decode(chunk).encode())
                done += len(chunk)
            target.write(decoder.decode(b"", final=True).encode())
        except UnicodeDecodeError as error:
            raise InputError(
                f"{name} is not UTF-8, and not {encoding.upper()} near byte {done + error.start}: save it as UTF-8"
            ) from None
    return copy


def _plain_path(path: Path, scratch: Path) -> Path:
    """DuckDB takes * ? [ in a path for a pattern: reach such a file by a link."""
    if not any(mark in str(path) for mark in "*?["):
        return path
    link = scratch / f"{len(list(scratch.iterdir()))}{''.join(path.suffixes[-2:])}"
    link.symlink_to(path.resolve())
    return link


@contextmanager
def _open_bytes(path: Path) -> Iterator[BinaryIO]:
    with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
        yield file  # type: ignore[misc]
