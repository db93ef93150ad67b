"""The commit of several files as one step, and the lock of whoever writes them."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from fusion.errors import CityLockedError

COMMIT = "commit.json"


def finish_commit(path: Path) -> None:
    """Rename what a committed transaction had not renamed yet; safe to do twice and by several at once."""
    try:
        plan = json.loads((path / COMMIT).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return
    for name, temporary in plan["files"].items():
        try:
            (path / temporary).replace(path / name)
        except FileNotFoundError:
            continue  # renamed already, by us before a kill or by another opener
    for name in plan["remove"]:
        (path / name).unlink(missing_ok=True)
    (path / COMMIT).unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Flush a file to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def lock_path(path: Path) -> Path:
    """Return where the lock of a city lies."""
    # Beside the folder, not in it: deleting a city must not delete the lock that is held on it.
    return path.parent / f".{path.name}.lock"


@contextmanager
def hold_lock(path: Path, wait_s: float) -> Iterator[None]:
    """Hold the lock of a city's writers; CityLockedError after `wait_s` seconds."""
    lock = filelock.FileLock(lock_path(path), timeout=wait_s)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise CityLockedError(
            f"city {path.name} is being written by another process: wait until it ends, then try again"
        ) from None
    try:
        yield
    finally:
        lock.release()
