"""`python -m fusion quality`: what it prints, and that it measures what an older report lacks."""

import json
from pathlib import Path

import pytest

from fusion.city import City, open_city
from fusion.cli import main
from fusion.ingest.options import SignalingOptions
from fusion.ingest.quality import load_quality
from fusion.ingest.signaling import ingest_signaling
from tests.miniature import build_miniature

GOOD = "2021-07-24 08:00,113.65,34.76,100"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FUSION_DATA", str(tmp_path))
    return tmp_path


def test_it_shows_what_adds_up_and_each_measure(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export = root / "a.csv"
    export.write_text("\n".join(["time,lon,lat,people", GOOD, GOOD, GOOD.replace("100", "90"), GOOD[:-3] + "x"]) + "\n")
    ingest_signaling([export], root / "town")

    assert main(["quality", "--city", "town"]) == 0

    said = capsys.readouterr().out
    assert "4 rows read = 1 taken + 3 rejected" in said
    assert "repeated rows: 2 (1 the same, 1 contradicting): the first was taken" in said
    assert "bad_value" in said
    assert "people        15 100.0%" in said


def test_an_older_report_is_completed_and_not_stored(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    city = _older(root)

    assert main(["quality", "--city", city.name, "--json"]) == 0

    report = json.loads(capsys.readouterr().out)
    assert (report["rows_read"], report["rows_taken"], report["rows_rejected"]) == (0, 0, 0)
    assert report["rejected_by_reason"] == {}
    # One cell of 37 is suppressed at all hours but the missing one; one lacks its first day; one hour is missing.
    found = report["coverage"]["people"]
    assert (found["cell_hours"], found["suppressed"], found["missing"]) == (37 * 96, 95, 37 + 24)
    assert "coverage" not in load_quality(city)


def test_a_report_that_does_not_add_up_is_an_error(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    city = _older(root)
    city.quality.write_text(json.dumps({"rows_read": 5, "rows_taken": 1, "rows_rejected": 1}))

    assert main(["quality", "--city", city.name]) == 2

    assert "does not add up (signaling: 5 rows read, but 1 taken and 1 rejected" in capsys.readouterr().err


def _older(root: Path) -> City:
    return build_miniature(root, imagery=False, functions=False)


def test_checks_made_under_a_smaller_threshold_are_made_again(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Frozen cells name the value that they repeat: one that the city hides since must not be told."""
    rows = [f"2021-07-{day} {hour:02d}:00,113.65,34.76,5" for day in (24, 25, 26) for hour in range(24)]
    export = root / "a.csv"
    export.write_text("\n".join(["time,lon,lat,people", *rows]) + "\n")
    ingest_signaling([export], root / "town", SignalingOptions(min_count=0))
    assert load_quality(open_city("town"))["frozen_cells"]["people"]["cells"] == 1
    described = root / "town" / "city.toml"
    described.write_text(described.read_text().replace("min_count = 0", "min_count = 15"))

    assert main(["quality", "--city", "town", "--json"]) == 0

    report = json.loads(capsys.readouterr().out)
    assert report["frozen_cells"]["people"]["cells"] == 0
    assert report["coverage"]["people"]["min_count"] == 15
    assert report["coverage"]["people"]["suppressed"] == 72
    assert "coverage" not in load_quality(open_city("town"))
