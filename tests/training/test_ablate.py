"""Many trials: planned in order, resumed, and a failing one is reported without costing the others."""

import dataclasses
from pathlib import Path

import pytest

from fusion.errors import ConfigError
from fusion.samples.sampleset import SampleSet
from fusion.training.ablate import ablate, plan
from tests.training.conftest import quick


def test_plan_crosses_folds_seeds_and_experiments() -> None:
    trials = plan(["vit", "bilstm"], [0, 4], folds=3, run_folds=2)

    assert [str(trial) for trial in trials] == [
        "vit, seed 0, fold 0 of 3", "bilstm, seed 0, fold 0 of 3", "vit, seed 4, fold 0 of 3",
        "bilstm, seed 4, fold 0 of 3", "vit, seed 0, fold 1 of 3", "bilstm, seed 0, fold 1 of 3",
        "vit, seed 4, fold 1 of 3", "bilstm, seed 4, fold 1 of 3",
    ]  # fmt: skip


def test_plan_refuses_what_does_not_exist() -> None:
    with pytest.raises(ConfigError, match="unknown experiment"):
        plan(["resnet"], [0], 3)
    with pytest.raises(ConfigError, match="4 of 3 folds"):
        plan(["vit"], [0], 3, run_folds=4)


def test_failed_trial_is_reported_and_the_rest_finishes_once(planted: SampleSet, tmp_path: Path) -> None:
    good = quick("bilstm", epochs=1)
    bad = dataclasses.replace(quick("vit"), layout="hours")
    trials = plan([bad, good], [0, 1], folds=3, run_folds=1)
    told: list[tuple[float, str]] = []

    first = ablate(planted.folder, trials, tmp_path, "cpu", jobs=1, progress=lambda *news: told.append(news))
    again = ablate(planted.folder, trials, tmp_path, "cpu", jobs=1)

    assert [outcome.trial for outcome in first] == trials
    assert [outcome.folder is not None for outcome in first] == [False, True, False, True]
    assert "wants 'hours'" in str(first[0].error)
    assert [share for share, _ in told] == [0.25, 0.5, 0.75, 1.0]
    assert "min left" in told[-1][1]
    assert [outcome.folder for outcome in again] == [outcome.folder for outcome in first]
    assert sum(path.is_dir() and not path.name.startswith(".") for path in tmp_path.iterdir()) == 2


def test_jobs_below_one_are_refused(planted: SampleSet, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="0 jobs"):
        ablate(planted.folder, plan(["vit"], [0], 3), tmp_path, "cpu", jobs=0)
