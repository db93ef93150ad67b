"""Robustness of networks whose answers are known under every damage."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch

from fusion.analysis.conditions import CONDITIONS, NONE, Condition
from fusion.analysis.forward import batch_probabilities
from fusion.analysis.robustness import measure_robustness
from fusion.errors import ConfigError, SampleError
from fusion.metrics.scores import evaluate
from fusion.metrics.significance import block_bootstrap
from fusion.samples.sampleset import SampleSet
from fusion.training.data import Batches
from tests.analysis.conftest import ByHand, brightest

CLEAN = Condition(NONE, 0.0, None)
IMAGE_GONE = CONDITIONS[1]


@pytest.fixture
def rows(planted: SampleSet) -> np.ndarray:
    return np.flatnonzero(planted.labels >= 0)


def _by_name(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return table[table["condition"] == name]


def test_a_network_that_only_reads_the_image_is_unmoved_by_the_signal(
    planted: SampleSet, rows: np.ndarray, predictor: Callable
) -> None:
    table = measure_robustness(predictor(ByHand(("vision", "signal"), brightest)), planted, rows, batch_size=50)

    assert list(zip(table["condition"], table["strength"], strict=True)) == [(c.name, c.strength) for c in CONDITIONS]
    assert (table["n"] == len(rows)).all()
    clean = _by_name(table, "none").iloc[0]
    for name in ("signal-absent", "hours-missing", "noise"):
        for column in ("accuracy", "low", "high", "macro_f1"):
            assert (_by_name(table, name)[column] == clean[column]).all()
    assert (_by_name(table, "image-absent")["accuracy"] < clean["accuracy"]).all()
    # white over a part of the chip brings the colours nearer to each other, but not into another order
    assert (_by_name(table, "cloud")["accuracy"] == clean["accuracy"]).all()


def test_clean_figures_are_those_of_the_metrics(planted: SampleSet, rows: np.ndarray, predictor: Callable) -> None:
    # the brightest colour is the planted look, and the first function of a look has rhythm 0
    right = planted.labels[rows] % 3 == 0

    (row,) = measure_robustness(
        predictor(ByHand(("vision",), brightest)), planted, rows, conditions=[CLEAN], not_evaluable=["hospital"]
    ).to_dict("records")

    assert row["accuracy"] == right.mean()
    assert (row["low"], row["high"]) == block_bootstrap(right, planted.groups[rows], seed=0)
    said = np.eye(9)[planted.labels[rows] // 3 * 3]
    assert row["macro_f1"] == evaluate(planted.labels[rows], said, ["hospital"])["macro_f1"]


def test_without_its_image_a_network_that_reads_only_that_answers_with_the_prior(
    planted: SampleSet, rows: np.ndarray, predictor: Callable
) -> None:
    prior = np.array([1, 2, 3, 4, 20, 4, 3, 2, 1]) / 40
    model = predictor(ByHand(("vision",), brightest), log_weights=tuple(-np.log(prior)))

    (row,) = measure_robustness(model, planted, rows, conditions=[IMAGE_GONE]).to_dict("records")

    assert row["accuracy"] == (planted.labels[rows] == 4).mean()
    (batch,) = Batches(planted, rows[:3], model.scalers, 3)
    blank = {**batch, "image": torch.zeros_like(batch["image"])}
    np.testing.assert_allclose(batch_probabilities(model, blank), np.tile(prior, (3, 1)), rtol=1e-12)


def test_the_keys_of_absent_tokens_reach_the_network(planted: SampleSet, rows: np.ndarray, predictor: Callable) -> None:
    seen = []

    def watch(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        seen.append({name: batch[name].tolist() for name in batch if name.startswith("absent")})
        return torch.zeros(len(batch["image"]), 9)

    measure_robustness(predictor(ByHand(("vision", "signal"), watch)), planted, rows[:40], conditions=CONDITIONS[:3])

    all_, none = [True] * 40, [False] * 40
    assert seen == [
        {},
        {"absent_vision": all_, "absent_signal": none},
        {"absent_vision": none, "absent_signal": all_},
    ]


def test_a_stronger_damage_shows_in_the_figures(planted: SampleSet, rows: np.ndarray, predictor: Callable) -> None:
    # a network that calls a chip a school where some pixel is white, and right where it can still see the look
    def dazzled(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        share = (batch["image"] > 3.2).all(1).flatten(1).float().mean(1)
        return brightest(batch) + 100 * (share > 0.4)[:, None] * torch.eye(9)[1]

    table = measure_robustness(predictor(ByHand(("vision",), dazzled)), planted, rows)

    # opaque are all but the rim's 10 %: 15, 40 and 65 % of the chip
    cloud = _by_name(table, "cloud")["accuracy"].tolist()
    assert cloud[:1] == _by_name(table, "none")["accuracy"].tolist()
    assert cloud[2] == (planted.labels[rows] == 1).mean()


def test_conditions_that_a_unimodal_network_never_meets_are_skipped(
    planted: SampleSet, rows: np.ndarray, predictor: Callable
) -> None:
    table = measure_robustness(predictor(ByHand(("vision",), brightest)), planted, rows[:60])

    assert set(table["condition"]) == {"none", "image-absent", "cloud", "shift"}


def test_a_limit_draws_cells_once_for_all_conditions(planted: SampleSet, rows: np.ndarray, predictor: Callable) -> None:
    model = predictor(ByHand(("vision", "signal"), brightest))

    first = measure_robustness(model, planted, rows, limit=60, conditions=CONDITIONS[:3], seed=3)
    again = measure_robustness(model, planted, rows, limit=60, conditions=CONDITIONS[:3], seed=3)

    assert (first["n"] == 60).all()
    assert first["accuracy"][0] == first["accuracy"][2]
    pd.testing.assert_frame_equal(first, again)


def test_progress_reaches_its_end_and_may_stop_the_measurement(
    planted: SampleSet, rows: np.ndarray, predictor: Callable
) -> None:
    model, told = predictor(ByHand(("vision", "signal"), brightest)), []
    measure_robustness(
        model, planted, rows, conditions=CONDITIONS[:3], batch_size=64, progress=lambda share, _: told.append(share)
    )
    assert told == sorted(told)
    assert told[-1] == 1

    def stop(share: float, text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_robustness(model, planted, rows, progress=stop)


def test_bad_input_gives_one_line(planted: SampleSet, rows: np.ndarray, predictor: Callable) -> None:
    model = predictor(ByHand(("vision",), brightest))
    with pytest.raises(SampleError, match=r"5 of \d+ cells have no label"):
        measure_robustness(model, planted, np.arange(len(planted)))
    with pytest.raises(SampleError, match="0 cells"):
        measure_robustness(model, planted, rows[:0])
    with pytest.raises(ConfigError, match="limit is 0"):
        measure_robustness(model, planted, rows, limit=0)
    with pytest.raises(SampleError, match="1 spatial group"):
        measure_robustness(model, planted, rows[:9], groups=np.zeros(9), conditions=[CLEAN])
