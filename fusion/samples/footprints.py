"""Which ground a chip shows and which places a cube reads: the exact reach of a sample."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusion.samples.sampleset import SampleSet

# Rounding of coordinates of some 4e6 m leaves about 1e-9 of a pixel; less than this is not an overlap.
_SLACK_PX = 1e-6


def footprints(
    position: ArrayLike,
    chip_m: float,
    pixel_m: tuple[float, float] = (0.0, 0.0),
    origin: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.float64]:
    """Return the rectangle that each chip touches, half open.

    Args:
        position: (N,2) centres, x and y in metres.
        chip_m: side of the chip on the ground.
        pixel_m: width and height of the imagery's pixels; 0 = not known.
        origin: x and y of the imagery's upper left corner.

    Returns:
        (N,4) left, right, top, bottom: pixel columns and rows of the imagery, counted from `origin` downwards and
        widened to whole pixels; or metres (x, and -y) where the pixel is not known.
    """
    centre = np.asarray(position, dtype=np.float64).reshape(-1, 2)
    across, down = centre[:, 0] - origin[0], origin[1] - centre[:, 1]
    sides = [across - chip_m / 2, across + chip_m / 2, down - chip_m / 2, down + chip_m / 2]
    if all(pixel_m):
        (width, height), slack = pixel_m, _SLACK_PX
        sides = [side / pixel for side, pixel in zip(sides, (width, width, height, height), strict=True)]
        sides = [np.floor(side + slack) if at % 2 == 0 else np.ceil(side - slack) for at, side in enumerate(sides)]
    return np.stack(sides, axis=1)


class Reach:
    """Exact conflicts between samples: a pixel under both chips, or a series row in both cubes."""

    def __init__(self, samples: SampleSet) -> None:
        meta = samples.meta
        self._neighbours = samples.neighbours
        self._places = len(samples.series)
        boxes = footprints(samples.position, meta.chip_m, meta.pixel_m, meta.origin)
        left, right = nearby_pairs(samples.position, meta.chip_m + 2 * max(meta.pixel_m))
        a, b = boxes[left], boxes[right]
        meet = (
            (np.maximum(a[:, 0], b[:, 0]) < np.minimum(a[:, 1], b[:, 1]))
            & (np.maximum(a[:, 2], b[:, 2]) < np.minimum(a[:, 3], b[:, 3]))
        )  # fmt: skip
        self._left, self._right = left[meet], right[meet]

    def conflicts(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which of the N samples share a pixel or a series row with any of `rows` (themselves included)."""
        read = np.zeros(self._places + 1, dtype=bool)  # the last entry is the row that -1 points at: no place
        read[self._neighbours[rows].ravel()] = True
        read[-1] = False
        return read[self._neighbours].any(axis=(1, 2)) | self.overlaps(rows)

    def overlaps(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which of the N samples share a pixel of their chips with any of `rows` (themselves included)."""
        chosen = np.zeros(len(self._neighbours), dtype=bool)
        chosen[rows] = True
        hit = chosen.copy()
        hit[self._left[chosen[self._right]]] = True
        hit[self._right[chosen[self._left]]] = True
        return hit


def nearby_pairs(position: ArrayLike, reach_m: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return every pair of points that differ by at most `reach_m` in x and in y, each pair once.

    Args:
        position: (N,2) metres.

    Returns:
        `(first, second)`, (pairs,) rows each. Points are sorted into squares of that side, so that only the squares
        around a point are searched: time grows with the points and pairs, not with N squared.
    """
    points = np.asarray(position, dtype=np.float64).reshape(-1, 2)
    if len(points) < 2:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    square = np.floor((points - points.min(axis=0)) / reach_m).astype(np.int64)
    width = int(square[:, 1].max()) + 3
    key = square[:, 0] * width + square[:, 1]
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    firsts, seconds = [], []
    for step in (0, 1, width - 1, width, width + 1):  # half of the squares around: the others give the same pairs
        start = np.searchsorted(ordered, key + step, side="left")
        number = np.searchsorted(ordered, key + step, side="right") - start
        first = np.repeat(np.arange(len(points)), number)
        within = np.arange(len(first)) - np.repeat(np.cumsum(number) - number, number)
        second = order[np.repeat(start, number) + within]
        keep = (np.abs(points[first] - points[second]) <= reach_m).all(axis=1)
        if step == 0:
            keep &= first < second
        firsts.append(first[keep])
        seconds.append(second[keep])
    return np.concatenate(firsts), np.concatenate(seconds)


def spacing_m(position: ArrayLike) -> float:
    """Return the median distance from a point to its nearest neighbour (of at most 256 points spread over the set)."""
    points = np.asarray(position, dtype=np.float64).reshape(-1, 2)
    probe = np.unique(np.linspace(0, len(points) - 1, min(256, len(points))).astype(np.int64))
    distance: NDArray[Any] = np.hypot(*(points[probe, None] - points[None]).transpose(2, 0, 1))
    distance[np.arange(len(probe)), probe] = np.inf
    return float(np.median(distance.min(axis=1)))
