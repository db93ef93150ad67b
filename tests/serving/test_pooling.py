"""Seeds, folds and pairs by hand."""

from pathlib import Path

import numpy as np
import pytest

from fusion.serving.pooling import average_seeds, cell_weights, group_runs, pair, pool
from tests.serving.made_runs import make_run, predictions_of

TRUE = ["park", "park", "school"]
GROUPS = [1, 1, 2]


def test_share_is_of_seeds_and_the_averaged_prediction_of_probabilities(tmp_path: Path) -> None:
    # Seed 0 is surer: where the seeds differ its word carries the mean.
    first = predictions_of(["park", "school", "school"], TRUE, GROUPS)
    second = predictions_of(["park", "park", "park"], TRUE, GROUPS)
    p_school, p_park = (second.columns.get_loc(name) for name in ("p_school", "p_park"))
    second.iloc[1, [p_school, p_park]] = [0.3, 0.35]  # park, barely: (0.6 + 0.3) / 2 for school, (0.05 + 0.35) / 2
    runs = [make_run(tmp_path, "vit", first, seed=0), make_run(tmp_path, "vit", second, seed=1)]

    cells = average_seeds(pool(runs)).set_index("id")

    assert cells["seeds"].tolist() == [2, 2, 2]
    assert cells["share"].tolist() == [1.0, 0.5, 0.5]
    assert cells.loc["c1", "predicted"] == "school"
    assert cells.loc["c1", "p_school"] == pytest.approx((0.6 + 0.3) / 2)
    assert cells["right"].tolist()[:2] == [True, False]


def test_a_single_seeds_word_stands(tmp_path: Path) -> None:
    table = predictions_of(["park", "school", "school"], TRUE, GROUPS)
    table.loc[0, "p_airport"] = 0.9  # as if rounding had changed the order

    cells = average_seeds(pool([make_run(tmp_path, "vit", table)]))

    assert cells["predicted"].tolist() == ["park", "school", "school"]
    assert cells["share"].tolist() == [1.0, 0.0, 1.0]


def test_pairs_have_common_seeds_folds_and_cells_only(tmp_path: Path) -> None:
    right, wrong = predictions_of(TRUE, TRUE, GROUPS), predictions_of(["airport"] * 3, TRUE, GROUPS)
    other_fold = predictions_of(["park"], ["park"], [3], first=7)
    a = pool(
        [
            make_run(tmp_path, "a", right, seed=0),
            make_run(tmp_path, "a", wrong, seed=1),
            make_run(tmp_path, "a", other_fold, seed=0, fold=1),
        ]
    )
    b = pool([make_run(tmp_path, "b", right, seed=0), make_run(tmp_path, "b", other_fold, seed=2, fold=1)])

    both = pair(a, b)

    assert (both.seeds, both.folds) == ((0,), (0,))  # fold 1 was run with different seeds
    assert both.cells["id"].tolist() == ["c0", "c1", "c2"]
    assert both.cells["share_a"].tolist() == [1.0, 1.0, 1.0]  # seed 1 of a has no counterpart
    assert pair(a, pool([make_run(tmp_path, "d", other_fold, seed=5, fold=1)])).cells.empty


def test_every_cell_counts_once(tmp_path: Path) -> None:
    both = predictions_of(["park", "park"], ["park", "park"], [1, 2])
    once = predictions_of(["park"], ["park"], [3], first=5)
    table = pool(
        [
            make_run(tmp_path, "a", both, seed=0),
            make_run(tmp_path, "a", both, seed=1),
            make_run(tmp_path, "a", once, seed=0, fold=1),
        ]
    )

    assert cell_weights(table).tolist() == [0.5] * 4 + [1.0]


def test_of_runs_with_one_name_only_the_newest_configuration_counts(tmp_path: Path) -> None:
    table = predictions_of(TRUE, TRUE, GROUPS)
    old = make_run(tmp_path, "a", table, seed=0, started="2026-01-01", config={"epochs": 1})
    new = make_run(tmp_path, "a", table, seed=1, started="2026-01-02", config={"epochs": 2})
    again = make_run(tmp_path, "a", table, seed=1, started="2026-01-03", config={"epochs": 2})

    assert group_runs([old, new, again]) == {"a": [again]}


def test_confidence_before_scaling_is_that_of_the_unscaled_logits(tmp_path: Path) -> None:
    table = predictions_of(["park"], ["park"], [1])
    run = make_run(tmp_path, "a", table, metrics={"temperature": 2.0})

    before = pool([run])[[f"before_p_{name}" for name in ("park", "school")]].to_numpy()[0]

    # softmax(z / 2) gave 0.6 and eight times 0.05: the odds 12 were the square root of those before
    assert before == pytest.approx(np.array([144, 1]) / (144 + 8))
