"""How a text file is spelled: encoding, line ends, delimiter, quotes, header; and copies where it must be rewritten."""

import codecs
import gzip
import io
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fusion.errors import InputError
from fusion.ingest.archives import check_ratio, check_room

SAMPLE_BYTES = 1 << 18
LINE_END = re.compile(r"\r\n|\n|\r")
# Quotes may begin with the first count over 999, far down the file: so many places are looked at.
_PROBES = 64
_PROBE_BYTES = 1 << 14
_CHUNK_BYTES = 1 << 20
_LONGEST_LINE_BYTES = 30_000_000  # DuckDB's buffer is 32 MB
_START_BYTES = 1 << 12
_LINE_END_BYTES = re.compile(rb"\r\n|\n|\r")
_ENCODINGS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def ending_of(name: str) -> str:
    """Return a file's ending in lower case, with the one before `.gz`."""
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    return "".join(suffixes[-2:] if suffixes[-1:] == [".gz"] else suffixes[-1:])


def find_encoding(path: Path, name: str) -> str:
    """Return the encoding of a text: `utf-8`, `utf-16` or `gb18030`.

    Raises:
        InputError: it is none of these.
    """
    with open_bytes(path) as file:
        head = file.read(SAMPLE_BYTES)
    # The mark of UTF-32 begins as that of UTF-16. Half the bytes of a table in UTF-16 are 0, but few of a damaged one.
    start = head[:_START_BYTES]
    is_marked = start.startswith(tuple(_ENCODINGS)) and not start.startswith(codecs.BOM_UTF32_LE)
    if not is_marked and start.count(0) * 8 > len(start):
        raise InputError(f"{name} is UTF-32, or UTF-16 without a byte order mark: save it as UTF-8")
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
    raise InputError(f"{name} is neither UTF-8 nor GBK text: save it as UTF-8")


def look_through(path: Path, name: str) -> tuple[bool, bool]:
    """Return whether the lines of a UTF-8 file all end alike, and whether it has quotes, as far as samples tell.

    Raises:
        InputError: it unpacks to far more than a table of counts does, or ends in a line longer than any reader takes.
    """
    ends: set[bytes] = set()
    quoted = False
    unpacked, packed = 0, path.stat().st_size
    for part in _samples(path):
        unpacked += len(part)
        check_ratio(name, unpacked, packed)
        ends |= set(_LINE_END_BYTES.findall(part.lstrip(b"\n").removesuffix(b"\r")))
        quoted = quoted or b'"' in part
    return len(ends) <= 1, quoted


def rewrite(path: Path, encoding: str, scratch: Path, name: str) -> Path:
    """Copy a file as UTF-8 with lines that end alike.

    Raises:
        InputError: its bytes are not of that encoding, or the disk has no room.
    """
    copy = new_path(scratch, ending_of(path.name).removesuffix(".gz") or ".csv")
    with open_bytes(path) as source, copy.open("wb") as target:
        # Universal newlines also where a chunk ends between \r and \n.
        decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(), translate=True)
        done = 0
        try:
            while chunk := source.read(_CHUNK_BYTES):
                target.write(decoder.decode(chunk).encode())
                done += len(chunk)
                check_room(scratch, name)
            target.write(decoder.decode(b"", final=True).encode())
        except UnicodeDecodeError as error:
            raise InputError(
                f"{name} is not UTF-8, and not {encoding.upper()} near byte {done + error.start}: save it as UTF-8"
            ) from None
    return copy


def new_path(scratch: Path, ending: str) -> Path:
    """Return a path in a scratch folder that nothing has yet."""
    return scratch / f"{uuid.uuid4().hex}{ending}"


def is_data(row: list[str]) -> bool:
    """A line is no header if it has numbers: names of columns are not numbers."""
    return any(_is_number(cell) for cell in row)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.strip().lower() not in ("nan", "inf", "infinity")


def find_delimiter(line: str) -> str:
    """Return the mark that a line has most of: tab, comma, semicolon or bar."""
    return max(("\t", ",", ";", "|"), key=lambda mark: (line.count(mark), mark == ","))


def check_last_line(path: Path, name: str) -> None:
    """Refuse a text whose last line is longer than the reader's buffer: it would pass over that line and not say so.

    Raises:
        InputError: it is.
    """
    size = path.stat().st_size
    if path.suffix.lower() == ".gz" or size <= _LONGEST_LINE_BYTES:
        return
    with path.open("rb") as file:
        file.seek(size - _LONGEST_LINE_BYTES)
        if b"\n" not in file.read().rstrip(b"\r\n"):
            raise InputError(f"{name} ends in a line of more than 30 MB: look for lines that lost their ends")


def _samples(path: Path) -> Iterator[bytes]:
    """Yield a file's beginning and places spread over the rest; all of a packed one, which has no places."""
    size = path.stat().st_size
    with open_bytes(path) as file:
        yield file.read(SAMPLE_BYTES)
        if path.suffix.lower() == ".gz":
            yield from iter(lambda: file.read(_CHUNK_BYTES), b"")
        elif size > SAMPLE_BYTES:
            for number in range(1, _PROBES + 1):
                file.seek(max(0, size * number // _PROBES - _PROBE_BYTES))
                yield file.read(_PROBE_BYTES)


def plain_path(path: Path, scratch: Path) -> Path:
    """DuckDB takes * ? [ in a path for a pattern: reach such a file by a link."""
    if not any(mark in str(path) for mark in "*?["):
        return path
    link = new_path(scratch, ending_of(path.name))
    link.symlink_to(path.resolve())
    return link


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a file, unpacked if it ends in .gz."""
    with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
        yield file  # type: ignore[misc]
