"""Files that hold no data but say where it is: GDAL would follow them to any file of this machine, or other hosts."""

import codecs
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from fusion.errors import InputError

_HEAD_BYTES = 256
_BESIDE = (".xml", ".qml", ".qmd", ".sld")  # metadata and styles that lie beside data and are never opened


def refuse_description(path: Path, name: str, marks: tuple[bytes, ...], advice: str) -> None:
    """Refuse a file, or a member of a zip archive, that begins as a description does.

    Args:
        path: the file.
        name: what the user calls it, for messages.
        marks: how descriptions begin: `<` (XML: VRT, WMS, WFS), `{` (JSON: STAC).
        advice: what to give instead.

    Raises:
        InputError: it does, or it cannot be read.
    """
    try:
        for inside, head in _heads(path):
            if head.startswith(marks):
                where = f"{name}: {inside}" if inside else name
                raise InputError(f"{where} is a text that may lead to other files or hosts: {advice}")
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise InputError(f"{name} cannot be read ({error}): get the file again") from None


def _heads(path: Path) -> Iterator[tuple[str, bytes]]:
    """The first bytes of each file that are no blanks, however many of these come before."""
    if path.suffix.lower() != ".zip":
        with path.open("rb") as file:
            yield "", _first_bytes(file)
        return
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.filename.lower().endswith(_BESIDE):
                with archive.open(info) as member:
                    yield info.filename, _first_bytes(member)


def _first_bytes(file: IO[bytes]) -> bytes:
    head = file.read(_HEAD_BYTES).removeprefix(codecs.BOM_UTF8).lstrip()
    while not head and (more := file.read(_HEAD_BYTES)):
        head = more.lstrip()
    return head
