"""Prediction on a city: every cell that was asked for comes back, and each gets what its own sample deserves."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fusion.city import City, open_city
from fusion.classes import IDS
from fusion.errors import ConfigError, InputError, RunError
from fusion.extract.build import build_samples
from fusion.geo import grid
from fusion.models.checkpoint import ModelCard, save_checkpoint
from fusion.models.config import BiLSTMConfig, NetworkConfig, VisionConfig
from fusion.models.network import build_network
from fusion.samples.sampleset import SampleSet
from fusion.samples.scalers import fit_scalers
from fusion.serving.predictor import load_predictor, predict, predict_cells
from fusion.training.recipe import input_spec
from tests.training.test_runs import write_run

CONFIG = NetworkConfig(
    vision=VisionConfig(depth=1, width=16, heads=1),
    signal=BiLSTMConfig(width=16, heads=1, hidden=8),
    fusion="late",
)
LOG_WEIGHTS = tuple(np.linspace(-1, 1, 9).tolist())


@pytest.fixture(scope="module")
def city(tiny_city_root: Path) -> City:
    return open_city("zhengzhou-demo", tiny_city_root)


@pytest.fixture(scope="module")
def samples(city: City) -> SampleSet:
    return build_samples(city)


@pytest.fixture
def run_folder(tmp_path: Path, samples: SampleSet) -> Path:
    """A run whose network has random weights large enough that cells differ."""
    folder = write_run(tmp_path, "vit+bilstm-late", config={"layout": "days", "k": 2})
    torch.manual_seed(0)
    network = build_network(CONFIG, input_spec(samples))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3)
    scalers = fit_scalers(samples, np.arange(len(samples))).to_dict()
    save_checkpoint(
        folder, network, ModelCard(CONFIG, input_spec(samples), scalers, 2.0, "vit+bilstm-late", LOG_WEIGHTS)
    )
    return folder


def test_cells_come_back_in_order_each_with_its_own_prediction(
    city: City, samples: SampleSet, run_folder: Path
) -> None:
    one_by_one = [predict(city, run_folder, [str(samples.ids[row])], "cpu") for row in (7, 3)]

    table = predict(city, run_folder, [str(samples.ids[7]), str(samples.ids[3])], "cpu")

    columns = [f"p_{id_}" for id_ in IDS]
    assert table["id"].tolist() == [samples.ids[7], samples.ids[3]]
    for row, single in enumerate(one_by_one):
        np.testing.assert_allclose(
            table.loc[row, columns].astype(float), single.loc[0, columns].astype(float), atol=1e-5
        )
    assert np.abs(table.loc[0, columns].astype(float) - table.loc[1, columns].astype(float)).max() > 1e-3
    np.testing.assert_allclose(table[columns].sum(axis=1), 1, atol=1e-5)
    assert table["predicted"].tolist() == [IDS[at] for at in table[columns].to_numpy().argmax(axis=1)]
    np.testing.assert_allclose(table["confidence"], table[columns].max(axis=1))
    lon, lat = grid.centres(grid.from_hex(table["id"].tolist()))
    np.testing.assert_allclose(table[["lon", "lat"]], np.stack([lon, lat], axis=1))


def test_prior_correction_and_temperature_are_applied(samples: SampleSet, run_folder: Path) -> None:
    predictor = load_predictor(run_folder, "cpu")
    card = json.loads((run_folder / "model.json").read_text())
    plain_folder = run_folder.with_name("plain")
    plain_folder.mkdir()
    (plain_folder / "model.safetensors").write_bytes((run_folder / "model.safetensors").read_bytes())
    (plain_folder / "model.json").write_text(json.dumps({**card, "log_weights": [0.0] * 9, "temperature": 1.0}))
    rows = np.arange(5)

    raw = np.log(load_predictor(plain_folder, "cpu").probabilities(samples, rows))
    expected = np.exp((raw - np.array(LOG_WEIGHTS)) / 2.0)

    np.testing.assert_allclose(
        predictor.probabilities(samples, rows), expected / expected.sum(axis=1, keepdims=True), atol=1e-6
    )


def test_cell_without_a_sample_is_said_to_be_not_covered(city: City, samples: SampleSet, run_folder: Path) -> None:
    far = int(grid.cells_at(np.array([0.0]), np.array([0.0]), 9)[0])
    cells = np.array([far, grid.from_hex([str(samples.ids[0])])[0], far], dtype=np.uint64)

    table = predict(city, run_folder, cells, "cpu")

    assert table["covered"].tolist() == [False, True]
    assert table.loc[0, ["true", "predicted"]].isna().all()
    assert np.isnan(table.loc[0, "confidence"])
    assert table.loc[1, "predicted"] in IDS


def test_true_function_is_given_where_it_is_known(samples: SampleSet, run_folder: Path) -> None:
    table = predict_cells(load_predictor(run_folder, "cpu"), samples, samples.ids)

    known = [None if label < 0 else IDS[label] for label in samples.labels]
    assert [None if value is None or value != value else value for value in table["true"]] == known


def test_progress_goes_up_to_one_and_can_stop_it(city: City, samples: SampleSet, run_folder: Path) -> None:
    shares: list[float] = []
    predict(city, run_folder, samples.ids[:70], "cpu", batch_size=32, progress=lambda share, text: shares.append(share))

    assert shares == sorted(shares)
    assert shares[-1] == 1.0

    def stop(share: float, text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(city, run_folder, samples.ids[:70], "cpu", progress=stop)


def test_no_cells_and_no_cell_are_clear_lines(city: City, run_folder: Path) -> None:
    with pytest.raises(InputError, match="no cells"):
        predict(city, run_folder, [], "cpu")
    with pytest.raises(InputError, match="not an H3 cell"):
        predict(city, run_folder, ["station"], "cpu")
    with pytest.raises(InputError, match="not an H3 cell"):
        predict(city, run_folder, np.array([7], dtype=np.uint64), "cpu")
    with pytest.raises(ConfigError, match="unknown device"):
        predict(city, run_folder, ["8940e1b2d2bffff"], "npu")


def test_run_without_weights_is_a_clear_line(city: City, run_folder: Path) -> None:
    (run_folder / "model.safetensors").unlink()

    with pytest.raises(RunError, match=r"only its results are here, no model\.safetensors"):
        predict(city, run_folder, ["8940e1b2d2bffff"], "cpu")


def test_checkpoint_of_other_classes_is_a_clear_line(run_folder: Path) -> None:
    card = json.loads((run_folder / "model.json").read_text())
    card["classes"][0] = "castle"
    (run_folder / "model.json").write_text(json.dumps(card))

    with pytest.raises(RunError, match="other classes"):
        load_predictor(run_folder, "cpu")


def test_checkpoint_of_another_chip_size_is_a_clear_line(city: City, run_folder: Path) -> None:
    other = build_samples(city, chip_px=64)

    with pytest.raises(RunError, match="chip_px 96 against 64"):
        load_predictor(run_folder, "cpu").probabilities(other, np.arange(2))
