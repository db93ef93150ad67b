"""Damaged exports by the hundred: taken row by row or refused with a line, never a traceback, a loss or half a city."""

import json
from pathlib import Path

import duckdb
import pytest

from fusion.city import open_city
from fusion.errors import FusionError
from fusion.ingest.signaling import SignalingOptions, ingest_signaling
from tests.ingest.damage import GOOD, csv_utf8, spoiled

SEEDS = 60
BATCH = 10  # files an ingest: what one costs is mostly the commit
OPTIONS = SignalingOptions(min_count=0)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check_line(text: str) -> None:
    """One line that a person can read."""
    assert text.isprintable(), repr(text)
    assert "Traceback" not in text
    assert 20 < len(text) < 2_010, text


def take(files: list[Path], town: Path, options: SignalingOptions = OPTIONS) -> tuple[list[Path], int]:
    """Ingest, leaving out the file that each refusal names; return what was taken and how many were refused."""
    refused = 0
    while files:
        before = contents(town)
        report, error = attempt(files, town, options)
        if report is not None:
            check_accounts(report, files, town)
            return files, refused
        check_line(error)
        assert contents(town) == before, f"the city changed: {error}"
        named = [file for file in files if file.name in error]
        # where nothing can be taken from several files together, the first one goes
        files = [file for file in files if file != (named or files)[0]]
        refused += 1
    return [], refused


def attempt(files: list[Path], town: Path, options: SignalingOptions) -> tuple[dict | None, str]:
    try:
        return ingest_signaling(files, town, options), ""
    except FusionError as error:
        return None, str(error)


def check_accounts(report: dict, files: list[Path], town: Path) -> None:
    """Every row is taken or among the rejects, file by file where a file's rows can be counted by hand."""
    assert report["rows_read"] == report["rows_taken"] + report["rows_rejected"]
    assert report["rows_rejected"] == sum(report["rejected_by_reason"].values())
    assert report == json.loads((town / "quality.json").read_text(encoding="utf-8"))
    rejects = duckdb.sql(f"SELECT file, reason FROM '{town / 'rejects.parquet'}' WHERE part = 'signaling'").fetchall()
    assert len(rejects) == report["rows_rejected"]
    assert {file.split("/")[0] for file, _ in rejects} <= {file.name for file in files}
    city = open_city(town)
    columns = {measure.id for measure in city.info.measures}
    listed = duckdb.sql(f"SELECT * FROM '{city.activity}' LIMIT 0").columns
    assert columns <= set(listed)
    counted = [plain_rows(file) for file in files]
    if None not in counted:
        assert report["rows_read"] == sum(counted), [file.name for file in files]


def plain_rows(file: Path) -> int | None:
    """The rows of a text file by its lines; None where quotes, returns or encodings leave it to interpretation."""
    data = file.read_bytes()
    if (
        file.suffix in (".gz", ".zip", ".parquet", ".xlsx")
        or b'"' in data
        or b"\r" in data.replace(b"\r\n", b"")
        or b"\x00" in data
    ):
        return None
    return sum(1 for line in data.split(b"\n") if line.strip(b"\r")) - 1


@pytest.fixture
def town(tmp_path: Path) -> Path:
    """A city with fixed bounds."""
    good = tmp_path / "good.csv"
    good.write_bytes(csv_utf8(0))
    ingest_signaling([good], tmp_path / "town", OPTIONS)
    rows = "SELECT 1::UBIGINT AS cell, 'park' AS function, 1::FLOAT AS share, 'x' AS source"
    duckdb.sql(f"COPY ({rows}) TO '{tmp_path / 'town' / 'functions.parquet'}'")
    return tmp_path / "town"


@pytest.mark.parametrize("kind", GOOD)
def test_damaged_files_are_taken_row_by_row_or_refused_with_a_line(tmp_path, town, kind):
    taken = refused = 0
    for start in range(0, SEEDS, BATCH):
        files = []
        for seed in range(start, start + BATCH):
            file = tmp_path / f"{seed}.{kind}"
            file.write_bytes(spoiled(kind, seed))
            files.append(file)
        kept, out = take(files, town)
        taken, refused = taken + len(kept), refused + out
    assert taken + refused == SEEDS
    # next to every bit of Parquet and of a workbook counts
    assert taken > (0 if kind in ("parquet", "xlsx") else SEEDS // 10), (
        "the damage leaves next to nothing to read: it tests only the refusal"
    )
