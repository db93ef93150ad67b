"""A tiny SampleSet with a planted signal: three looks x three rhythms = nine functions, so that only both tell all."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from fusion.classes import IDS
from fusion.geo import grid
from fusion.samples.sampleset import SampleMeta, SampleSet, write_sampleset
from fusion.training.experiment import Experiment
from fusion.training.experiments import EXPERIMENTS

CENTRE = (113.65, 34.76)
CHIP_PX = 32


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tests run side by side: a network this small gains nothing from more threads and loses much to other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def write_planted(folder: Path, unlabelled: int = 5, seed: int = 0) -> SampleSet:
    """Write the middle cell of some 200 resolution-8 hexagons; each is its own only place, so that no buffer bites."""
    rng = np.random.default_rng(seed)
    west, south, reach = CENTRE[0], CENTRE[1], 0.075
    coarse = grid.cells_in_bounds((west - reach, south - reach, west + reach, south + reach), 8)
    cells = np.sort(grid.cells_at(*grid.centres(coarse), 9))
    count = len(cells)
    labels = np.resize(np.arange(len(IDS)), count)
    rng.shuffle(labels)
    look, rhythm = labels // 3, labels % 3
    images = rng.normal(90, 20, (count, 3, CHIP_PX, CHIP_PX))
    images[np.arange(count), look] += 90
    hours = np.arange(24)
    shape = np.exp(-(((hours[None] - 6 * (1 + rhythm[:, None])) / 2.5) ** 2))
    series = rng.poisson(20 + 200 * shape[:, :, None], (count, 24, 2)).astype(np.float32)
    state = np.zeros(series.shape, dtype=np.uint8)
    state[rng.random(series.shape) < 0.05] = 2
    state[0] = 2  # one place without any data
    series[state > 0] = 0
    labels[rng.choice(count, unlabelled, replace=False)] = -1
    meta = SampleMeta(
        city="testville", provenance="synthetic", layout="days", steps=24, channels=2, channel_measure=(0, 0),
        measures=("people",), timezone="Asia/Shanghai", first_hour="2021-07-23T16:00:00Z", chip_px=CHIP_PX,
        chip_m=384.0, k=2, grid="hex", resolution=9, classes=IDS, city_fingerprint="city-one",
        channel_names=("people 24", "people 25"),
    )  # fmt: skip
    return write_sampleset(
        folder,
        meta,
        images=images.clip(0, 255),
        series=series,
        state=state,
        neighbours=grid.neighbourhoods(cells, cells, 2),
        labels=labels,
        ids=grid.to_hex(cells),
        groups=grid.parents(cells).astype(np.int64),
        position=np.stack(grid.project(*grid.centres(cells), grid.utm_crs(*CENTRE)), axis=1),
    )


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> SampleSet:
    """The set, read-only."""
    return write_planted(tmp_path_factory.mktemp("samples") / "planted")


def fitted_to_chips(row: Experiment) -> Experiment:
    """Return a row whose patches fill the small chips: four of them."""
    if row.network.vision is None:
        return row
    vision = dataclasses.replace(row.network.vision, patch=CHIP_PX // 2)
    return dataclasses.replace(row, network=dataclasses.replace(row.network, vision=vision))


def quick(name: str, **training: object) -> Experiment:
    """Return a named row with a few epochs in small batches, on small chips."""
    row = fitted_to_chips(EXPERIMENTS[name])
    options = {"epochs": 2, "batch_size": 32, "patience": 99, **training}
    return dataclasses.replace(row, training=dataclasses.replace(row.training, **options))
