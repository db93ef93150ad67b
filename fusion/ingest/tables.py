"""A file of an export as SQL: how it is spelled, and the DuckDB relation that reads it; `opening` finds it out."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fusion.ingest.presets import NULL_TEXTS
from fusion.ingest.spelling import open_bytes

ROW_NUMBER = "file_row_number"  # what DuckDB calls the number of a row of Parquet
# Stands for the column of the time where only the file's name has it.
FILE_NAME = "(file name)"


@dataclass(frozen=True)
class Table:
    """One file: `name` as the user knows it, `path` to read (perhaps a rewritten copy), and how it is spelled.

    `stamp` is the date, perhaps with an hour, that its name tells: for a file without a time of its own. `kind` is
    `text`, `parquet` or `workbook`; `others` are sheets of the workbook that hold something and are not read.
    """

    name: str
    path: Path
    columns: tuple[str, ...]
    types: tuple[str, ...]
    sample: pd.DataFrame
    delimiter: str | None = None
    header: bool = True
    quoted: bool = False
    skip: int = 0
    encoding: str | None = None
    stamp: str | None = None
    kind: str = "text"
    others: tuple[str, ...] = ()

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
        return named(column)


def as_text(name: str, kind: str) -> str:
    """Return the SQL of a column of DuckDB's type `kind` as text."""
    if kind == "TIMESTAMP WITH TIME ZONE":
        # An instant, not a local time: as microseconds since 1970 it cannot be taken for one.
        return f"epoch_us({name})::VARCHAR"
    return name if kind == "VARCHAR" else f"{name}::VARCHAR"


def read_tables(tables: list[Table], store_rejects: bool = False, strict: bool = False) -> str:
    """Return the DuckDB relation of files of one layout; the columns of text files are all text.

    Lines of text with too few or too many fields are passed over; `store_rejects` keeps them in `reject_errors`, and
    with `strict` they raise in DuckDB.
    """
    first = tables[0]
    if not first.is_text:
        paths = ", ".join(quote(str(table.path)) for table in tables)
        return f"read_parquet([{paths}], {ROW_NUMBER}=true)"
    return _read_csv(
        tables,
        ["VARCHAR"] * len(first.columns),
        {
            "nullstr": f"[{', '.join(quote(text) for text in NULL_TEXTS)}]",
            "ignore_errors": str(not strict).lower(),
            "store_rejects": str(store_rejects).lower(),
        },
    )


def read_plain_tables(tables: list[Table], doubles: tuple[str, ...]) -> str:
    """Return the DuckDB relation of text files of one layout, some of whose columns hold only numbers or nothing.

    Another text in them, and a line with too few or too many fields, raises in DuckDB. Only an empty field is NULL.
    """
    return _read_csv(tables, ["DOUBLE" if column in doubles else "VARCHAR" for column in tables[0].columns], {})


def _read_csv(tables: list[Table], types: list[str], more: dict[str, str]) -> str:
    first = tables[0]
    paths = ", ".join(quote(str(table.path)) for table in tables)
    columns = ", ".join(f"{quote(f'c{number}')}: {quote(kind)}" for number, kind in enumerate(types))
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
        **more,
    }
    return f"read_csv([{paths}], {', '.join(f'{key}={value}' for key, value in options.items())})"


def named(column: str) -> str:
    """Spell a column's name as an SQL identifier."""
    return '"' + column.replace('"', '""') + '"'


def quote(text: str) -> str:
    """Spell a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def blank_lines(table: Table) -> list[int]:
    """Return the numbers of a text file's empty lines, which DuckDB passes over; the first line is 1."""
    with open_bytes(table.path) as file:
        return [number for number, line in enumerate(file, start=1) if not line.strip(b"\r\n")]
