"""The commit of several files as one step, and the lock of whoever writes them."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from fusion.errors import CityLockedError

_PLAN = re.compile(r"commit(\.\w+)?\.json")  # older versions wrote `commit.json`


def plan_name(token: str) -> str:
    """Return the name of a transaction's plan.

    No other transaction's plan has it: whoever finishes an older commit late, a reader that was held up for instance,
    then cannot remove the plan of a newer one, which a writer killed at that moment would leave half done.
    """
    return f"commit.{token}.json"


def has_commit(path: Path) -> bool:
    """Tell whether a committed transaction is not finished yet."""
    return bool(_plans(path))


def finish_commit(path: Path) -> None:
    """Rename what a committed transaction had not renamed yet; safe to do twice, late, and by several at once."""
    for place in _plans(path):
        try:
            plan = json.loads(place.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue  # finished meanwhile by another opener
        for name, temporary in plan["files"].items():
            try:
                (path / temporary).replace(path / name)
            except FileNotFoundError:
                continue  # renamed already, by us before a kill or by another opener
        place.unlink(missing_ok=True)


def _plans(path: Path) -> list[Path]:
    try:
        return [file for file in path.iterdir() if _PLAN.fullmatch(file.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []


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
