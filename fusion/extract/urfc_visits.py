"""Visit files of many regions -> users seen in each hour: the reader that is fastest here."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fusion.errors import ConfigError
from fusion.extract import urfc_numpy
from fusion.extract.urfc_grammar import BOM, DAYS, HOURS, TALLY, Visits, read_lines

ENGINES = ("numba", "numpy", "python")
_PORTION_BYTES = 1 << 19  # scanned at a time, so that the processor's caches hold what it works on
_PADDING = 16  # zero bytes behind the last file: scanners load eight bytes at a time

Scanner = Callable[[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]], Visits]


def scan_visits(files: Sequence[bytes], engine: str | None = None) -> Visits:
    """Count the users of each hour in the contents of visit files.

    Args:
        files: their bytes.
        engine: one of `ENGINES`, which all give the same answer; by default the fastest that is installed.

    Raises:
        ConfigError: no such engine here.
    """
    engine = engine or best_engine()
    if engine not in ENGINES or (engine == "numba" and best_engine() != "numba"):
        raise ConfigError(f"engine {engine!r} does not exist here: use one of {', '.join(ENGINES)}, or install numba")
    if not files:
        empty = np.zeros((0, TALLY), dtype=np.int64)
        return Visits(np.zeros((0, DAYS, HOURS), dtype=np.int32), empty, empty[:, :4])
    if engine == "python":
        return _join([read_lines(data) for data in files])
    scan = (_compiled() if engine == "numba" else None) or urfc_numpy.scan_buffer
    return _join([scan(*_lay_out(part)) for part in _portions(files)])


@cache
def best_engine() -> str:
    """Return "numba" where it is installed and works here, else "numpy"."""
    return "numpy" if _compiled() is None else "numba"


@cache
def _compiled() -> Scanner | None:
    try:
        from fusion.extract.urfc_numba import scan_buffer
    except (ImportError, RuntimeError):  # absent, or no folder where it may keep what it compiled
        return None
    return scan_buffer


def _portions(files: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    first, size = 0, 0
    for last, data in enumerate(files, start=1):
        size += len(data)
        if size >= _PORTION_BYTES or last == len(files):
            yield files[first:last]
            first, size = last, 0


def _lay_out(files: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Return one buffer with a newline behind each file, and where each begins (behind its mark) and ends."""
    sizes = np.array([len(data) for data in files], dtype=np.int64)
    starts = np.cumsum(sizes + 1) - sizes - 1
    marks = [len(BOM) if data.startswith(BOM) else 0 for data in files]
    buffer = np.frombuffer(b"\n".join(files) + b"\n" + bytes(_PADDING), dtype=np.uint8)
    return buffer, starts + np.array(marks, dtype=np.int64), starts + sizes


def _join(parts: Sequence[Visits]) -> Visits:
    file = 0
    for part in parts:
        part.rejects[:, 0] += file
        file += len(part.tally)
    return Visits(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("counts", "tally", "rejects")))
