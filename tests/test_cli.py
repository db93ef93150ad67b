"""The command line: exit codes, one clear line, and the whole way from an export to a quality report."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fusion.cli import app, main
from fusion.cli.console import read_lines

COMMANDS = [
    [command.name or command.callback.__name__.replace("_", "-")]
    for command in app.registered_commands
    if command.callback is not None
]
INGESTS = [["ingest", name] for name in ("signaling", "imagery", "functions")]


@pytest.fixture
def data(tmp_path: Path, tiny_city_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of one's own that holds the tiny city."""
    root = tmp_path / "data"
    shutil.copytree(tiny_city_root, root)
    monkeypatch.setenv("FUSION_DATA", str(root))
    return root


@pytest.mark.parametrize("command", COMMANDS + INGESTS, ids=" ".join)
def test_every_command_explains_itself_by_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    assert "Example: python -m fusion" in capsys.readouterr().out


def test_experiments_are_listed_with_command_and_expected_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiments", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["vit"]["suites"] == ["all"]
    assert rows["vit-pretrained"]["suites"] == ["core", "all"]
    assert main(["experiments"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert all(row["command"] in shown and row["expected"] in shown for row in rows.values())


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_list_of_cells_may_begin_with_a_byte_order_mark(tmp_path: Path, mark: str) -> None:
    (tmp_path / "cells.txt").write_text(f"{mark}8940e1b2d2bffff\r\n\n 8940e1b2d2fffff\n", encoding="utf-8")

    assert read_lines(tmp_path / "cells.txt") == ["8940e1b2d2bffff", "8940e1b2d2fffff"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nonsense"], "nonsense"),
        (["train"], "experiment"),
        (["train", "vit", "--fold", "many"], "--fold"),
        (["train", "no-such-experiment"], "vit+convlstm-bottleneck"),
        (["quality", "--city", "atlantis"], "zhengzhou-demo"),
        (["quality", "--city", "../../etc"], "lower-case letters"),
        (["cities", "--delete", "atlantis"], "atlantis"),
        (["runs", "--city", "zhengzhou-demo", "--delete", "vit-s0-f0of3-00000000"], "no run"),
        (["predict", "--city", "zhengzhou-demo", "--run", "none", "--cells", "all", "--out", "x.csv"], "no run"),
        (["ingest", "signaling", "absent.csv", "--city", "other"], "absent.csv"),
        (["ingest", "imagery", "absent.tif", "--city", "other"], "absent.tif"),
        (["ingest", "functions", "absent.geojson", "--city", "zhengzhou-demo", "--field", "class"], "absent.geojson"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_arguments_get_one_line_and_exit_2(
    arguments: list[str], named: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in data.iterdir())

    code = main(arguments)

    captured = capsys.readouterr()
    assert code == 2
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert named in captured.err
    assert captured.out == ""
    assert [name for name in sorted(path.name for path in data.iterdir()) if not name.endswith(".lock")] == [
        name for name in before if not name.endswith(".lock")
    ]


def test_cities_are_listed_while_files_of_theirs_vanish(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = sum(path.stat().st_size for path in (data / "zhengzhou-demo").rglob("*") if path.is_file())
    walk, glob = os.walk, Path.rglob
    monkeypatch.setattr("os.walk", lambda top: [*walk(top), (str(top), [], ["gone.parquet"])])
    # What is listed as a file and is none by the time it is asked for its size.
    monkeypatch.setattr("pathlib.Path.rglob", lambda path, pattern: [*glob(path, pattern), path / "gone.parquet"])
    is_file = Path.is_file
    monkeypatch.setattr("pathlib.Path.is_file", lambda path: path.name == "gone.parquet" or is_file(path))

    assert main(["cities", "--json"]) == 0

    assert [row["bytes"] for row in json.loads(capsys.readouterr().out)] == [there]


def test_cities_lists_and_deletes(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cities", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["city"] == "zhengzhou-demo"
    assert row["provenance"] == "synthetic"
    assert row["bytes"] > (data / "zhengzhou-demo" / "imagery.tif").stat().st_size

    assert main(["cities", "--delete", "zhengzhou-demo"]) == 0
    assert not (data / "zhengzhou-demo").exists()


def test_milan_goes_in_and_its_report_adds_up(
    data: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    milan = shared_data / "milan"
    arguments = ["ingest", "signaling", str(milan / "sms-call-internet-mi-sample.tsv"), "--city", "milan"]
    arguments += ["--preset", "milan", "--grid", str(milan / "milano-grid.geojson"), "--grid-property", "cellId"]

    assert main([*arguments, "--timezone", "Europe/Rome"]) == 0
    capsys.readouterr()

    assert main(["quality", "--city", "milan", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    lines = (milan / "sms-call-internet-mi-sample.tsv").read_text(encoding="utf-8").splitlines()
    assert report["rows_read"] == len(lines)
    assert report["rows_read"] == report["rows_taken"] + report["rows_rejected"]
    assert sum(report["rejected_by_reason"].values()) == report["rows_rejected"]


def test_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "fusion", "nonsense"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: No such command 'nonsense'.\n"
