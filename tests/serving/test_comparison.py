"""Runs side by side: what is pooled, what is not, and figures worked by another way."""

import dataclasses
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, cohen_kappa_score, confusion_matrix, f1_score

from fusion.city import City, write_city
from fusion.classes import IDS
from fusion.errors import InputError
from fusion.geo import grid
from fusion.metrics.significance import block_bootstrap
from fusion.serving.comparison import compare_runs
from fusion.serving.pooling import modality_of
from fusion.training.suites import CONTRASTS
from tests.mini_runs import CEILINGS, CONFIDENT, write_runs
from tests.miniature import build_miniature


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


def _read(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "predictions.parquet")


def _edit(folder: Path, name: str, **values: object) -> None:
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_modality_is_in_the_name() -> None:
    assert [modality_of(name) for name in ("vit", "vit-pretrained", "bilstm", "convlstm-transformer")] == [
        *("image", "image", "signal", "signal")
    ]
    assert modality_of("vit+convlstm-bottleneck") == "fusion"


def test_accuracy_and_f1_agree_with_scikit_learn_on_the_pooled_folds(city: City) -> None:
    folders = write_runs(city, {"vit": 0.5, "vit+bilstm-late": 0.8})
    pooled = pd.concat([pd.read_parquet(folder / "predictions.parquet") for folder in folders if "+" in folder.name])

    row = compare_runs(city).accuracy.iloc[0]

    assert row["experiment"] == "vit+bilstm-late"
    assert row["n"] == len(pooled)
    assert row["accuracy"] == pytest.approx(accuracy_score(pooled["true"], pooled["predicted"]))
    assert row["macro_f1"] == pytest.approx(f1_score(pooled["true"], pooled["predicted"], average="macro"))
    right = (pooled["true"] == pooled["predicted"]).to_numpy(dtype=float)
    assert (row["low"], row["high"]) == pytest.approx(block_bootstrap(right, pooled["group"]))
    assert row["folds_run"] == "0, 1, 2"


def test_paired_difference_and_mcnemar_counts_by_hand(city: City) -> None:
    folders = write_runs(city, {"vit": 0.4, "bilstm": 0.6, "vit+bilstm-late": 0.9})
    right = {}
    for name in ("vit", "vit+bilstm-late"):
        parts = [pd.read_parquet(f / "predictions.parquet") for f in folders if f.name.startswith(f"{name}-s")]
        table = pd.concat(parts).set_index("id")
        right[name] = table["true"] == table["predicted"]
    fusion, image = right["vit+bilstm-late"], right["vit"].reindex(right["vit+bilstm-late"].index)

    paired = compare_runs(city).paired.set_index("unimodal").loc["vit"]

    assert paired["difference"] == pytest.approx(fusion.mean() - image.mean())
    assert paired["only_fusion"] == int((fusion & ~image).sum())
    assert paired["only_unimodal"] == int((~fusion & image).sum())
    assert paired["low"] <= paired["difference"] <= paired["high"]
    assert paired["own_stream"]


def test_runs_of_different_folds_are_never_pooled(city: City) -> None:
    write_runs(city, {"vit": 0.5}, folds=3)
    write_runs(city, {"vit": 0.9}, folds=2)

    comparison = compare_runs(city)

    assert [setting.folds for setting in comparison.settings] == [3, 2]  # more runs first
    assert comparison.accuracy["accuracy"].tolist() == pytest.approx([0.5], abs=0.02)
    other = compare_runs(city, comparison.settings[1].key)
    assert other.accuracy["accuracy"].tolist() == pytest.approx([0.9], abs=0.02)


