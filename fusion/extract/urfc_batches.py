"""Regions read a batch at a time by threads: images decoded, visits counted, digests taken."""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
from numpy.typing import NDArray

from fusion.extract.urfc_files import Refused, Region
from fusion.extract.urfc_grammar import DAYS, ENTRIES_TAKEN, HOURS
from fusion.extract.urfc_images import SIZE_PX, is_blank, read_image
from fusion.extract.urfc_visits import best_engine, scan_visits

_BATCH = 32  # regions: some 3 MB of visits
_WORTH_COMPILING = 1000  # regions
_AHEAD = 2  # batches waiting for each thread
_LARGEST_BYTES = 1 << 29  # of a visit file; the largest published ones have some 10 MB


@dataclass(frozen=True, eq=False)
class Batch:
    """Some regions: `read` is how many were looked at, the rest is of the n that were taken.

    images (n,3,100,100) uint8, counts (n,182,24) int32; tally (11,) and rejects (R,4) are of all visit files scanned,
    `files` their names.
    """

    read: int
    regions: list[Region]
    images: NDArray[np.uint8]
    counts: NDArray[np.int32]
    blank: list[bool]
    image_digests: list[str]
    visit_digests: list[str]
    count_digests: list[str]
    tally: NDArray[np.int64]
    rejects: NDArray[np.int64]
    files: list[str]
    refused: list[Refused]


def read_batches(
    folder: Path, regions: Sequence[Region], resize: bool = False, drop_blank: bool = False, jobs: int | None = None
) -> Iterator[Batch]:
    """Yield the regions in order, a batch at a time; threads work ahead by a bounded number of batches.

    Args:
        folder: below which files are named in what is refused.
        regions: to read.
        resize, drop_blank: as of `fusion.extract.urfc.UrfcOptions`.
        jobs: threads; None: one a processor.
    """
    # Compiling takes seconds the first time: more than numpy needs for a small set. Found out before threads ask.
    engine = best_engine() if len(regions) >= _WORTH_COMPILING else "numpy"
    jobs = jobs or joblib.cpu_count()
    parts = iter([regions[start : start + _BATCH] for start in range(0, len(regions), _BATCH)])
    waiting: deque[Future[Batch]] = deque()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for part in parts:
                waiting.append(pool.submit(_read, folder, part, resize, drop_blank, engine))
                if len(waiting) >= jobs * _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _read(folder: Path, regions: Sequence[Region], resize: bool, drop_blank: bool, engine: str) -> Batch:
    refused: list[Refused] = []

    def refuse(region: Region, kind: str, reason: str, text: str) -> None:
        bad, other = (region.image, region.visits) if kind == "image" else (region.visits, region.image)
        refused.append(Refused(str(bad.relative_to(folder)), reason, text))
        refused.append(Refused(str(other.relative_to(folder)), "partner_rejected", bad.name))

    images, blank, visits, shown = [], [], [], []
    for region in regions:
        image = read_image(region.image, resize)
        if isinstance(image, tuple):
            refuse(region, "image", *image)
            continue
        one_colour = is_blank(image)
        data = b"" if one_colour and drop_blank else _bytes(region.visits)
        if one_colour and drop_blank:
            refuse(region, "image", "blank_image", "one colour")
        elif isinstance(data, str):
            refuse(region, "visit", "unreadable", data)
        else:
            images.append(image)
            blank.append(one_colour)
            visits.append(data)
            shown.append(region)
    scanned = scan_visits(visits, engine)
    taken = np.flatnonzero(scanned.tally[:, ENTRIES_TAKEN] > 0)
    for row in np.flatnonzero(scanned.tally[:, ENTRIES_TAKEN] == 0):
        refuse(shown[row], "visit", "no_entries", f"{len(visits[row])} bytes")
    counts = scanned.counts[taken]
    return Batch(
        len(regions),
        [shown[row] for row in taken],
        np.stack([images[row] for row in taken]) if len(taken) else np.empty((0, 3, SIZE_PX, SIZE_PX), np.uint8),
        counts.reshape(-1, DAYS, HOURS),
        [blank[row] for row in taken],
        [_digest(images[row].tobytes()) for row in taken],
        [_digest(visits[row]) for row in taken],
        [_digest(count.tobytes()) for count in counts],
        scanned.tally.sum(axis=0),
        scanned.rejects,
        [str(region.visits.relative_to(folder)) for region in shown],
        refused,
    )


def _bytes(path: Path) -> bytes | str:
    """Return what a visit file holds, or why that cannot be read."""
    try:
        size = path.stat().st_size
        return path.read_bytes() if size <= _LARGEST_BYTES else f"{size >> 20} MiB, {_LARGEST_BYTES >> 20} at most"
    except OSError as error:
        return str(error.strerror)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
