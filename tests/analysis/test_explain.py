"""Occlusion and Shapley values of networks whose every answer is known."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from fusion.analysis.explain import modality_shapley, occlude_hours
from fusion.analysis.findings import LIMITS, Shapley
from fusion.errors import RunError
from fusion.models.config import BiLSTMConfig, NetworkConfig, VisionConfig
from fusion.models.network import build_network
from fusion.samples.sampleset import SampleSet
from tests.analysis.conftest import BOTH, SPEC, ByHand

ABSENT = dataclasses.replace(BOTH, absent_tokens=True)
SMALL = NetworkConfig(
    VisionConfig(depth=2, width=16, heads=2, patch=8),
    BiLSTMConfig(width=16, heads=2, hidden=5, blocks=2),
    "bottleneck",
    fusion_layer=0,
    absent_tokens=True,
)
EMPTY = 0  # the planted set's place without any data


def _counting(batch: dict[str, Tensor]) -> Tensor:
    """Logit of function 1: 0.1 x (1 + t) for each step t that the cell itself has; 0 of all others."""
    present = batch["present"][:, :, 2, 2].float()
    return torch.eye(9)[1] * (present @ (0.1 * torch.arange(1.0, 25)))[:, None]


def test_occlusion_takes_one_hour_away_at_a_time(planted: SampleSet, predictor: Callable) -> None:
    found = occlude_hours(predictor(ByHand(("vision", "signal"), _counting)), planted, 7, batch_size=10)

    there = (planted.state[planted.neighbours[7, 2, 2]] != 2).any(axis=1)
    total = 0.1 * (np.arange(1, 25) * there).sum()

    def probability(logit: np.ndarray) -> np.ndarray:
        return np.exp(logit) / (np.exp(logit) + 8)

    assert found.predicted == 1
    assert found.probability == pytest.approx(probability(total))
    expected = np.where(there, probability(total) - probability(total - 0.1 * np.arange(1, 25)), np.nan)
    np.testing.assert_allclose(found.support, expected, atol=1e-7)
    assert np.nanargmax(found.support) == np.flatnonzero(there)[-1]


def test_an_hour_that_speaks_against_the_answer_is_negative(planted: SampleSet, predictor: Callable) -> None:
    def against(batch: dict[str, Tensor]) -> Tensor:
        return torch.eye(9)[4] * (2 - batch["present"][:, 12, 2, 2].float())[:, None]

    found = occlude_hours(predictor(ByHand(("signal",), against)), planted, 7)

    assert found.predicted == 4
    assert found.support[12] == pytest.approx(np.e / (np.e + 8) - np.e**2 / (np.e**2 + 8))
    assert (np.delete(found.support, 12) == 0).all()


def test_hours_without_data_are_unknown_not_zero(planted: SampleSet, predictor: Callable) -> None:
    found = occlude_hours(predictor(ByHand(("signal",), _counting)), planted, EMPTY)

    assert np.isnan(found.support).all()


def test_shapley_values_of_a_known_game(planted: SampleSet, predictor: Callable) -> None:
    # probability of function 2 by (image there, signal there); the other eight share the rest
    game = {(False, False): 0.1, (True, False): 0.3, (False, True): 0.2, (True, True): 0.7}

    def play(batch: dict[str, Tensor]) -> Tensor:
        rows = []
        for no_image, no_signal in zip(batch["absent_vision"], batch["absent_signal"], strict=True):
            p = game[not no_image, not no_signal]
            rows.append([np.log(p if index == 2 else (1 - p) / 8) for index in range(9)])
        return torch.tensor(rows)

    found = modality_shapley(predictor(ByHand(("vision", "signal"), play), ABSENT), planted, 7)

    assert found.predicted == 2
    assert [found.nothing, found.image_only, found.signal_only, found.both] == pytest.approx([0.1, 0.3, 0.2, 0.7])
    assert found.image == pytest.approx(((0.3 - 0.1) + (0.7 - 0.2)) / 2)
    assert found.signal == pytest.approx(((0.2 - 0.1) + (0.7 - 0.3)) / 2)
    assert found.interaction == pytest.approx(0.3)


def test_shapley_values_are_of_the_corrected_calibrated_probability(planted: SampleSet, predictor: Callable) -> None:
    def flat(batch: dict[str, Tensor]) -> Tensor:
        return torch.zeros(len(batch["image"]), 9)

    prior = np.array([1, 2, 3, 4, 20, 4, 3, 2, 1]) / 40
    model = predictor(ByHand(("vision", "signal"), flat), ABSENT, log_weights=tuple(-np.log(prior)), temperature=2.0)

    found = modality_shapley(model, planted, 7)

    assert found.predicted == 4
    assert found.nothing == found.both == pytest.approx(0.5**0.5 / (prior**0.5).sum())
    assert found.image == found.signal == 0


@pytest.mark.parametrize("row", [1, 7, EMPTY])
def test_contributions_add_up_to_the_difference_they_explain(planted: SampleSet, predictor: Callable, row: int) -> None:
    torch.manual_seed(0)
    network = build_network(SMALL, SPEC)
    for parameter in network.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    model = predictor(network, SMALL, temperature=1.5)

    found = modality_shapley(model, planted, row)

    assert found.image + found.signal == pytest.approx(found.both - found.nothing, abs=1e-6)
    probability = model.probabilities(planted, np.array([row]))[0]
    assert found.predicted == probability.argmax()
    assert found.both == pytest.approx(probability.max(), abs=1e-6)
    assert len({round(value, 6) for value in (found.nothing, found.image_only, found.signal_only, found.both)}) == 4


def test_what_nothing_says_is_alike_for_every_sample(planted: SampleSet, predictor: Callable) -> None:
    torch.manual_seed(0)
    model = predictor(build_network(SMALL, SPEC), SMALL)

    found = [modality_shapley(model, planted, row) for row in (1, 2, 3, 4)]

    by_class: dict[int, set[float]] = {}
    for one in found:
        by_class.setdefault(one.predicted, set()).add(round(one.nothing, 6))
    assert all(len(values) == 1 for values in by_class.values())


def test_a_symmetric_game_shares_evenly_and_a_modality_without_effect_gets_nothing() -> None:
    assert Shapley(0, 0.1, 0.4, 0.4, 0.9).image == Shapley(0, 0.1, 0.4, 0.4, 0.9).signal == pytest.approx(0.4)
    assert Shapley(0, 0.2, 0.2, 0.8, 0.8).image == 0


def test_models_that_cannot_be_explained_say_why(planted: SampleSet, predictor: Callable) -> None:
    image = NetworkConfig(VisionConfig(patch=8))
    for explain, config, limit in (
        (modality_shapley, BOTH, "no-absent-tokens"),
        (modality_shapley, image, "one-modality"),
        (occlude_hours, image, "no-signal"),
    ):
        with pytest.raises(RunError, match=LIMITS[limit]):
            explain(predictor(ByHand(("vision",), _counting), config), planted, 7)
