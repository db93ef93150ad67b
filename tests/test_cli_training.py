"""`train` and `ablate` on the command line: options, exit codes, JSON lines."""

import json
import shutil
from pathlib import Path

import pytest

from fusion.cli import main
from fusion.cli.news import duration
from fusion.cli.training import options_of
from fusion.errors import ConfigError


@pytest.fixture
def data(tmp_path: Path, tiny_city_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of one's own that holds the tiny city, on which three spatial folds leave too little to train."""
    shutil.copytree(tiny_city_root, tmp_path / "data")
    monkeypatch.setenv("FUSION_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("joblib.cpu_count", lambda: 1)
    return tmp_path / "data"


def test_settings_are_key_and_value() -> None:
    assert options_of(None) == {}
    assert options_of(["training.lr=1e-3", " network.vision.weights = a=b "]) == {
        "training.lr": "1e-3",
        "network.vision.weights": "a=b",
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["training.lr"], "write KEY=VALUE"),
        (["=3"], "write KEY=VALUE"),
        (["training.lr="], "write KEY=VALUE"),
        (["training.lr=1", "training.lr=2"], "given twice"),
    ],
)
def test_settings_that_are_none_are_refused(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        options_of(settings)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["ablate", "cores"], "did you mean core?"),
        (["ablate", "vit", "--set", "training.epoch=3"], "training.epoch"),
        (["ablate", "vit", "--set", "epochs"], "KEY=VALUE"),
        (["ablate", "vit", "--split", "temporal"], "spatial or random"),
        (["ablate", "vit", "--seeds", "0"], "no seed"),
        (["ablate", "vit", "--folds", "3", "--run-folds", "4"], "between 1 and 3"),
        (["ablate", "vit", "--backend", "slurm"], "local or ray"),
        (["ablate", "vit", "--jobs", "0"], "0 jobs"),
        (["ablate", "vit", "--city", "atlantis"], "atlantis"),
        (["ablate"], "experiments"),
        (["train", "vit", "--split", "temporal"], "temporal"),
        (["train", "vit", "--set", "network.vision.patch=five"], "patch"),
    ],
    ids=" ".join,
)
def test_bad_arguments_get_one_line_and_exit_2(
    arguments: list[str], named: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(arguments)

    captured = capsys.readouterr()
    assert code == 2
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert named.lower() in captured.err.lower()
    assert captured.out == ""


def test_failed_trials_are_told_and_the_exit_code_is_1(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["ablate", "bilstm", "vit", "--seeds", "1", "--folds", "3", "--run-folds", "1", "--jobs", "1"]

    code = main([*arguments, "--json"])
    captured = capsys.readouterr()
    events = [json.loads(line) for line in captured.out.splitlines()]

    assert code == 1
    assert [event["event"] for event in events if event["event"] not in ("samples", "started")] == [
        "plan", "failed", "failed", "summary",
    ]  # fmt: skip
    plan = next(event for event in events if event["event"] == "plan")
    assert [trial["experiment"] for trial in plan["trials"]] == ["bilstm", "vit"]
    summary = events[-1]
    assert (summary["total"], summary["done"], summary["kept"]) == (2, 0, 0)
    assert [trial["experiment"] for trial in summary["failed"]] == ["bilstm", "vit"]
    assert "of the 324 labelled samples" in summary["failed"][0]["reason"]
    assert "[2 of 2] vit, seed 0, fold 0 of 3: failed: fold" in captured.err

    code = main(arguments)
    captured = capsys.readouterr()
    assert code == 1
    assert captured.out == f"0 of 2 runs are in {data / 'zhengzhou-demo' / 'runs'}\n"
    assert captured.err.count("failed: bilstm, seed 0, fold 0 of 3: fold") == 1


def test_times_to_wait_are_no_more_exact_than_a_forecast() -> None:
    assert [duration(seconds) for seconds in (5, 90, 3000, 9000)] == [
        "under a minute", "about 2 min", "about 50 min", "about 2.5 h",
    ]  # fmt: skip
