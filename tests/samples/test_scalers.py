"""Scalers: worked by hand, blind to test rows, and safe through JSON."""

import json
from pathlib import Path

import numpy as np
import pytest

from fusion.errors import SampleError
from fusion.samples.sampleset import SampleSet, write_sampleset
from fusion.samples.scalers import Scalers, fit_scalers, places_of, scale_series
from fusion.samples.split import spatial_folds
from tests.samples.conftest import small_arrays, small_meta, tiny_meta


def _written(folder: Path, **changes: object) -> SampleSet:
    return write_sampleset(folder, small_meta(), **{**small_arrays(), **changes})


def test_statistics_by_hand(tmp_path: Path) -> None:
    # Rows 0 and 1 read places 0, 1, 2 (see small_arrays); measure 0 is channels 0, 1; measure 1 channels 2, 3.
    series, state = np.zeros((5, 2, 4)), np.full((5, 2, 4), 2)
    state[0, 0, 0] = state[1, 1, 1] = state[2, 0, 2] = 0
    series[0, 0, 0], series[1, 1, 1] = np.e - 1, np.e**3 - 1  # log1p 1 and 3: mean 2, deviation 1
    series[2, 0, 2] = np.e - 1  # a constant
    series[4], state[4] = 1e6, 0  # place 4 is nobody's neighbour in rows 0 and 1
    images = np.zeros((6, 3, 2, 2))
    images[0, 0] = images[1, 1] = 255
    scalers = fit_scalers(_written(tmp_path / "set", series=series, state=state, images=images), [1, 0, 1])
    assert scalers.measures == ("people", "inflow")
    np.testing.assert_allclose(scalers.series_mean, [2, 1], rtol=1e-6)
    np.testing.assert_allclose(scalers.series_std, [1, 1], rtol=1e-6)
    np.testing.assert_allclose(scalers.image_mean, [0.5, 0.5, 0])
    np.testing.assert_allclose(scalers.image_std, [0.5, 0.5, 1])


def test_values_that_are_not_valid_do_not_count(tmp_path: Path) -> None:
    arrays = small_arrays()
    before = fit_scalers(_written(tmp_path / "a"), [0, 1])
    series = np.where(arrays["state"] > 0, 12345, arrays["series"])
    assert fit_scalers(_written(tmp_path / "b", series=series), [0, 1]) == before


def test_a_measure_without_valid_entries_is_left_alone(tmp_path: Path) -> None:
    state = small_arrays()["state"].copy()
    state[:, :, 2:] = 1
    scalers = fit_scalers(_written(tmp_path / "set", state=state), [0, 1])
    assert (scalers.series_mean[1], scalers.series_std[1]) == (0.0, 1.0)


def test_changing_validation_and_test_changes_nothing(round_city: SampleSet, tmp_path: Path) -> None:
    fold = spatial_folds(round_city, 3)[0]
    rng = np.random.default_rng(0)
    count = len(round_city)
    arrays = {
        name: getattr(round_city, name) for name in ("neighbours", "labels", "ids", "groups", "position")
    }  # fmt: skip
    arrays |= {"images": rng.integers(0, 256, (count, 3, 1, 1)), "series": rng.poisson(40.0, (count, 1, 1))}
    arrays["state"] = rng.integers(0, 3, (count, 1, 1))
    before = fit_scalers(write_sampleset(tmp_path / "a", tiny_meta(), **arrays), fold.train)
    held = np.concatenate([fold.validation, fold.test])
    arrays["images"][held] = 255
    seen = places_of(round_city, held)
    arrays["series"][seen] += 1000
    arrays["state"][seen] = 0
    assert fit_scalers(write_sampleset(tmp_path / "b", tiny_meta(), **arrays), fold.train) == before


def test_scaling_by_hand() -> None:
    scalers = Scalers(("a", "b"), (1.0, 0.0), (2.0, 0.5), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    values = np.array([[np.e**3 - 1, np.e - 1, 5]], dtype=np.float32)
    state = np.array([[0, 0, 1]], dtype=np.uint8)
    np.testing.assert_allclose(scale_series(values, state, scalers, [0, 1, 0]), [[1, 2, 0]], rtol=1e-6)


def test_json_and_back(tmp_path: Path) -> None:
    scalers = fit_scalers(_written(tmp_path / "set"), [0, 1, 2])
    assert Scalers.from_dict(json.loads(json.dumps(scalers.to_dict()))) == scalers


@pytest.mark.parametrize("change", [{"extra": [1]}, {"series_std": [1.0]}, {"image_mean": [0.0]}])
def test_foreign_dictionary_raises(tmp_path: Path, change: dict) -> None:
    values = fit_scalers(_written(tmp_path / "set"), [0]).to_dict()
    with pytest.raises(SampleError, match="train the model again"):
        Scalers.from_dict({**values, **change})


def test_no_rows_raise(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="no training rows"):
        fit_scalers(_written(tmp_path / "set"), [])
