"""Excel workbooks: a sheet is written out as text, a line a row, so that row numbers stay and one reader reads all."""

import csv
import datetime
from collections.abc import Iterator
from pathlib import Path

import python_calamine

from fusion.errors import InputError
from fusion.ingest.archives import check_workbook

_LEADING_ROWS = 10


class Workbook:
    """An open workbook.

    Args:
        path: .xlsx, .xlsm, .xlsb or .xls.
        name: what the user calls it.

    Raises:
        InputError: it cannot be read, has a password, or is far larger unpacked than a table of counts is.
    """

    def __init__(self, path: Path, name: str) -> None:
        check_workbook(path, name)
        self.name = name
        try:
            self._book = python_calamine.CalamineWorkbook.from_path(str(path))
        except python_calamine.PasswordError:
            raise InputError(f"{name} has a password: save it without one") from None
        except (python_calamine.CalamineError, OSError, ValueError) as error:
            raise InputError(f"{name} cannot be read as a workbook ({_line(error)}): save it again") from None

    @property
    def sheets(self) -> list[str]:
        """The names of its sheets, in order."""
        return list(self._book.sheet_names)

    def leading_rows(self, sheet: str) -> list[tuple[int, list[str]]]:
        """Return the first rows that hold anything: their numbers, from 0, and their cells as text."""
        found: list[tuple[int, list[str]]] = []
        for number, row in enumerate(self._rows(sheet)):
            if any(row):
                found.append((number, row))
            if len(found) == _LEADING_ROWS:
                break
        return found

    def write(self, sheet: str, header_row: int, target: Path, most_rows: int | None = None) -> int:
        """Write a sheet as comma-separated UTF-8, a line a row; the lines above the header are left blank.

        Args:
            sheet: its name.
            header_row: the row of the names of columns, from 0.
            target: the file to write.
            most_rows: write only so many rows below the header; None: all.

        Returns:
            The rows below the header that hold anything.
        """
        written = 0
        width = 0
        with target.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            for number, row in enumerate(self._rows(sheet)):
                if number == header_row:
                    width = max(place for place, cell in enumerate(row, start=1) if cell)
                if number < header_row or not any(row):
                    file.write("\n")
                    continue
                if most_rows is not None and written > most_rows:
                    break
                # Cells to the right of the last name belong to no column.
                writer.writerow(row[:width])
                written += 1
        return max(written - 1, 0)

    def _rows(self, sheet: str) -> Iterator[list[str]]:
        try:
            table = self._book.get_sheet_by_name(sheet)
            start = table.start
            # A midnight comes as a date: in a column that has other times, it is one of them.
            clocked = {
                place for row in table.iter_rows() for place, cell in enumerate(row) if type(cell) is datetime.datetime
            }
            for _ in range(start[0] if start else 0):
                yield []
            for row in table.iter_rows():
                yield [_text(cell, place in clocked) for place, cell in enumerate(row)]
        except (python_calamine.CalamineError, ValueError) as error:
            raise InputError(f"{self.name}/{sheet} cannot be read ({_line(error)}): save it again") from None


def _text(cell: object, clocked: bool) -> str:
    """A cell as an export in text would have it; a date with its midnight where the column is `clocked`."""
    if isinstance(cell, str):
        # A line a row: a break within a cell would shift the numbers of all rows below.
        return " ".join(cell.split()) if "\n" in cell or "\r" in cell else cell
    if isinstance(cell, bool):
        return str(cell)
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 2**53 else repr(cell)
    if isinstance(cell, datetime.datetime):
        # Excel keeps times as fractions of a day: 08:00 may come as 07:59:59.7.
        rounded = (cell + datetime.timedelta(milliseconds=500)).replace(microsecond=0)
        return rounded.isoformat(sep=" ")
    if isinstance(cell, datetime.date) and clocked:
        return f"{cell} 00:00:00"
    if isinstance(cell, datetime.timedelta):
        minutes, seconds = divmod(round(cell.total_seconds()), 60)
        return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"
    if isinstance(cell, datetime.time):
        return cell.isoformat(timespec="seconds")
    return str(cell)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