def test_seeds_stand_together_and_states_of_the_data_apart(city: City) -> None:
    folders = write_runs(city, {"vit": 0.5}, seed=0) + write_runs(city, {"vit": 0.7}, seed=1)
    write_runs(city, {"vit": 0.5, "bilstm": 0.5}, fingerprint="another state")
    parts = {seed: pd.concat([_read(folder) for folder in folders if f"-s{seed}-" in folder.name]) for seed in (0, 1)}
    right = {seed: (table["true"] == table["predicted"]).to_numpy(dtype=float) for seed, table in parts.items()}

    comparison = compare_runs(city)

    assert [one.city_fingerprint == city.fingerprint() for one in comparison.settings] == [True, False]
    assert (comparison.stale, comparison.seeds, comparison.same_seeds) == ((), (0, 1), True)
    assert compare_runs(city, comparison.settings[1].key).stale == ("data",)
    row = comparison.accuracy.iloc[0]
    assert row["accuracy"] == pytest.approx((right[0].mean() + right[1].mean()) / 2)
    assert (row["seed_low"], row["seed_high"]) == pytest.approx((right[0].mean(), right[1].mean()))
    assert (row["seeds"], row["seeds_run"], row["n"]) == (2, "0, 1", len(right[0]))
    shares = (right[0] + right[1]) / 2
    assert (row["low"], row["high"]) == pytest.approx(block_bootstrap(shares, parts[0]["group"]))
    columns = [f"p_{id_}" for id_ in IDS]
    mean = (parts[0][columns].to_numpy(dtype=float) + parts[1][columns].to_numpy(dtype=float)) / 2
    said = np.array(IDS)[mean.argmax(axis=1)]
    assert row["ensemble"] == pytest.approx((said == parts[0]["true"].to_numpy()).mean())


def test_one_seed_has_neither_spread_nor_ensemble(city: City) -> None:
    write_runs(city, {"vit": 0.5})

    row = compare_runs(city).accuracy.iloc[0]

    assert math.isnan(row["seed_low"])
    assert math.isnan(row["ensemble"])


def test_scores_of_several_seeds_come_from_the_mean_of_their_counts(city: City) -> None:
    folders = write_runs(city, {"vit": 0.5}, seed=0) + write_runs(city, {"vit": 0.7}, seed=1)
    everything = pd.concat([_read(folder) for folder in folders])  # every cell twice: the same shares
    counts = confusion_matrix(everything["true"], everything["predicted"], labels=list(IDS))

    comparison = compare_runs(city)

    row = comparison.accuracy.iloc[0]
    np.testing.assert_allclose(comparison.confusion("vit").to_numpy(), counts / 2)
    assert row["kappa"] == pytest.approx(cohen_kappa_score(everything["true"], everything["predicted"]))
    assert row["balanced_accuracy"] == pytest.approx(
        balanced_accuracy_score(everything["true"], everything["predicted"])
    )
    assert row["macro_f1"] == pytest.approx(f1_score(everything["true"], everything["predicted"], average="macro"))
    assert row["quantity_disagreement"] + row["allocation_disagreement"] == pytest.approx(1 - row["accuracy"])


def test_spatial_folds_go_before_more_runs_on_random_ones(city: City) -> None:
    write_runs(city, {"vit": 0.5})
    write_runs(city, {"vit": 0.8, "bilstm": 0.8}, fold_kind="random")

    comparison = compare_runs(city)

    assert [one.fold_kind for one in comparison.settings] == ["spatial", "random"]
    other = compare_runs(city, comparison.settings[1].key)
    assert other.accuracy["accuracy"].tolist() == pytest.approx([0.8, 0.8], abs=0.02)
    for one in (comparison, other):  # whichever is shown, both stand in this table
        row = one.flattery.iloc[0]
        assert one.flattery["experiment"].tolist() == ["vit"]
        assert (row["spatial"], row["random"]) == pytest.approx((0.5, 0.8), abs=0.02)
        assert (row["spatial_trained"], row["random_trained"]) == (0.5, 0.6)


def test_costs_are_means_of_runs_and_unknown_in_older_ones(city: City) -> None:
    write_runs(city, {"vit": 0.5})
    write_runs(city, {"bilstm": 0.4}, cost=False)

    table = compare_runs(city).accuracy.set_index("experiment")

    names = ["parameters", "multiply_adds", "latency_1_ms", "latency_32_ms", "train_s"]
    assert table.loc["vit", names].tolist() == [100_000, 20_000_000, 2.0, 30.0, 20.0]
    assert table.loc["bilstm", "parameters"] == 100_000
    assert table.loc["bilstm", names[1:4]].isna().all()


