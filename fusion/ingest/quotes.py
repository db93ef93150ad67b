"""Quotes that are not closed: one of them would swallow the lines below its own, up to the next quote or the end."""

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fusion.ingest.archives import check_room
from fusion.ingest.spelling import ending_of, new_path, open_bytes

_CHUNK_BYTES = 4 << 20
_MOST_LINES = 20  # that a field with line breaks may have
_NEWLINE, _QUOTE = 10, 34
_STAND_IN = "\uff02"  # looks like a quote and is none


def close_quotes(path: Path, delimiter: str, scratch: Path, name: str) -> Path | None:
    """Copy a text with the lines whose quotes are not closed spoilt, so that they alone are malformed; None if none is.

    A line with an odd number of quotes opens a field that goes on below, if the lines up to the next such line make a
    row of as many fields as the first line has, and are none by themselves. Else another sign stands for its quotes,
    and a field too many at its end.

    Args:
        path: the file, UTF-8.
        delimiter: of its fields.
        scratch: a folder for the copy.
        name: what the user calls it.

    Raises:
        InputError: the disk has no room.
    """
    odd = _odd_lines(path)
    if not odd:
        return None
    header, width, stray = _stray(path, odd, delimiter)
    if not stray:
        return None
    copy = new_path(scratch, ending_of(path.name).removesuffix(".gz"))
    with open_bytes(path) as source, copy.open("wb") as target:
        for number, line in enumerate(source):
            target.write(_spoilt(line, delimiter, 0 if number == header else width) if number in stray else line)
            if number % 100_000 == 0:
                check_room(scratch, name)
    return copy


def _spoilt(line: bytes, delimiter: str, width: int) -> bytes:
    """The line without quotes, and with a number of fields that is not `width`; a width of 0: as many as it has."""
    text = line.decode("utf-8", errors="replace").rstrip("\r\n").replace('"', _STAND_IN)
    more = (1 if text.count(delimiter) + 2 != width else 2) if width else 0
    return (text + (delimiter + _STAND_IN) * more + "\n").encode()


def _odd_lines(path: Path) -> list[int]:
    """The numbers, from 0, of lines with an odd number of quotes."""
    odd: list[int] = []
    first = 0
    for chunk in _whole_lines(path):
        signs = np.frombuffer(chunk, dtype=np.uint8)
        starts = np.concatenate([[0], np.flatnonzero(signs == _NEWLINE)[:-1] + 1])
        # Sums of bytes wrap at 256, which keeps odd ones odd.
        quotes = np.add.reduceat((signs == _QUOTE).view(np.uint8), starts, dtype=np.uint8)
        odd.extend((first + np.flatnonzero(quotes & 1)).tolist())
        first += len(starts)
    return odd


def _whole_lines(path: Path) -> Iterator[bytes]:
    rest = b""
    with open_bytes(path) as file:
        while block := file.read(_CHUNK_BYTES):
            end = block.rfind(b"\n") + 1
            if end:
                yield rest + block[:end]
            rest = block[end:] if end else rest + block
    if rest:
        yield rest + b"\n"


def _stray(path: Path, odd: list[int], delimiter: str) -> tuple[int, int, set[int]]:
    """The number of the first line that is not empty, its fields, and those of the odd lines that begin no field."""
    near = [pair for pair in itertools.pairwise(odd) if pair[1] - pair[0] < _MOST_LINES]
    wanted = {line for first, last in near for line in range(first, last + 1)}
    lines: dict[int, str] = {}
    header, width = 0, 0
    with open_bytes(path) as file:
        for number, line in enumerate(file):
            if not width and line.strip():
                text = line.decode("utf-8-sig", errors="replace")
                header, width = number, len(_row([text], delimiter)) or text.count(delimiter) + 1
            if number in wanted:
                lines[number] = line.decode("utf-8", errors="replace")
    stray, place = set(), 0
    while place < len(odd):
        first, last = odd[place], odd[place + 1] if place + 1 < len(odd) else odd[place] + _MOST_LINES
        if last - first < _MOST_LINES and _is_row([lines[n] for n in range(first, last + 1)], delimiter, width):
            place += 2
        else:
            stray.add(first)
            place += 1
    return header, width, stray


def _is_row(lines: list[str], delimiter: str, width: int) -> bool:
    """Whether lines are one row together, and none below the first is one by itself."""
    alone = any(line.count(delimiter) + 1 == width for line in lines[1:])
    return not alone and len(_row(lines, delimiter)) == width


def _row(lines: list[str], delimiter: str) -> list[str]:
    """The one row that lines make; nothing where they make several, or none."""
    try:
        rows = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        return []
    return rows[0] if len(rows) == 1 else []
