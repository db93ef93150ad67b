"""Batches: rows of a SampleSet as the arrays that a network reads. Cubes are gathered here and never stored."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusion.samples.sampleset import SampleSet
from fusion.samples.scalers import Scalers, scale_series
from fusion.states import MISSING, SUPPRESSED

_CHUNK = 1024


def make_batch(
    samples: SampleSet, rows: ArrayLike, scalers: Scalers, table: NDArray[np.float32] | None = None
) -> dict[str, NDArray[Any]]:
    """Gather rows, scaled.

    Args:
        rows: (B,) rows, in any order.
        table: what `series_table` gave for the same samples and scalers; saves scaling in every batch.

    Returns:
        image: (B,3,P,P) float32, normalised.
        cube: (B,T,3C,K,K) float32 = [C scaled values, C suppressed flags, C missing flags]; the value is 0 where it
            is not valid, and a place outside the city is missing. On grid "square" (B,T,3C,H,W).
        present: (B,T,K,K) bool, some channel of that place and step is not missing.
        label: (B,) int64, -1 = unlabelled.
    """
    chosen = np.asarray(rows, dtype=np.int64)
    channels = samples.meta.channels
    if samples.meta.grid == "square":
        cube = _encode(samples, chosen, scalers) if table is None else table[chosen]
    else:
        at = samples.neighbours[chosen]  # (B,K,K)
        if table is None:
            used, inverse = np.unique(at, return_inverse=True)
            inside = used >= 0
            small = np.empty((len(used), samples.meta.steps, 3 * channels), dtype=np.float32)
            small[inside] = _encode(samples, used[inside], scalers)
            small[~inside] = _outside(channels)
            gathered = small[inverse.reshape(at.shape)]
        else:
            gathered = table[at]  # -1 is the table's last row
        cube = np.ascontiguousarray(gathered.transpose(0, 3, 4, 1, 2))
    return {
        "image": _images(samples.images[chosen], scalers),
        "cube": cube,
        "present": np.asarray(cube[:, :, 2 * channels :].min(axis=2) < 1),
        "label": samples.labels[chosen].astype(np.int64),
    }


def series_table(samples: SampleSet, scalers: Scalers) -> NDArray[np.float32]:
    """Encode every place once, for `make_batch` to gather from.

    Returns:
        (M+1,T,3C) float32; the last row, which index -1 reads, is a place outside the city. On grid "square"
        (N,T,3C,H,W). A city of 6,000 places and 192 hours takes 14 MB a measure.
    """
    count, steps = samples.series.shape[:2]
    outside = samples.meta.grid == "hex"
    shape = (count + outside, steps, 3 * samples.meta.channels, *samples.series.shape[3:])
    table = np.empty(shape, dtype=np.float32)
    for start in range(0, count, _CHUNK):
        part = np.arange(start, min(start + _CHUNK, count))
        table[part] = _encode(samples, part, scalers)
    if outside:
        table[-1] = _outside(samples.meta.channels)
    return table


def _encode(samples: SampleSet, places: NDArray[np.integer[Any]], scalers: Scalers) -> NDArray[np.float32]:
    state = samples.state[places]
    values = scale_series(samples.series[places], state, scalers, samples.meta.channel_measure, channel_axis=2)
    return np.concatenate([values, state == SUPPRESSED, state == MISSING], axis=2, dtype=np.float32)


def _outside(channels: int) -> NDArray[np.float32]:
    return np.repeat(np.array([0, 0, 1], dtype=np.float32), channels)


def _images(chips: NDArray[np.uint8], scalers: Scalers) -> NDArray[np.float32]:
    mean = np.asarray(scalers.image_mean, dtype=np.float32).reshape(3, 1, 1)
    std = np.asarray(scalers.image_std, dtype=np.float32).reshape(3, 1, 1)
    images = chips.astype(np.float32)
    images *= 1 / (255 * std)
    images -= mean / std
    return images
