"""Batches against a loop written from the contract."""

from pathlib import Path

import numpy as np
import pytest

from fusion.samples.batches import make_batch, series_table
from fusion.samples.sampleset import SampleSet, write_sampleset
from fusion.samples.scalers import Scalers, fit_scalers
from tests.samples.conftest import small_arrays, small_meta

ROWS = [5, 0, 3, 0]


@pytest.fixture
def samples(tmp_path: Path) -> SampleSet:
    return write_sampleset(tmp_path / "set", small_meta(), **small_arrays())


def _loop(samples: SampleSet, rows: list[int], scalers: Scalers) -> dict[str, np.ndarray]:
    """Write every entry one by one."""
    meta = samples.meta
    size, channels = 2 * meta.k + 1, meta.channels
    image = np.zeros((len(rows), 3, meta.chip_px, meta.chip_px))
    cube = np.zeros((len(rows), meta.steps, 3 * channels, size, size))
    present = np.zeros((len(rows), meta.steps, size, size), dtype=bool)
    for b, row in enumerate(rows):
        for c in range(3):
            image[b, c] = (samples.images[row, c] / 255 - scalers.image_mean[c]) / scalers.image_std[c]
        for i in range(size):
            for j in range(size):
                place = samples.neighbours[row, i, j]
                for t in range(meta.steps):
                    for c in range(channels):
                        state = 2 if place < 0 else samples.state[place, t, c]
                        if state == 0:
                            m = meta.channel_measure[c]
                            value = np.log1p(samples.series[place, t, c])
                            cube[b, t, c, i, j] = (value - scalers.series_mean[m]) / scalers.series_std[m]
                        cube[b, t, channels + c, i, j] = state == 1
                        cube[b, t, 2 * channels + c, i, j] = state == 2
                        present[b, t, i, j] |= state != 2
    return {"image": image, "cube": cube, "present": present, "label": samples.labels[rows]}


@pytest.mark.parametrize("with_table", [False, True])
def test_batch_is_the_loop(samples: SampleSet, with_table: bool) -> None:
    scalers = fit_scalers(samples, [0, 1])
    table = series_table(samples, scalers) if with_table else None
    batch, expected = make_batch(samples, ROWS, scalers, table), _loop(samples, ROWS, scalers)
    assert set(batch) == set(expected)
    for name in batch:
        np.testing.assert_allclose(batch[name], expected[name], rtol=1e-5, atol=1e-6, err_msg=name)
    assert {name: str(array.dtype) for name, array in batch.items()} == {
        "image": "float32", "cube": "float32", "present": "bool", "label": "int64",
    }  # fmt: skip
    assert all(array.flags.c_contiguous for array in batch.values())
    # The example has every state, places outside, and steps that are wholly missing.
    assert expected["cube"][:, :, 4:8].any()
    assert not expected["present"].all()


def test_square_grid_keeps_its_own_axes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {name: values for name, values in small_arrays().items() if name != "neighbours"}
    arrays |= {"series": rng.poisson(5.0, (6, 2, 4, 7, 24)), "state": rng.integers(0, 3, (6, 2, 4, 7, 24))}
    samples = write_sampleset(tmp_path / "square", small_meta(grid="square"), **arrays)
    scalers = fit_scalers(samples, [0, 1])
    batch = make_batch(samples, ROWS, scalers)
    assert batch["cube"].shape == (4, 2, 12, 7, 24)
    assert batch["present"].shape == (4, 2, 7, 24)
    valid = samples.state[5] == 0
    mean = np.array(scalers.series_mean)[[0, 0, 1, 1], None, None]
    std = np.array(scalers.series_std)[[0, 0, 1, 1], None, None]
    expected = np.where(valid, (np.log1p(samples.series[5]) - mean) / std, 0)
    np.testing.assert_allclose(batch["cube"][0, :, :4], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(
        make_batch(samples, ROWS, scalers, series_table(samples, scalers))["cube"], batch["cube"]
    )
