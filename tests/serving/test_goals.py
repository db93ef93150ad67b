"""Goals and flattery by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fusion.metrics.significance import block_bootstrap
from fusion.serving.comparison_tables import score_accuracy, score_classes
from fusion.serving.goals import Goal, is_deep, measure_flattery, measure_goals
from fusion.serving.pooling import pool
from fusion.training.experiments import EXPERIMENTS
from fusion.training.runs import RunRecord
from tests.serving.made_runs import make_run, predictions_of

CELLS = 100
GROUPS = np.arange(CELLS) % 20
TRUE = ["park"] * CELLS
CEILINGS = pd.DataFrame({"rule": ["additive", "joint"], "accuracy": [0.75, 0.9]})


def _run(folder: Path, experiment: str, right: int, seed: int = 0, **run: object) -> RunRecord:
    said = ["park"] * right + ["school"] * (CELLS - right)
    row = EXPERIMENTS.get(experiment)
    config = row.to_dict() if row is not None else {}
    return make_run(folder, experiment, predictions_of(said, TRUE, GROUPS), seed=seed, **{"config": config, **run})


def _goals(runs: dict[str, list[RunRecord]], ceilings: pd.DataFrame = CEILINGS) -> dict[str, Goal]:
    predictions = {name: pool(own) for name, own in runs.items()}
    accuracy = score_accuracy(runs, predictions, score_classes(runs, predictions))
    return {goal.key: goal for goal in measure_goals(accuracy, ceilings, runs, predictions)}


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, list[RunRecord]]:
    """Best single stream 50 %; late fusion 84 %; bottleneck fusion 78 and 82 %, 80 on average."""
    return {
        "vit": [_run(tmp_path, "vit", 30)],
        "convlstm": [_run(tmp_path, "convlstm", 50)],
        "vit+convlstm-late": [_run(tmp_path, "vit+convlstm-late", 84)],
        "vit+convlstm-bottleneck": [
            _run(tmp_path, "vit+convlstm-bottleneck", right, seed) for seed, right in enumerate((78, 82))
        ],
    }


def test_share_of_the_distance_by_hand(runs: dict[str, list[RunRecord]]) -> None:
    goal = _goals(runs)["closes"]

    assert (goal.fusion, goal.against) == ("vit+convlstm-late", "convlstm")
    assert goal.value == pytest.approx((0.84 - 0.50) / (0.90 - 0.50))
    assert (goal.met, goal.target) == (True, 0.8)
    assert goal.low < goal.value < goal.high
    assert goal.sure == (goal.low >= 0.8)


def test_only_a_deep_fusion_can_beat_the_additive_ceiling(runs: dict[str, list[RunRecord]]) -> None:
    goal = _goals(runs)["beats"]

    assert goal.fusion == "vit+convlstm-bottleneck"  # the late one has more, but is no deep fusion
    assert goal.value == pytest.approx(0.80 - 0.75)
    shares = np.r_[np.ones(78), np.full(4, 0.5), np.zeros(18)]
    assert (goal.low, goal.high) == pytest.approx(tuple(np.array(block_bootstrap(shares, GROUPS)) - 0.75))
    assert goal.met


def test_without_ceilings_or_fusions_there_is_nothing_to_measure(runs: dict[str, list[RunRecord]]) -> None:
    assert _goals(runs, CEILINGS.iloc[:0]) == {}
    assert _goals({"vit": runs["vit"]}) == {}


def test_a_missed_goal_is_said_to_be_missed(tmp_path: Path) -> None:
    made = {
        "convlstm": [_run(tmp_path, "convlstm", 50)],
        "vit+convlstm-bottleneck": [_run(tmp_path, "vit+convlstm-bottleneck", 55)],
    }
    goals = _goals(made)

    assert [goal.met for goal in goals.values()] == [False, False]
    assert [goal.sure for goal in goals.values()] == [True, True]


@pytest.mark.parametrize(
    ("experiment", "deep"),
    [
        ("vit-pretrained+convlstm-joint", True),
        ("vit-pretrained+convlstm-cross", True),
        ("vit-pretrained+convlstm-bottleneck-mid", True),
        ("vit-pretrained+convlstm-bottleneck-late", False),  # Lf = L: the mean of the logits
        ("vit+convlstm-late", False),
        ("vit", False),
    ],
)
def test_deep_is_what_meets_below_the_head(tmp_path: Path, experiment: str, deep: bool) -> None:
    assert is_deep(_run(tmp_path, experiment, 1)) is deep


def test_what_a_random_split_flatters_by_hand(tmp_path: Path) -> None:
    spatial = {
        "vit": [_run(tmp_path, "vit", 40, seed, share_kept=0.5) for seed in (0, 1)],
        "bilstm": [_run(tmp_path, "bilstm", 40)],
    }
    random = {"vit": [_run(tmp_path, "vit", 70, fold_kind="random", share_kept=0.6)]}
    predictions = {
        "spatial": {name: pool(own) for name, own in spatial.items()},
        "random": {"vit": pool(random["vit"])},
    }

    table = measure_flattery(spatial, random, predictions)

    assert table["experiment"].tolist() == ["vit"]  # bilstm was not run both ways
    row = table.iloc[0]
    assert (row["spatial"], row["random"], row["difference"]) == pytest.approx((0.4, 0.7, 0.3))
    assert row["low"] < 0.3 < row["high"]
    assert (row["spatial_trained"], row["random_trained"]) == (0.5, 0.6)
    assert (row["spatial_seeds"], row["random_seeds"]) == (2, 1)
    # Either side is drawn on its own: the squares of the half-widths add up.
    half = [(row[f"{side}high"] - row[f"{side}low"]) / 2 for side in ("spatial_", "random_", "")]
    assert half[2] == pytest.approx(np.hypot(half[0], half[1]), rel=0.1)
