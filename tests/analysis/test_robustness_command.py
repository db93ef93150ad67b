"""`python -m fusion robustness` on the miniature city with an untrained network."""

import json
from pathlib import Path

import pandas as pd
import pytest

from fusion.analysis.conditions import CONDITIONS
from fusion.cli import main, robustness
from fusion.extract.build import build_samples
from tests.mini_runs import write_checkpoint, write_runs
from tests.miniature import build_miniature


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with weights; FUSION_DATA is two levels above its city."""
    city = build_miniature(tmp_path_factory.mktemp("data"))
    samples = build_samples(city)
    (written,) = write_runs(city, {"vit+bilstm-late": 0.5}, folds=1)
    write_checkpoint(written, samples.meta)
    _edit(written, samples_fingerprint=samples.meta.fingerprint)
    return written


@pytest.fixture(autouse=True)
def _data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSION_DATA", str(folder.parents[2]))


def _edit(folder: Path, **values: object) -> None:
    path = folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def _command(folder: Path, *more: str) -> list[str]:
    return ["robustness", "--city", "miniature", "--run", folder.name, "--device", "cpu", *more]


def test_the_table_is_printed_and_kept_in_the_runs_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(_command(folder, "--json")) == 0

    printed = pd.DataFrame(json.loads(capsys.readouterr().out))
    kept = pd.read_csv(folder / robustness.FILE)
    assert list(kept) == ["condition", "strength", "n", "accuracy", "low", "high", "macro_f1"]
    assert list(kept["condition"]) == [condition.name for condition in CONDITIONS]
    assert (kept["n"] == 9).all()
    pd.testing.assert_frame_equal(printed, kept, check_dtype=False, atol=1e-6)
    assert not list(folder.glob(".*.new"))

    assert main(_command(folder, "--limit", "5")) == 0
    assert "image-absent" in capsys.readouterr().out
    assert (pd.read_csv(folder / robustness.FILE)["n"] == 5).all()


def test_a_shipped_run_is_left_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / robustness.FILE).unlink(missing_ok=True)
    _edit(folder, shipped=True)

    assert main(_command(folder)) == 0

    assert "signal-absent" in capsys.readouterr().out
    assert not (folder / robustness.FILE).exists()
    _edit(folder, shipped=False)


def test_a_full_disk_leaves_the_old_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / robustness.FILE).write_text("old\n")

    def full(self: pd.DataFrame, path: Path, **options: object) -> None:
        Path(path).write_text("half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)

    assert main(_command(folder)) == 2
    assert (folder / robustness.FILE).read_text() == "old\n"
    assert not list(folder.glob(".*.new"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--limit", "0"], "limit is 0"), (["--device", "tpu"], "unknown device 'tpu'"), (["--run", "none"], "no run")],
)
def test_bad_arguments_give_one_line(
    folder: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(_command(folder, *arguments)) == 2

    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_test_cells_of_older_data_are_not_measured(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = json.loads((folder / "run.json").read_text())["samples_fingerprint"]
    _edit(folder, samples_fingerprint="older")

    assert main(_command(folder)) == 2

    assert "data changed" in capsys.readouterr().err
    _edit(folder, samples_fingerprint=known)
