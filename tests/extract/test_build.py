"""build_samples: a whole city in, a SampleSet with known answers out; and what may go wrong on the way."""

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fusion.city import City, open_city
from fusion.errors import CityError, ConfigError
from fusion.extract import build
from fusion.extract.build import build_samples
from fusion.geo import grid
from tests.extract.conftest import CENTRE, mini_cells


def test_small_city_gives_every_cell_with_a_whole_chip(make_city: Callable[..., City]) -> None:
    city = make_city()
    samples = build_samples(city, chip_px=16)
    cells = mini_cells()
    assert samples.ids.tolist() == grid.to_hex(cells)  # 4 km of imagery around 2.5 km of cells
    assert samples.series.shape == (61, 24, 4)
    assert samples.labels[:4].tolist() == [1, 5, 8, -1]
    assert samples.groups.tolist() == grid.parents(cells, 2).astype(np.int64).tolist()
    assert samples.meta.provenance == "synthetic"
    assert samples.meta.channel_names == (
        "people 2021-07-24", "people 2021-07-25", "inflow 2021-07-24", "inflow 2021-07-25",
    )  # fmt: skip
    assert samples.meta.channel_measure == (0, 0, 1, 1)
    assert samples.meta.city_fingerprint == city.fingerprint()


def test_neighbours_are_the_six_cells_around(make_city: Callable[..., City]) -> None:
    samples = build_samples(make_city(), chip_px=4, k=1)
    cells = mini_cells()
    centre = int(np.flatnonzero(cells == grid.cells_at([CENTRE[0]], [CENTRE[1]], 9)[0])[0])
    around = samples.neighbours[centre]
    assert around[1, 1] == centre
    assert (around[~grid.HEX_MASK_3x3] == -1).all()
    assert set(cells[around[grid.HEX_MASK_3x3]]) == set(grid.disk(int(cells[centre]), 1))


def test_cells_whose_chip_leaves_the_imagery_have_no_sample(make_city: Callable[..., City]) -> None:
    samples = build_samples(make_city(image={"size_px": 400}), chip_px=8)  # 1.6 km
    x, y = grid.project(*grid.centres(mini_cells()), grid.utm_crs(*CENTRE))
    x0, y0 = grid.project(*np.array([CENTRE]).T, grid.utm_crs(*CENTRE))
    inside = np.maximum(np.abs(x - x0), np.abs(y - y0)) <= 800 - 192
    assert 0 < inside.sum() < 61
    assert samples.ids.tolist() == grid.to_hex(mini_cells()[inside])
    assert len(samples.series) == 61  # their neighbours outside keep their series


def test_cells_without_signaling_have_no_sample(make_city: Callable[..., City]) -> None:
    silent = mini_cells()[0]  # labelled, so it stays a place of the city
    samples = build_samples(make_city(edit=lambda table: table[table["cell"] != silent]), chip_px=4)
    assert len(samples) == 60
    assert len(samples.series) == 61
    assert (samples.state[0] == 2).all()


def test_second_call_reads_the_cache(make_city: Callable[..., City], monkeypatch: pytest.MonkeyPatch) -> None:
    city = make_city()
    first = build_samples(city, chip_px=4)
    monkeypatch.setattr(build, "_extract", None)
    assert build_samples(city, chip_px=4).meta == first.meta


def test_options_and_data_have_folders_of_their_own(make_city: Callable[..., City]) -> None:
    city = make_city()
    folders = {build_samples(city, chip_px=4).folder, build_samples(city, chip_px=4, k=1).folder}
    folders.add(build_samples(city, chip_px=4, layout="hours").folder)
    folders.add(build_samples(make_city(edit=lambda table: table.assign(people=1.0)), chip_px=4).folder)
    assert len(folders) == 4


def test_same_city_gives_the_same_fingerprint(make_city: Callable[..., City]) -> None:
    first = build_samples(make_city(name="one"), chip_px=4)
    (first.folder / "sampleset.json").unlink()  # a torn cache counts as none
    assert build_samples(open_city(first.folder.parents[1]), chip_px=4).meta.fingerprint == first.meta.fingerprint


def test_progress_runs_from_0_to_1(make_city: Callable[..., City]) -> None:
    seen: list[float] = []
    build_samples(make_city(), chip_px=4, progress=lambda fraction, text: seen.append(fraction))
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)


def _build_and_die(path: Path) -> None:
    def die(*arguments: object) -> None:
        os._exit(9)

    build._labels = die  # type: ignore[assignment]
    build_samples(open_city(path), chip_px=4)


def test_killed_build_leaves_no_half_cache(make_city: Callable[..., City]) -> None:
    city = make_city()
    process = multiprocessing.get_context("spawn").Process(target=_build_and_die, args=(city.path,))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert [path.name for path in city.samples.iterdir() if not path.name.startswith(".")] == []
    samples = build_samples(city, chip_px=4)
    assert len(samples) == 61
    assert list(city.samples.glob("*.tmp")) + list(city.samples.glob(".*.tmp")) == []


def test_failed_build_leaves_nothing(make_city: Callable[..., City], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(build, "_labels", fail)
    city = make_city()
    with pytest.raises(CityError, match=r"cannot be written.*No space left"):
        build_samples(city, chip_px=4)
    assert [path for path in city.samples.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize(
    ("missing", "words"),
    [({"image": None}, "no imagery: .*ingest imagery"), ({"activity": False}, "no signaling: .*ingest signaling")],
)
def test_missing_half_is_named(make_city: Callable[..., City], missing: dict, words: str) -> None:
    with pytest.raises(CityError, match=words):
        build_samples(make_city(**missing))


def test_imagery_elsewhere_is_named(make_city: Callable[..., City]) -> None:
    with pytest.raises(CityError, match=r"no cell has a whole chip .* check the datum") as caught:
        build_samples(make_city(image={"centre": (600_000.0, 3_000_000.0)}))
    assert "\n" not in str(caught.value)


def test_city_without_functions_is_all_unlabelled(make_city: Callable[..., City]) -> None:
    samples = build_samples(make_city(functions=False), chip_px=4)
    assert len(samples) == 61
    assert len(samples.labelled) == 0


@pytest.mark.parametrize("option", [{"layout": "weeks"}, {"chip_px": 0}, {"chip_m": 0.0}, {"k": -1}])
def test_impossible_options_raise(make_city: Callable[..., City], option: dict) -> None:
    with pytest.raises(ConfigError, match="cannot be cut"):
        build_samples(make_city(), **option)
