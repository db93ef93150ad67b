"""The ablation of a city: rows against their reference, similarity and robustness pooled, figures worked by hand."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fusion.city import City, write_city
from fusion.classes import IDS
from fusion.geo import grid
from fusion.metrics.significance import block_bootstrap
from fusion.serving.ablation import Ablation, ablation_of
from fusion.serving.comparison import compare_runs
from fusion.training.experiments import EXPERIMENTS
from fusion.training.suites import AXES, SUITES
from tests.mini_runs import write_runs
from tests.miniature import build_miniature

BASE = "vit-pretrained+convlstm-bottleneck"
SCORES = {"vit": 0.5, "convlstm": 0.55, BASE: 0.6, f"{BASE}-mid": 0.9, f"{BASE}-late": 0.6, f"{BASE}-orthogonal": 0.3}


@pytest.fixture
def city(tmp_path: Path) -> City:
    """Some 150 labelled cells in several spatial groups, all nine functions, no signaling or imagery."""
    made = build_miniature(tmp_path, activity=False, imagery=False)
    cells = grid.disk(int(grid.cells_at([113.65], [34.75], 9)[0]), 7)
    table = pd.DataFrame({"cell": cells, "function": np.resize(np.array(IDS), len(cells))})
    table["share"], table["source"] = np.float32(0.7), "made up"
    with write_city(made.path) as writer:
        table.to_parquet(writer.new("functions.parquet"), index=False)
        return writer.commit(made.info)


def _edit(folder: Path, name: str, **values: object) -> None:
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def _right(folders: list[Path]) -> pd.DataFrame:
    """Right by cell, averaged over the runs, straight from the files."""
    table = pd.concat([pd.read_parquet(folder / "predictions.parquet") for folder in folders])
    table["right"] = (table["true"] == table["predicted"]).astype(float)
    return table.groupby("id").agg({"group": "first", "right": "mean"})


def _row(ablation: Ablation, axis: str, experiment: str) -> pd.Series:
    return ablation.axes[axis].rows.set_index("experiment").loc[experiment]


def _of(folders: list[Path], experiment: str) -> list[Path]:
    return [folder for folder in folders if folder.name.rsplit("-s", 1)[0] == experiment]


def test_a_city_without_runs_has_every_axis_and_no_figure(city: City) -> None:
    ablation = ablation_of(city)

    assert ablation.setting is None
    assert list(ablation.axes) == list(AXES)
    assert all(result.rows.empty and result.missing == AXES[name] for name, result in ablation.axes.items())
    assert ablation.command("merging").startswith(f"python -m fusion ablate {BASE} {BASE}-merged ")


def test_accuracies_are_those_of_compare_in_the_order_of_the_axis(city: City) -> None:
    write_runs(city, SCORES)
    accuracy = compare_runs(city).accuracy.set_index("experiment")

    rows = ablation_of(city).axes["fusion-layer"].rows

    assert rows["experiment"].tolist() == [BASE, f"{BASE}-mid", f"{BASE}-late"]
    assert rows["value"].tolist() == [EXPERIMENTS[name].network.fusion_layer for name in rows["experiment"]]
    for name in ("accuracy", "low", "high", "macro_f1", "n"):
        assert rows[name].tolist() == pytest.approx(accuracy.loc[rows["experiment"], name].tolist())


def test_a_difference_is_paired_by_cell_over_the_common_seeds_and_folds(city: City) -> None:
    both = write_runs(city, {BASE: 0.6, f"{BASE}-mid": 0.9})
    both += write_runs(city, {BASE: 0.7}, seed=1)  # the reference alone has this seed
    mine, reference = (_right([one for one in _of(both, name) if "-s0-" in one.name]) for name in (f"{BASE}-mid", BASE))
    gap = mine["right"] - reference["right"]

    row = _row(ablation_of(city), "fusion-layer", f"{BASE}-mid")

    assert row["difference"] == pytest.approx(gap.mean())
    assert (row["difference_low"], row["difference_high"]) == pytest.approx(block_bootstrap(gap, mine["group"]))
    assert (row["common_seeds"], row["common_folds"], row["common_cells"]) == (1, 3, len(gap))


def test_seeds_of_a_cell_are_averaged_before_cells_are_compared(city: City) -> None:
    folders = [
        folder
        for seed, lift in ((0, 0.0), (1, 0.1))
        for folder in write_runs(city, {BASE: 0.5 + lift, f"{BASE}-mid": 0.8 + lift}, seed=seed)
    ]
    gap = _right(_of(folders, f"{BASE}-mid"))["right"] - _right(_of(folders, BASE))["right"]
    assert set(gap.unique()) & {0.5, -0.5}  # seeds do disagree about some cells

    row = _row(ablation_of(city), "fusion-layer", f"{BASE}-mid")

    assert row["difference"] == pytest.approx(gap.mean())
    assert (row["common_seeds"], row["runs"], row["fewer"]) == (2, 6, False)


def test_the_interval_alone_decides_the_verdict(city: City) -> None:
    write_runs(city, SCORES)
    ablation = ablation_of(city)

    layer, coupling = ablation.axes["fusion-layer"], ablation.axes["coupling"]
    assert dict(zip(layer.rows["experiment"], layer.rows["verdict"], strict=True)) == {
        BASE: "",
        f"{BASE}-mid": "better",
        f"{BASE}-late": "open",
    }
    assert coupling.proven["experiment"].tolist() == [f"{BASE}-orthogonal"]
    assert coupling.proven["verdict"].tolist() == ["worse"]
    assert (layer.compared, len(layer.proven)) == (2, 1)


def test_rows_without_runs_are_named_with_the_command_that_makes_them(city: City) -> None:
    write_runs(city, SCORES)
    ablation = ablation_of(city)

    assert ablation.axes["bottlenecks"].missing == (f"{BASE}-b1", f"{BASE}-b16")
    assert ablation.command("bottlenecks") == (
        f"python -m fusion ablate {BASE}-b1 {BASE}-b16 --city {city.name} --seeds 1 --folds 3"
    )


def test_a_row_whose_reference_was_not_run_has_no_difference(city: City) -> None:
    write_runs(city, {f"{BASE}-mid": 0.9})

    row = _row(ablation_of(city), "fusion-layer", f"{BASE}-mid")

    assert math.isnan(row["difference"])
    assert row["verdict"] == ""
    assert math.isnan(row["saved"])


def test_fewer_runs_than_the_fullest_row_are_marked_and_core_rows_are_declared(city: City) -> None:
    write_runs(city, {BASE: 0.6, f"{BASE}-mid": 0.6, f"{BASE}-late": 0.6})
    write_runs(city, {BASE: 0.6, f"{BASE}-mid": 0.6}, seed=1)

    rows = ablation_of(city).axes["fusion-layer"].rows

    assert rows["fewer"].tolist() == [False, False, True]
    assert rows["runs"].tolist() == [6, 6, 3]
    assert rows["declared"].tolist() == [name in SUITES["core"] for name in rows["experiment"]]
    assert set(rows["declared"]) == {True, False}


def test_what_merging_saves_is_measured_against_the_reference(city: City) -> None:
    folders = write_runs(city, {BASE: 0.6, f"{BASE}-merged": 0.6, f"{BASE}-merged-75": 0.6})
    for folder in _of(folders, BASE):
        _edit(folder, "run.json", cost={"parameters": 9, "multiply_adds": 200})
    for folder in _of(folders, f"{BASE}-merged"):
        _edit(folder, "run.json", cost={"parameters": 9, "multiply_adds": 150})
    for folder in _of(folders, f"{BASE}-merged-75"):
        _edit(folder, "run.json", cost=None)

    rows = ablation_of(city).axes["merging"].rows.set_index("value")

    assert rows["saved"][0.5] == pytest.approx(0.25)
    assert rows["saved"][0.0] == 0
    assert math.isnan(rows["saved"][0.75])
    assert rows["multiply_adds"][0.5] == 150


def test_a_row_of_one_s_own_stands_on_the_axis_that_it_varies(city: City) -> None:
    own = EXPERIMENTS[BASE].with_options({"network.bottlenecks": "8"})
    for folder in write_runs(city, {BASE: 0.6, own.name: 0.8}):
        if folder.name.startswith(own.name):
            _edit(folder, "run.json", config=own.to_dict())

    rows = ablation_of(city).axes["bottlenecks"].rows

    assert list(zip(rows["label_en"], rows["reference"], strict=True)) == [("B = 4", BASE), ("B = 8", BASE)]
    assert not rows["declared"].iloc[1]


def test_reference_lines_are_the_best_of_each_modality_and_the_ceilings_of_the_goals(city: City) -> None:
    write_runs(city, {"vit": 0.4, "vit-pretrained": 0.5, "bilstm": 0.45, "convlstm": 0.55, BASE: 0.6})
    ablation = ablation_of(city)

    assert set(ablation.unimodal["experiment"]) == {"vit-pretrained", "convlstm"}
    assert ablation.ceilings["rule"].tolist() == ["additive", "joint"]


def test_similarity_is_the_mean_over_runs_with_their_range_and_null_stays_unknown(city: City) -> None:
    for number, folder in enumerate(write_runs(city, {"vit": 0.5, BASE: 0.6})):
        levels = [
            {"level": 1, "cka": 0.1 * number, "cka_chance": 0.02 * number, "overlap": None, "overlap_chance": None},
            {"level": 2, "cka": None, "overlap": 0.25, "overlap_chance": 0.04},
        ]
        _edit(folder, "metrics.json", similarity=levels if folder.name.startswith(BASE) else None)

    table = ablation_of(city).similarity

    assert table["experiment"].tolist() == [BASE, BASE]
    first, second = table.to_dict("records")
    assert (first["cka"], first["cka_low"], first["cka_high"]) == pytest.approx((0.4, 0.3, 0.5))  # runs 3, 4 and 5
    assert first["cka_chance"] == pytest.approx(0.08)
    assert math.isnan(first["overlap"])
    assert math.isnan(second["cka"])
    assert (second["overlap"], second["overlap_chance"], second["runs"]) == (0.25, 0.04, 3)


def _robust(folder: Path, rows: list[tuple]) -> None:
    columns = ["condition", "strength", "n", "accuracy", "low", "high", "macro_f1"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "robustness.csv", index=False)


def test_robustness_weighs_folds_by_cells_and_combines_their_intervals(city: City) -> None:
    first, second, _ = write_runs(city, {BASE: 0.6})
    _robust(first, [("none", 0, 100, 0.6, 0.5, 0.7, 0.5), ("cloud", 0.25, 100, 0.4, 0.3, 0.5, 0.4)])
    _robust(second, [("none", 0, 300, 0.8, 0.76, 0.84, 0.7)])

    table = ablation_of(city).robustness.set_index("condition")

    clean = table.loc["none"]
    assert clean["accuracy"] == pytest.approx(0.25 * 0.6 + 0.75 * 0.8)
    # Folds are independent: half widths 0.1 and 0.04 with weights 1/4 and 3/4 add up in quadrature.
    half = math.hypot(0.25 * 0.1, 0.75 * 0.04)
    assert (clean["low"], clean["high"]) == pytest.approx((0.75 - half, 0.75 + half))
    assert (clean["n"], clean["runs"]) == (400, 2)
    assert (table.loc["cloud", "n"], table.loc["cloud", "runs"]) == (100, 1)


def test_robustness_of_seeds_is_averaged_with_its_interval(city: City) -> None:
    for seed, accuracy in ((0, 0.5), (1, 0.7)):
        folder = write_runs(city, {BASE: 0.6}, seed=seed)[0]
        _robust(folder, [("noise", 0.1, 100, accuracy, accuracy - 0.1, accuracy + 0.2, 0.5)])

    row = ablation_of(city).robustness.iloc[0]

    # The same cells twice: the interval does not shrink, nor does n grow.
    assert (row["accuracy"], row["low"], row["high"]) == pytest.approx((0.6, 0.5, 0.8))
    assert (row["n"], row["runs"]) == (100, 2)


def test_a_torn_robustness_file_is_named_and_the_rest_stands(city: City) -> None:
    first, second, _ = write_runs(city, {BASE: 0.6})
    _robust(first, [("none", 0, 100, 0.6, 0.5, 0.7, 0.5)])
    (second / "robustness.csv").write_text("condition,accuracy\nnone,0.5\n")

    ablation = ablation_of(city)

    assert "no column high, low, macro_f1, n, strength" in ablation.problems[second.name]
    assert ablation.robustness["runs"].tolist() == [1]


def test_random_folds_are_asked_for_in_the_command(city: City) -> None:
    for folder in write_runs(city, {BASE: 0.6}):
        _edit(folder, "run.json", fold_kind="random")

    assert ablation_of(city).command("merging").endswith("--seeds 1 --folds 3 --split random")