def test_declared_contrasts_are_all_there_and_goals_measured(city: City) -> None:
    write_runs(city, {"vit-pretrained": 0.4, "convlstm-transformer": 0.5, "vit-pretrained+convlstm-bottleneck": 0.8})

    comparison = compare_runs(city)

    assert len(comparison.contrasts) == len(CONTRASTS)
    assert comparison.contrasts["state"].tolist().count("run") == 2
    closes, beats = comparison.goals()
    assert closes.value == pytest.approx((0.8 - 0.5) / (CEILINGS["joint"] - 0.5), abs=0.05)
    assert beats.value == pytest.approx(0.8 - CEILINGS["additive"], abs=0.02)
    assert "closes" in comparison.to_text()
    assert "Does fusion beat the image alone?" in comparison.to_text()


def test_a_rerun_replaces_the_older_run_of_the_same_fold(city: City) -> None:
    write_runs(city, {"vit": 0.5})
    newer = write_runs(city, {"vit": 0.9})[0]  # the same names: written over
    moved = newer.rename(newer.with_name(newer.name[:-8] + "00000000"))
    _edit(moved, "run.json", id=moved.name, started="2027-01-01T00:00:00+00:00")
    write_runs(city, {"vit": 0.0})
    fold = pd.read_parquet(moved / "predictions.parquet")

    row = compare_runs(city).accuracy.iloc[0]

    # Only the newer run of fold 0 is right anywhere.
    assert row["accuracy"] * row["n"] == pytest.approx((fold["true"] == fold["predicted"]).sum())


def test_a_class_without_training_cells_is_not_evaluable_and_out_of_the_mean(city: City) -> None:
    write_runs(city, {"vit": 1.0}, not_evaluable=("airport",))

    comparison = compare_runs(city)

    f1 = comparison.per_class.set_index("function")["f1"]
    assert math.isnan(f1["airport"])
    assert comparison.accuracy["evaluable"].tolist() == [8]
    assert comparison.accuracy["macro_f1"].iloc[0] == pytest.approx(f1.drop("airport").mean())


def test_ceilings_are_means_over_the_test_cells(city: City) -> None:
    folders = write_runs(city, {"vit": 0.5})
    sizes = [json.loads((folder / "metrics.json").read_text())["n_test"] for folder in folders]
    _edit(folders[0], "metrics.json", ceilings={**CEILINGS, "joint": 0.5})

    ceilings = compare_runs(city).ceilings.set_index("rule")["accuracy"]

    assert ceilings["image"] == pytest.approx(CEILINGS["image"])
    assert ceilings["joint"] == pytest.approx(np.average([0.5, 0.88, 0.88], weights=sizes))


def test_a_city_without_known_answer_has_no_ceilings(city: City) -> None:
    write_runs(city, {"vit": 0.5}, ceilings=False)

    assert compare_runs(city).ceilings.empty


def test_confidence_before_scaling_is_that_of_the_unscaled_logits(city: City) -> None:
    write_runs(city, {"vit": 0.5}, temperature=2.0)
    other = (1 - CONFIDENT) / 8

    table = compare_runs(city).reliability.set_index("stage")

    # softmax(z / 2) gave 0.6 and 0.05: z differ by 2 ln(0.6 / 0.05)
    expected = 1 / (1 + 8 * math.exp(-2 * math.log(CONFIDENT / other)))
    assert table.loc["after", "confidence"] == pytest.approx(CONFIDENT, abs=1e-6)
    assert table.loc["before", "confidence"] == pytest.approx(expected, abs=1e-6)


def test_the_seeds_of_a_cell_share_its_weight_in_calibration_too(city: City) -> None:
    write_runs(city, {"vit": 1.0}, folds=2, seed=0)
    second_seed = write_runs(city, {"vit": 0.0}, folds=2, seed=1)
    shutil.rmtree(second_seed[1])

    table = compare_runs(city)

    # All confidence is 0.6, so its error is the distance to the accuracy, in which every cell counts once.
    row = table.accuracy.iloc[0]
    bins = table.reliability.set_index("stage").loc["after"]
    assert row["accuracy"] == pytest.approx(1 - len(_read(second_seed[0])) / 2 / row["n"])
    assert row["ece_after"] == pytest.approx(abs(row["accuracy"] - CONFIDENT), abs=1e-6)
    assert bins["accuracy"] == pytest.approx(row["accuracy"])
    assert bins["count"] == row["n"] + len(_read(second_seed[0]))


