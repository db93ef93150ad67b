"""Files that a page brings in: uploads, and what lies ready in a folder of the server.

An upload is `data/.uploads/<token>/`; its files are written in chunks under safe names, never under the client's path,
and go when they were ingested or after a day. Larger files are put into `data/incoming/` by whoever keeps the server,
and a page only chooses among what is listed there: no path of a user's is ever opened.
"""

import os
import re
import secrets
import shutil
import time
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fusion.errors import InputError

UPLOADS, INCOMING = ".uploads", "incoming"
KEEP_S = 24 * 3600.0
RESERVE_BYTES = 512 << 20  # stays free: an ingest writes too
MOST_LISTED = 2000
_MOST_FILES = 1000  # of one upload
_CHUNK_BYTES = 4 << 20
_LONGEST_NAME = 150  # bytes; file systems take 255
_TOKEN = re.compile(r"[0-9a-f]{16}")
# What Windows, shells and URLs give a meaning to.
_ODD = re.compile(r'[<>:"|?*\x00-\x1f\x7f]')


@dataclass(frozen=True)
class Waiting:
    """A file or folder that can be ingested: its name as shown, its path, its bytes (of a folder, of all in it)."""

    name: str
    path: Path
    size_bytes: int
    is_folder: bool = False


def new_upload(root: Path) -> str:
    """Make a folder for one upload and return its token, 16 hexadecimal digits.

    Raises:
        InputError: the data folder cannot be written.
    """
    token = secrets.token_hex(8)
    try:
        (root / UPLOADS / token).mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{root / UPLOADS} cannot be written ({error.strerror}): free the disk") from None
    return token


def upload_folder(root: Path, token: str) -> Path:
    """Return the folder of an upload.

    Raises:
        InputError: the token is none of ours.
    """
    if not _TOKEN.fullmatch(token):
        raise InputError(f"{token!r} names no upload: upload the files again")
    return root / UPLOADS / token


def store(root: Path, token: str, name: str, file: IO[bytes], size_bytes: int) -> Path:
    """Write one file of an upload and return where it lies.

    Args:
        root: the data folder.
        token: of the upload.
        name: as the client gave it.
        file: read from where it stands to its end.
        size_bytes: that the client announced.

    Raises:
        InputError: the name is none, there are too many files, or the disk has no room for it.
    """
    folder = upload_folder(root, token)
    if not folder.is_dir():
        raise InputError("this upload is a day old and was removed: upload the files again")
    if len(waiting(root, token)) >= _MOST_FILES:
        raise InputError(f"an upload takes up to {_MOST_FILES} files: zip them, or put them into {INCOMING}/")
    target = _untaken(folder, safe_name(name))
    _check_room(folder, name, size_bytes)
    part = target.with_name(f".{target.name}.part")
    written = 0
    try:
        with part.open("xb") as out:
            while chunk := file.read(_CHUNK_BYTES):
                written += len(chunk)
                if written > size_bytes:  # of more than was announced nobody knows how much more
                    _check_room(folder, name, len(chunk))
                out.write(chunk)
        part.replace(target)
    except OSError as error:
        raise InputError(f"{name} cannot be stored ({error.strerror}): free the disk, then upload it again") from None
    finally:
        part.unlink(missing_ok=True)
    return target


def waiting(root: Path, token: str) -> list[Waiting]:
    """Return the files of an upload by name; none where it was removed."""
    folder = upload_folder(root, token)
    if not folder.is_dir():
        return []
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return [Waiting(path.name, path, path.stat().st_size) for path in files]


def discard(root: Path, token: str) -> None:
    """Remove an upload."""
    shutil.rmtree(upload_folder(root, token), ignore_errors=True)


def sweep(root: Path, busy: Collection[str] = (), age_s: float = KEEP_S) -> int:
    """Remove uploads that are older than `age_s` and not `busy` (tokens); return how many."""
    folder = root / UPLOADS
    if not folder.is_dir():
        return 0
    old = [
        path
        for path in folder.iterdir()
        if _TOKEN.fullmatch(path.name) and path.name not in busy and time.time() - _touched_s(path) > age_s
    ]
    for path in old:
        shutil.rmtree(path, ignore_errors=True)
    return len(old)


def safe_name(name: str) -> str:
    """Return a client's file name without its folders and without letters that mean something to a system.

    Raises:
        InputError: nothing is left of it.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    printable = "".join(letter for letter in last if unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co", "Cn"))
    plain = _ODD.sub("_", printable).strip().lstrip(".").rstrip(". ")
    if not plain.strip("_"):
        raise InputError(f"{name!r} is no name of a file: give the file a name and upload it again")
    stem, ending = Path(plain).stem, Path(plain).suffix
    while len((stem + ending).encode()) > _LONGEST_NAME:
        stem, ending = (stem[:-1], ending) if len(stem) > 1 else (stem, ending[:-1])
    return stem + ending


def incoming(root: Path) -> list[Waiting]:
    """Return what lies in `data/incoming/`, folders too, by name; links and hidden files are passed over."""
    base = root / INCOMING
    if not base.is_dir():
        return []
    found: list[Waiting] = []
    for folder, folders, files in os.walk(base, followlinks=False):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not (here / name).is_symlink())
        for name in folders:
            found.append(Waiting(f"{(here / name).relative_to(base)}/", here / name, _size(here / name), True))
        for name in sorted(files):
            path = here / name
            if not name.startswith(".") and path.is_file() and not path.is_symlink():
                found.append(Waiting(str(path.relative_to(base)), path, path.stat().st_size))
        if len(found) >= MOST_LISTED:
            break
    return sorted(found[:MOST_LISTED], key=lambda one: one.name)


def _untaken(folder: Path, name: str) -> Path:
    stem, ending = Path(name).stem, Path(name).suffix
    target, number = folder / name, 2
    while target.exists():
        target, number = folder / f"{stem}-{number}{ending}", number + 1
    return target


def _check_room(folder: Path, name: str, size_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if size_bytes + RESERVE_BYTES > free:
        raise InputError(
            f"{name} has {size_bytes / 1e6:,.0f} MB and the disk {free / 1e6:,.0f} MB left, of which "
            f"{RESERVE_BYTES / 1e6:,.0f} MB stay free: free the disk, then upload it again"
        )


def _touched_s(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return time.time()


def _size(folder: Path) -> int:
    """Return the bytes of the files in a folder; of those that can be seen."""
    total = 0
    for here, _, files in os.walk(folder):
        for name in files:
            try:
                total += (Path(here) / name).lstat().st_size
            except OSError:
                continue
    return total
