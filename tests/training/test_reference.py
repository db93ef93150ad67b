"""What ships is true: the demo city comes out the same, and its shipped checkpoints score what they say."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fusion.city import City, reference_root
from fusion.classes import IDS
from fusion.extract.build import build_samples
from fusion.metrics.scores import evaluate
from fusion.models import MODEL_VERSION
from fusion.samples.sampleset import SampleSet
from fusion.samples.split import make_folds
from fusion.serving.comparison import compare_runs
from fusion.synthetic.demo import build_demo
from fusion.training.experiment import UNMEASURED
from fusion.training.experiments import EXPERIMENTS
from fusion.training.predict import load_predictor
from fusion.training.recipe import run_name
from fusion.training.reference import FIRST, WITH_DAMAGE, WITH_WEIGHTS, publish, reference_trials
from fusion.training.run import train_run
from fusion.training.runs import RunRecord, load_runs, stale_reasons
from tests.training.conftest import quick

NAME = "zhengzhou-demo"


@pytest.fixture(scope="module")
def shipped() -> list[RunRecord]:
    folders = [path for path in (reference_root() / NAME).iterdir() if path.is_dir()]
    records, problems = load_runs(folders)
    assert not problems
    return records


@pytest.fixture(scope="module")
def demo_city(tmp_path_factory: pytest.TempPathFactory) -> City:
    """The demo city, made from its seed by this code: one that lies in the data folder would prove nothing."""
    return build_demo(tmp_path_factory.mktemp("demo"), NAME)


@pytest.fixture(scope="module")
def samples(demo_city: City) -> SampleSet:
    return build_samples(demo_city)


def test_the_core_suite_ships_and_one_fold_with_weights(shipped: list[RunRecord]) -> None:
    wanted = {
        (trial.experiment.name, trial.seed, trial.fold, trial.folds, trial.split or "spatial")
        for trial in reference_trials()
    }
    there = {(one.experiment, one.seed, one.fold, one.folds, one.run["fold_kind"]) for one in shipped}
    assert there == wanted
    first = (*FIRST, "spatial")
    with_weights = {(one.experiment, one.seed, one.fold, one.run["fold_kind"]) for one in shipped if one.has_weights}
    assert with_weights == {(name, *first) for name in WITH_WEIGHTS}
    damaged = {
        (one.experiment, one.seed, one.fold, one.run["fold_kind"])
        for one in shipped
        if (one.folder / "robustness.csv").is_file()
    }
    assert damaged == {(name, *first) for name in WITH_DAMAGE}
    assert all(record.shipped and record.folder.name == record.id for record in shipped)


def test_shipped_damage_starts_from_the_shipped_accuracy(shipped: list[RunRecord]) -> None:
    for record in shipped:
        path = record.folder / "robustness.csv"
        if path.is_file():
            clean = pd.read_csv(path).set_index("condition").loc["none"]
            assert clean["accuracy"] == pytest.approx(record.metrics["overall_accuracy"], abs=1e-6), record.id
            assert clean["n"] == record.metrics["n_test"]


def test_what_ships_is_small_and_holds_no_pickle(shipped: list[RunRecord]) -> None:
    files = [path for record in shipped for path in record.folder.iterdir()]

    assert sum(path.stat().st_size for path in files) <= 20_000_000
    assert {path.suffix for path in files} == {".json", ".parquet", ".csv", ".safetensors"}


def test_shipped_runs_match_this_city_and_this_code(shipped: list[RunRecord], demo_city: City) -> None:
    assert [stale_reasons(record, demo_city.fingerprint(), MODEL_VERSION) for record in shipped] == [()] * len(shipped)


def test_shipped_runs_are_those_that_the_experiments_describe(shipped: list[RunRecord]) -> None:
    assert all(record.run["config"] == json.loads(json.dumps(EXPERIMENTS[record.experiment].to_dict()))
               for record in shipped)  # fmt: skip


def test_shipped_metrics_follow_from_shipped_predictions(shipped: list[RunRecord]) -> None:
    for record in shipped:
        table = record.predictions()
        truth = table["true"].map(IDS.index).to_numpy()
        scored = evaluate(truth, table[[f"p_{id_}" for id_ in IDS]].to_numpy(), record.run["not_evaluable"])
        assert scored["overall_accuracy"] == pytest.approx(record.metrics["overall_accuracy"], abs=1e-9), record.id
        assert scored["confusion"] == record.metrics["confusion"], record.id


@pytest.mark.parametrize(
    "name", [*(pytest.param(name, marks=pytest.mark.slow) for name in WITH_WEIGHTS[:-1]), WITH_WEIGHTS[-1]]
)
def test_shipped_checkpoint_finds_its_accuracy_again(name: str, shipped: list[RunRecord], samples: SampleSet) -> None:
    record = next(one for one in shipped if one.experiment == name and one.has_weights)
    rows = make_folds(samples, record.folds, kind=record.run["fold_kind"])[record.fold].test
    kept = record.predictions()

    now = load_predictor(record.folder, "cpu").predict(samples, rows)

    assert now["id"].tolist() == kept["id"].tolist()
    accuracy = float((now["predicted"] == now["true"]).mean())
    assert accuracy == pytest.approx(record.metrics["overall_accuracy"], abs=0.005)
    columns = [f"p_{id_}" for id_ in IDS]
    assert float(np.abs(now[columns].to_numpy() - kept[columns].to_numpy()).max()) < 0.02


def test_rows_say_the_accuracy_that_their_shipped_runs_have(demo_city: City) -> None:
    table = compare_runs(demo_city).accuracy.set_index("experiment")
    found = {name: f"{100 * row.accuracy:.1f} % ({100 * row.low:.1f} to {100 * row.high:.1f})"
             for name, row in table.iterrows()}  # fmt: skip

    assert found == {name: row.expected for name, row in EXPERIMENTS.items() if row.expected != UNMEASURED}


def test_accuracies_stay_below_what_the_city_allows(shipped: list[RunRecord]) -> None:
    for record in shipped:
        assert record.metrics["ceilings"]["oracle"] >= record.metrics["overall_accuracy"], record.id


def test_publish_marks_a_copy_and_halves_its_weights(planted: SampleSet, tmp_path: Path) -> None:
    row = quick("vit", epochs=1)
    folder = train_run(planted, row, 0, 0, 3, tmp_path / "runs", device="cpu")

    bare = publish(folder, tmp_path / "bare")
    full = publish(folder, tmp_path / "full", planted)

    assert bare.shipped
    assert not bare.has_weights
    assert full.has_weights
    assert full.id == run_name(planted, row, 0, 0, 3)
    sizes = [(place / "model.safetensors").stat().st_size for place in (folder, full.folder)]
    assert sizes[1] < 0.55 * sizes[0]
    assert load_predictor(full.folder, "cpu").card.experiment == "vit"
