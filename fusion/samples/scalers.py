"""Scalers: fitted on a fold's training rows, applied to everything.

Counts: log1p, then one mean and one standard deviation a measure. Never a day or a neighbour at a time: that would
erase the very differences (weekday and weekend, restrictions, centre and edge) that the classes differ in.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusion.errors import SampleError
from fusion.samples.sampleset import SampleSet
from fusion.states import VALID

_CHUNK = 1024
_SMALLEST_STD = 1e-6


@dataclass(frozen=True)
class Scalers:
    """Mean and deviation of log1p(count) a measure, and of each image channel on the scale 0 to 1."""

    measures: tuple[str, ...]
    series_mean: tuple[float, ...]
    series_std: tuple[float, ...]
    image_mean: tuple[float, float, float]
    image_std: tuple[float, float, float]

    def to_dict(self) -> dict[str, list[Any]]:
        """Return plain lists, safe for JSON; floats survive the way there and back exactly."""
        return {key: list(value) for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Scalers":
        """Rebuild what `to_dict` gave.

        Raises:
            SampleError: a key is missing or unknown, or the lengths do not fit.
        """
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            odd = ", ".join(sorted(names ^ set(values)))
            raise SampleError(f"scalers have missing or unknown keys ({odd}): train the model again")
        scalers = cls(**{key: tuple(value) for key, value in values.items()})
        count = len(scalers.measures)
        lengths = [len(getattr(scalers, field.name)) for field in fields(cls)]
        if lengths != [count, count, count, 3, 3]:
            raise SampleError(f"scalers have {lengths} values, [n, n, n, 3, 3] is needed: train the model again")
        return scalers


def fit_scalers(samples: SampleSet, rows: ArrayLike) -> Scalers:
    """Fit on a fold's training rows and on nothing else.

    Images: every pixel of the rows' chips. Counts: every valid entry of every place that the rows' cubes read
    (centre and neighbours, a place once however many cubes share it), because those are the values that the network
    will see; the buffer keeps all of these places out of the cubes of validation and test. A measure without a valid
    entry gets mean 0 and deviation 1; so does the deviation of a constant.

    Args:
        rows: (n,) training rows.

    Raises:
        SampleError: there are no rows.
    """
    chosen = np.unique(np.asarray(rows, dtype=np.int64))
    if not len(chosen):
        raise SampleError(f"no training rows to fit scalers on in the samples of {samples.meta.city}: use fewer folds")
    series_mean, series_std = _fit_series(samples, places_of(samples, chosen))
    image_mean, image_std = _fit_images(samples.images, chosen)
    return Scalers(samples.meta.measures, series_mean, series_std, image_mean, image_std)


def places_of(samples: SampleSet, rows: ArrayLike) -> NDArray[np.int64]:
    """Return the rows of `series` that the cubes of (n,) rows read, sorted, each once."""
    chosen = np.asarray(rows, dtype=np.int64)
    if samples.meta.grid == "square":
        return np.unique(chosen)
    places = np.unique(samples.neighbours[chosen])
    return places[places >= 0].astype(np.int64)


def scale_series(values: NDArray[np.float32], state: NDArray[np.uint8], scalers: Scalers, channel_measure: ArrayLike,
                 channel_axis: int = -1) -> NDArray[np.float32]:  # fmt: skip
    """Return (log1p(value) - mean) / std, float32 of the same shape; 0 where the state is not valid.

    Args:
        values, state: equal shapes, with C channels on `channel_axis`.
        channel_measure: (C,) the measure of each channel.
    """
    measure = np.asarray(channel_measure, dtype=np.int64)
    shape = [1] * values.ndim
    shape[channel_axis] = len(measure)
    mean = np.asarray(scalers.series_mean, dtype=np.float32)[measure].reshape(shape)
    std = np.asarray(scalers.series_std, dtype=np.float32)[measure].reshape(shape)
    valid = state == VALID
    scaled = np.log1p(np.where(valid, values, np.float32(0)))
    scaled -= mean
    scaled /= std
    scaled *= valid
    return scaled


def _fit_series(samples: SampleSet, places: NDArray[np.int64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    measure = np.asarray(samples.meta.channel_measure, dtype=np.int64)
    count = len(samples.meta.measures)
    number, total, squares = np.zeros(count), np.zeros(count), np.zeros(count)
    other_axes = tuple(axis for axis in range(samples.series.ndim) if axis != 2)
    for start in range(0, len(places), _CHUNK):
        part = places[start : start + _CHUNK]
        valid = samples.state[part] == VALID
        logs = np.log1p(np.where(valid, samples.series[part], np.float32(0)).astype(np.float64))
        number += np.bincount(measure, valid.sum(axis=other_axes), count)
        total += np.bincount(measure, logs.sum(axis=other_axes), count)
        squares += np.bincount(measure, (logs**2).sum(axis=other_axes), count)
    filled = np.maximum(number, 1)
    mean = total / filled
    std = np.sqrt(np.maximum(squares / filled - mean**2, 0))
    return tuple(mean.tolist()), tuple(np.where(std > _SMALLEST_STD, std, 1.0).tolist())


def _fit_images(
    images: NDArray[np.uint8], rows: NDArray[np.int64]
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    # Counting the 256 values makes the sums exact, whatever the order and number of chips.
    counts = np.zeros((3, 256), dtype=np.int64)
    for start in range(0, len(rows), _CHUNK):
        chips = images[rows[start : start + _CHUNK]]
        for channel in range(3):
            counts[channel] += np.bincount(chips[:, channel].ravel(), minlength=256)
    levels = np.arange(256) / 255
    number = counts.sum(axis=1)
    mean = counts @ levels / number
    std = np.sqrt(np.maximum(counts @ levels**2 / number - mean**2, 0))
    std = np.where(std > _SMALLEST_STD, std, 1.0)
    return tuple(mean.tolist()), tuple(std.tolist())