def test_confusion_counts_every_test_cell_once(city: City) -> None:
    write_runs(city, {"vit": 0.5})
    comparison = compare_runs(city)

    counts = comparison.confusion("vit")

    assert list(counts.index) == list(counts.columns) == list(IDS)
    assert counts.to_numpy().sum() == comparison.accuracy["n"].iloc[0]
    assert np.trace(counts) / counts.to_numpy().sum() == pytest.approx(comparison.accuracy["accuracy"].iloc[0])
    with pytest.raises(InputError, match="no run of 'nonsense'"):
        comparison.confusion("nonsense")


def test_mended_and_broken_cells_agree_with_the_paired_counts(city: City) -> None:
    write_runs(city, {"vit": 0.4, "vit+bilstm-late": 0.8})
    comparison = compare_runs(city)

    changes = comparison.mended("vit+bilstm-late", "vit")["change"].value_counts()

    row = comparison.paired.iloc[0]
    assert (changes["mended"], changes["broken"]) == (row["only_fusion"], row["only_unimodal"])
    assert changes.sum() == row["n"]


def test_headline_is_the_best_of_each_kind_on_the_most_cells(city: City) -> None:
    write_runs(city, {"vit": 0.4, "bilstm": 0.5, "vit+bilstm-late": 0.6})
    lucky = write_runs(city, {"vit+convlstm-late": 1.0})
    for folder in lucky[1:]:  # one fold only
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()

    comparison = compare_runs(city)
    headline = comparison.headline()

    assert not comparison.same_cells
    assert headline is not None
    assert headline["fusion"]["experiment"] == "vit+bilstm-late"
    assert headline["unimodal"]["experiment"] == "bilstm"
    assert headline["paired"]["difference"] == pytest.approx(0.1, abs=0.02)


def test_a_torn_run_is_reported_and_the_rest_compared(city: City) -> None:
    folders = write_runs(city, {"vit": 0.5})
    (folders[0] / "metrics.json").write_text("{")

    comparison = compare_runs(city)

    assert list(comparison.problems) == [folders[0].name]
    assert comparison.accuracy["folds_run"].tolist() == ["1, 2"]


def test_no_runs_is_an_empty_comparison(city: City) -> None:
    comparison = compare_runs(city)

    assert comparison.setting is None
    assert comparison.accuracy.empty
    assert comparison.headline() is None
    assert "no runs" in comparison.to_text()
    with pytest.raises(InputError, match="no runs of setting"):
        compare_runs(city, "spatial-9-v1-00000000")


def test_json_and_text_say_what_the_tables_say(city: City) -> None:
    write_runs(city, {"vit": 0.5, "vit+bilstm-late": 0.8}, not_evaluable=("airport",))
    comparison = compare_runs(city)

    document = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))

    assert document["accuracy"][0]["experiment"] == "vit+bilstm-late"
    assert {row["f1"] for row in document["per_class"] if row["function"] == "airport"} == {None}
    assert [row["accuracy"] for row in document["reported_by_user"]] == [0.668, 0.636, 0.533]
    assert all(row["source"] and row["data"] for row in document["reported_elsewhere"])
    assert [(goal["key"], goal["met"]) for goal in document["goals"]] == [("closes", False)]
    assert {row["state"] for row in document["contrasts"]} == {"not run"}
    assert document["contrasts"][0]["p_holm"] is None
    text = comparison.to_text()
    assert "SYNTHETIC" in text
    assert "ceiling: joint" in text
    assert f"{comparison.accuracy['accuracy'][0]:.1%}" in text


def test_the_result_can_be_kept_in_a_cache(city: City) -> None:
    write_runs(city, {"vit": 0.5})

    assert dataclasses.is_dataclass(compare_runs(city))
