"""A data set without a map: URFC's grid of weekday x hour, a week a step, trains through the same door as a city."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fusion.classes import IDS
from fusion.errors import RunError
from fusion.models.config import BiLSTMConfig, ConvLSTMConfig, NetworkConfig, SignalConfig, TransformerConfig
from fusion.samples.sampleset import SampleMeta, SampleSet, write_sampleset
from fusion.samples.split import make_folds
from fusion.training import augment
from fusion.training.experiment import Experiment, TrainingConfig
from fusion.training.predict import load_predictor
from fusion.training.recipe import input_spec
from fusion.training.run import train_run
from fusion.training.runs import load_run

WEEKS, DAYS, HOURS = 26, 7, 24
COUNT, CHIP_PX = 108, 8


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory) -> SampleSet:
    """Regions of nine functions that their level of visits tells apart, twelve of each."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(IDS)), COUNT // len(IDS))
    visits = rng.poisson(2.0 ** (1 + labels)[:, None, None, None, None], (COUNT, WEEKS, 1, DAYS, HOURS))
    state = np.zeros(visits.shape, dtype=np.uint8)
    state[:, 4, :, 3] = 2  # a date that is missing everywhere, and a whole week
    state[:, 9] = 2
    meta = SampleMeta(
        city="urfc", provenance="real", layout="days", steps=WEEKS, channels=1, channel_measure=(0,),
        measures=("visits",), timezone="Asia/Shanghai", first_hour=None, chip_px=CHIP_PX, chip_m=100.0, k=0,
        grid="square", resolution=0, classes=IDS, city_fingerprint="urfc", channel_names=("visits",),
    )  # fmt: skip
    return write_sampleset(
        tmp_path_factory.mktemp("samples") / "urfc",
        meta,
        images=rng.integers(0, 256, (COUNT, 3, CHIP_PX, CHIP_PX)),
        series=np.where(state, 0, visits),
        state=state,
        labels=labels,
        ids=[f"{number:06d}" for number in range(COUNT)],
        groups=np.arange(COUNT),
        position=np.zeros((COUNT, 2)),
    )


def row(signal: SignalConfig, **training: object) -> Experiment:
    options = {"epochs": 8, "batch_size": 16, "lr": 0.01, "series_shift": 0.0, "patience": 99, **training}
    return Experiment("square", "", NetworkConfig(signal=signal), TrainingConfig(**options))


def test_the_network_is_built_for_the_grid(regions: SampleSet) -> None:
    spec = input_spec(regions)
    assert (spec.steps, spec.channels, spec.places, spec.grid) == (WEEKS, 3, (DAYS, HOURS), "square")


def test_levels_are_learned_and_predicted_again(regions: SampleSet, tmp_path: Path) -> None:
    folder = train_run(regions, row(BiLSTMConfig(width=16, heads=2, hidden=16)), 0, 0, 3, tmp_path, device="cpu")

    record = load_run(folder)
    assert record.run["fold_kind"] == "random"
    assert record.metrics["overall_accuracy"] > 0.5  # a ninth by chance
    table, fold = record.predictions(), make_folds(regions, 3)[0]
    assert table["id"].tolist() == regions.ids[fold.test].tolist()
    again = load_predictor(folder, "cpu").predict(regions, fold.test)
    columns = [f"p_{id_}" for id_ in IDS]
    np.testing.assert_allclose(again[columns], table[columns], atol=1e-5)


@pytest.mark.parametrize(
    "signal",
    [
        ConvLSTMConfig(width=8, heads=2, hidden=2, layers=1),
        ConvLSTMConfig(width=8, heads=2, hidden=2, layers=1, blocks=1, block="trans-blstm-2"),
        TransformerConfig(width=8, heads=2, blocks=1, block="trans-blstm-1"),
    ],
    ids=["convlstm", "convlstm-trans-blstm-2", "trans-blstm-1"],
)
def test_other_streams_train(regions: SampleSet, tmp_path: Path, signal: SignalConfig) -> None:
    folder = train_run(regions, row(signal, epochs=1), 0, 1, 3, tmp_path, device="cpu")
    probability = load_run(folder).predictions()[[f"p_{id_}" for id_ in IDS]].to_numpy()
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-5)
    assert np.ptp(probability, axis=0).max() > 1e-4  # it reads its samples


def test_a_run_of_the_grid_refuses_another(regions: SampleSet, tmp_path: Path) -> None:
    config = BiLSTMConfig(width=8, heads=2, hidden=2, layers=1)
    predictor = load_predictor(train_run(regions, row(config, epochs=1), 0, 2, 3, tmp_path, device="cpu"), "cpu")
    narrower = SampleSet(
        regions.folder,
        regions.meta,
        {**vars(regions), "series": regions.series[..., :12], "state": regions.state[..., :12]},
    )
    with pytest.raises(RunError, match=r"places \(7, 24\) against \(7, 12\)"):
        predictor.check(narrower)


def test_weekdays_and_hours_are_never_turned() -> None:
    cube = torch.arange(2 * 3 * 7 * 24.0).view(2, 1, 3, 7, 24)
    batch = {"cube": cube.clone(), "present": cube[:, :, 0] % 2 == 0}
    turned = augment.turn_neighbourhoods(batch, "square")
    assert torch.equal(turned["cube"], cube)
    assert torch.equal(turned["present"], cube[:, :, 0] % 2 == 0)
