"""Ingests started from a page: the command line they stand for, and one from upload to city."""

import io
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest
from typer.main import get_command

from fusion.city import open_city, write_city
from fusion.cli import app
from fusion.errors import InputError, RunError
from fusion.ingest.options import SignalingOptions
from fusion.ingest.quality import load_quality
from fusion.serving import background, ingest_jobs, uploads
from fusion.serving.background import cancel, log_tail, status
from fusion.serving.ingest_jobs import IngestRequest, list_jobs, progress, signaling_words, start

EXPORT = "time,lon,lat,people\n" + "".join(
    f"2021-07-24 {hour:02d}:00,{113.6 + 0.01 * place},34.75,{100 + hour}\n" for hour in range(4) for place in range(3)
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FUSION_DATA", str(tmp_path))
    yield tmp_path
    for job in list_jobs(tmp_path):
        cancel(job, patience_s=0)


def until_ended(job: ingest_jobs.Job, seconds: float = 90) -> background.Status:
    deadline = time.monotonic() + seconds
    while (now := status(job)).active:
        assert time.monotonic() < deadline, log_tail(job)
        time.sleep(0.05)
    return now


def upload(root: Path, text: str, name: str = "export.csv") -> tuple[str, Path]:
    token = uploads.new_upload(root)
    return token, uploads.store(root, token, name, io.BytesIO(text.encode()), len(text))


def test_options_become_words_of_the_command_line() -> None:
    options = SignalingOptions(
        lon="经度", lat="纬度", values=("people", "uv"), datum="gcj02", min_count=0, min_counts=(("uv", 5),)
    )

    assert signaling_words(options) == (
        "--lon", "经度", "--lat", "纬度", "--value", "people", "--value", "uv", "--datum", "gcj02", "--min-count", "0",
        "--min-count", "uv=5",
    )  # fmt: skip


def test_every_option_of_signaling_is_one_of_the_command_line() -> None:
    command = get_command(app).commands["ingest"].commands["signaling"]  # type: ignore[attr-defined]
    known = {name for parameter in command.params for name in parameter.opts}

    spelled = {f"--{ingest_jobs.NAMES.get(one.name, one.name).replace('_', '-')}" for one in fields(SignalingOptions)}
    assert spelled - known == set()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("signaling", ["ingest", "signaling", "/x/a.csv", "--city", "town", "--preset", "daas"]),
        ("milan", ["ingest", "signaling", "/x/a.csv", "--city", "town", "--preset", "milan"]),
        ("devices", ["ingest", "signaling", "/x/a.csv", "--city", "town", "--preset", "devices"]),
        ("imagery", ["ingest", "imagery", "/x/a.csv", "--city", "town"]),
        ("functions", ["ingest", "functions", "/x/a.csv", "--city", "town"]),
        ("urfc", ["ingest", "urfc", "/x/a.csv", "--city", "town"]),
        ("demo", ["demo", "--city", "town", "--force"]),
    ],
)
def test_every_kind_has_its_command(kind: str, words: list[str]) -> None:
    request = IngestRequest(kind, ("/x/a.csv",), ("a.csv",), ("--datum", "; rm x"))

    assert request.command("town") == [
        sys.executable, "-m", "fusion", "--progress", "json", *words, "--datum", "; rm x",
    ]  # fmt: skip


def test_from_upload_to_city_and_the_upload_is_gone(root: Path) -> None:
    token, path = upload(root, EXPORT)

    job = start(root, "new-town", IngestRequest("signaling", (str(path),), ("export.csv",), (), token))

    assert until_ended(job).state == "done", log_tail(job)
    quality = load_quality(open_city("new-town"))
    assert (quality["rows_read"], quality["rows_taken"], quality["rows_rejected"]) == (12, 12, 0)
    assert progress(job) == ingest_jobs.Progress(1.0, "done")
    assert not (root / ".uploads" / token).exists()
    (again,) = list_jobs(root)
    assert again == job


def test_what_fails_says_why_keeps_the_upload_and_makes_no_city(root: Path) -> None:
    token, path = upload(root, "colour,shape\nred,round\n")

    job = start(root, "new-town", IngestRequest("signaling", (str(path),), ("export.csv",), (), token))

    ended = until_ended(job)
    assert (ended.state, ended.code) == ("failed", 2)
    assert "no column is known to hold" in ended.reason
    assert path.is_file()
    assert not (root / "new-town").exists()
    assert ingest_jobs.busy_tokens(root) == set()


def test_a_city_that_is_being_written_elsewhere_is_left_alone_with_a_clear_line(root: Path) -> None:
    token, path = upload(root, EXPORT)

    with write_city(root / "new-town"):
        job = start(root, "new-town", IngestRequest("signaling", (str(path),), ("export.csv",), (), token))
        ended = until_ended(job)

    assert ended.state == "failed"
    assert "city new-town is being written by another process" in ended.reason


def test_one_ingest_a_city_and_a_cancelled_one_leaves_no_city(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        IngestRequest, "command", lambda self, city: [sys.executable, "-c", "import time; time.sleep(600)"]
    )
    token, path = upload(root, EXPORT)
    request = IngestRequest("signaling", (str(path),), ("export.csv",), (), token)
    job = start(root, "one", request)

    with pytest.raises(RunError, match="a data import of one is running"):
        start(root, "one", request)
    other = start(root, "two", request)

    assert ingest_jobs.busy_tokens(root) == {token}
    assert cancel(job).state == "cancelled"
    assert status(other).state == "running"
    assert path.is_file()


@pytest.mark.parametrize(
    ("city", "request_", "message"),
    [
        ("../x", IngestRequest("signaling", ("/x",)), "cannot name a city"),
        ("incoming", IngestRequest("signaling", ("/x",)), "it is reserved"),
        ("town", IngestRequest("signaling"), "no file was chosen"),
        ("town", IngestRequest("signaling", ("/no/such/file.csv",)), "file.csv is no longer there"),
        ("town", IngestRequest("music", (__file__,)), "unknown kind of data 'music'"),
    ],
)
def test_nothing_starts_on_bad_input(root: Path, city: str, request_: IngestRequest, message: str) -> None:
    with pytest.raises(InputError, match=message):
        start(root, city, request_)
    assert list_jobs(root) == []
