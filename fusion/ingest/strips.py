"""An image in strips of rows: work on several at once, in order, within a bound of memory."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from rasterio.windows import Window

from fusion.fingerprint import STRIP_ROWS

BLOCK_PX = 512
_MOST_THREADS = 8
_MOST_BYTES = 256 << 20

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Strip:
    """What was drawn into a strip: how many pixels are valid, and a checksum of all."""

    valid: int
    checksum: int


def strip_windows(width: int, height: int) -> Iterator[Window]:
    """Yield the strips of an image from the top: as wide as it is, 512 rows each but for the last."""
    for top in range(0, height, STRIP_ROWS):
        yield Window(0, top, width, min(STRIP_ROWS, height - top))


def threads() -> int:
    """Return how many threads to use: one for each processor that this process may use, at most eight."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, _MOST_THREADS)


def in_order(function: Callable[[Item], Result], items: Iterable[Item], bytes_each: int) -> Iterator[Result]:
    """Yield a function's results in the order of its arguments, computed ahead by threads.

    Args:
        function: called in other threads.
        items: its arguments.
        bytes_each: memory that one call needs; so many run at once as fit into 256 MB, one at least.
    """
    at_once = max(min(threads(), _MOST_BYTES // max(bytes_each, 1)), 1)
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(at_once) as pool:
        try:
            for item in items:
                if len(waiting) > at_once:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(function, item))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
