"""Trainings started from a page: they outlive whoever started them, end when told, and say how they ended."""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fusion.city import City, open_city
from fusion.errors import CityError, ConfigError, RunError
from fusion.extract.urfc import ingest_urfc
from fusion.models import MODEL_VERSION
from fusion.serving import jobs
from fusion.serving.job_progress import estimate, progress
from fusion.serving.job_runner import ENDED, RUNNING
from fusion.serving.jobs import Request, cancel, delete, list_jobs, log_tail, start, status
from fusion.training.experiments import EXPERIMENTS
from tests.extract.urfc_folder import write_folder
from tests.mini_runs import write_runs
from tests.miniature import build_miniature

TRIAL = {"experiment": "vit", "seed": 0, "fold": 0, "folds": 3, "split": None}
EVENTS = [
    {"event": "samples", "share": 0.5, "text": "chips", "time_s": 0},
    {"event": "plan", "runs_dir": "runs", "trials": [TRIAL, {**TRIAL, "fold": 1}], "time_s": 0},
    {"event": "started", "index": 0, "trial": TRIAL, "trial_share": 0.0, "share": 0.0, "left_s": None, "ended": 0,
     "total": 2, "text": "", "time_s": 0},
    {"event": "done", "index": 0, "trial": TRIAL, "trial_share": 1.0, "share": 0.5, "left_s": 100.0, "ended": 1,
     "total": 2, "text": "", "time_s": 0, "run": "vit-s0-f0of3-00000000", "seconds": 9.5, "accuracy": 0.5,
     "macro_f1": 0.4},
    {"event": "failed", "index": 1, "trial": TRIAL, "trial_share": 1.0, "share": 1.0, "left_s": 0.0, "ended": 2,
     "total": 2, "text": "the loss became nan", "time_s": 0, "run": None, "seconds": 1.0, "accuracy": None,
     "macro_f1": None},
    {"event": "summary", "total": 2, "done": 1, "kept": 0, "failed": [TRIAL], "runs_dir": "runs", "seconds": 12.0,
     "time_s": 0},
]  # fmt: skip


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    city = build_miniature(tmp_path)
    yield city
    for job in list_jobs(city):
        cancel(job, patience_s=0)


def _command(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.setattr(Request, "command", lambda self, city: [sys.executable, "-c", script])


def _until_ended(job: jobs.Job, seconds: float = 60) -> jobs.Status:
    deadline = time.monotonic() + seconds
    while (now := status(job)).active:
        assert time.monotonic() < deadline, log_tail(job)
        time.sleep(0.05)
    return now


def _gone(pid: int, seconds: float = 20) -> bool:
    """Tell whether a process ends in time; one that nobody has collected yet counts as ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        time.sleep(0.05)
    return False


def _pid_in(path: Path) -> int:
    deadline = time.monotonic() + 30
    while not path.exists() or not path.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return int(path.read_text())


def test_command_is_a_list_of_words_for_this_python() -> None:
    request = Request(
        ("core", "vit"), seeds=2, folds=5, run_folds=3, jobs=4, split="random", options={"training.epochs": "1; rm x"}
    )

    assert request.command("some-city") == [
        sys.executable, "-m", "fusion", "ablate", "core", "vit", "--city", "some-city", "--json", "--seeds", "2",
        "--folds", "5", "--device", "auto", "--run-folds", "3", "--jobs", "4", "--split", "random",
        "--set", "training.epochs=1; rm x",
    ]  # fmt: skip


def test_a_job_tells_its_events_and_how_it_ended(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "\n".join(json.dumps(event) for event in EVENTS)
    _command(monkeypatch, f"import sys; print({lines!r}); sys.stderr.write('two lines\\nof log\\n'); sys.exit(1)")

    job = start(city, Request(("vit",), run_folds=2))
    ended = _until_ended(job)

    assert (ended.state, ended.code, ended.reason) == ("failed", 1, "")
    assert log_tail(job, 1) == "of log"
    found = progress(job)
    assert (found.total, found.ended, found.failed, found.share, found.seconds) == (2, 2, 1, 1.0, 12.0)
    first, second = found.trials
    assert (first.state, first.accuracy, first.macro_f1, first.seconds, first.fold) == ("done", 0.5, 0.4, 9.5, 0)
    assert (second.state, second.text, second.accuracy, second.fold) == ("failed", "the loss became nan", None, 1)
    (again,) = list_jobs(open_city(city.path))
    assert again == job
    assert status(again).state == "failed"


def test_a_job_in_the_middle_says_how_far_it_is(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    early = [{**event, "time_s": now - 40} for event in EVENTS[:4]]
    text = "\n".join(json.dumps(event) for event in early) + '\n{"event": "epoch", "ind'
    _command(monkeypatch, f"import sys, time; sys.stdout.write({text!r}); sys.stdout.flush(); time.sleep(600)")

    job = start(city, Request(("vit",)))
    deadline = time.monotonic() + 30
    while progress(job).ended < 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    found = progress(job)

    assert status(job).state == "running"
    assert (found.share, found.ended, found.total) == (0.5, 1, 2)
    assert found.left_s == pytest.approx(60, abs=5)  # 100 s were left, 40 s ago
    assert [row.state for row in found.trials] == ["done", "queued"]
    assert found.extracting is None


def test_bad_input_of_the_command_is_the_reason(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    _command(monkeypatch, "import sys; sys.stderr.write('noise\\nerror: the disk is full\\n'); sys.exit(2)")

    ended = _until_ended(start(city, Request(("vit",))))

    assert (ended.state, ended.code, ended.reason) == ("failed", 2, "the disk is full")


def test_a_command_that_cannot_be_started_has_failed(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Request, "command", lambda self, city: ["/no/such/python"])

    ended = _until_ended(start(city, Request(("vit",))))

    assert (ended.state, ended.code) == ("failed", 127)
    assert "/no/such/python cannot be started" in ended.reason


def test_one_job_a_city_at_a_time(city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _command(monkeypatch, "import time; time.sleep(600)")
    other = build_miniature(tmp_path, "other")
    first = start(city, Request(("vit",)))

    with pytest.raises(RunError, match=f"is running .job {first.id}.: wait for its end, or cancel"):
        start(city, Request(("bilstm",)))
    elsewhere = start(other, Request(("bilstm",)))
    with pytest.raises(RunError, match="is running: cancel it first"):
        delete(first)

    assert [job.id for job in list_jobs(city)] == [first.id]
    assert cancel(first).state == "cancelled"
    assert status(elsewhere).state == "running"
    assert cancel(elsewhere).state == "cancelled"
    delete(first)
    assert list_jobs(city) == []


def test_cancel_ends_the_whole_group_and_says_so(city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = tmp_path / "child"
    script = (
        "import pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(child)!r}).write_text(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    _command(monkeypatch, script)
    job = start(city, Request(("vit",)))
    pid = _pid_in(child)

    ended = cancel(job)

    assert ended.state == "cancelled"
    assert ended.code == -signal.SIGTERM
    assert _gone(pid)
    assert cancel(job) == ended  # twice does no harm


def test_what_will_not_end_is_killed(city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stubborn = tmp_path / "stubborn"
    script = (
        "import os, pathlib, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pathlib.Path({str(stubborn)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(600)\n"
    )
    _command(monkeypatch, script)
    job = start(city, Request(("vit",)))
    pid = _pid_in(stubborn)

    ended = cancel(job, patience_s=0.5)

    assert (ended.state, ended.code) == ("cancelled", -signal.SIGKILL)
    assert _gone(pid)


def test_a_job_whose_process_was_killed_is_lost(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    _command(monkeypatch, "import time; time.sleep(600)")
    job = start(city, Request(("vit",)))
    pid = json.loads((job.folder / RUNNING).read_text())["pid"]

    os.killpg(pid, signal.SIGKILL)

    assert _gone(pid)
    assert _until_ended(job).state == "lost"
    assert start(city, Request(("vit",))).id != job.id  # and stands in nobody's way


def test_another_process_under_an_old_number_is_not_taken_for_the_job(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    _command(monkeypatch, "pass")
    job = start(city, Request(("vit",)))
    _until_ended(job)
    (job.folder / ENDED).unlink()  # as if killed without a word; its number now belongs to this very process
    (job.folder / RUNNING).write_text(json.dumps({"pid": os.getpid(), "time_s": 0}))

    assert status(job).state == "lost"
    assert cancel(job).state == "lost"  # and this test lives on


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request(("resnet",)), "unknown experiment or suite 'resnet'"),
        (Request(("vit",), folds=3, run_folds=4), "4 of 3 folds"),
        (Request(("vit",), seeds=0), "no seed"),
        (Request(("vit",), jobs=0), "0 runs at once"),
        (Request(("vit",), split="sideways"), "split 'sideways' is unknown"),
        (Request(()), "no experiment"),
        (Request(("--help",)), "unknown experiment or suite '--help'"),
    ],
)
def test_nothing_starts_on_bad_input(city: City, request_: Request, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        start(city, request_)
    assert not (city.path / "jobs").exists()


def test_a_city_that_cannot_be_trained_on_says_what_it_lacks(tmp_path: Path) -> None:
    city = build_miniature(tmp_path, "bare", imagery=False, functions=False)

    with pytest.raises(CityError, match="no imagery and no functions"):
        start(city, Request(("vit",)))


def test_only_the_last_jobs_are_kept(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "KEEP", 3)
    _command(monkeypatch, "pass")
    made = []
    for _ in range(4):
        made.append(start(city, Request(("vit",))))
        _until_ended(made[-1])

    assert [job.id for job in list_jobs(city)] == [job.id for job in reversed(made[1:])]


def test_a_torn_folder_is_passed_over(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    _command(monkeypatch, "pass")
    job = start(city, Request(("vit",)))
    _until_ended(job)
    for name, text in (("empty", None), ("torn", '{"id": "to'), ("foreign", '{"id": "x", "request": {"nam": 1}}')):
        (city.path / "jobs" / name).mkdir()
        if text is not None:
            (city.path / "jobs" / name / "job.json").write_text(text)

    assert [found.id for found in list_jobs(city)] == [job.id]


def test_estimate_counts_what_is_there_and_adds_up_the_rest(city: City) -> None:
    folders = write_runs(city, {"vit": 0.5, "bilstm": 0.5}, folds=3)
    for folder in folders:
        run = json.loads((folder / "run.json").read_text())
        vit = run["experiment"] == "vit"
        run["seconds"] = {"train": 60.0 if vit else 20.0, "predict": 0.0}
        if vit and run["fold"] == 0:
            run["config"] = {"another": "configuration"}  # of this name once, but not what would be trained today
        else:
            run["config"] = EXPERIMENTS[run["experiment"]].to_dict()
        (folder / "run.json").write_text(json.dumps(run))

    both = estimate(city, Request(("vit", "bilstm", "convlstm"), seeds=1, folds=3, run_folds=2, jobs=1))
    # There: vit fold 1, bilstm folds 0 and 1. Left: vit 60 s, twice convlstm, guessed at the mean of 60 and 20.
    assert (both.trials, both.there, both.seconds, both.guessed) == (6, 3, pytest.approx(60 + 2 * 40), ("convlstm",))

    other_split = estimate(city, Request(("bilstm",), folds=3, split="random", jobs=2))
    assert (other_split.there, other_split.seconds) == (0, pytest.approx(40))  # three of 20 s, two at a time
    nothing = estimate(build_miniature(city.path.parent, "new"), Request(("vit",)))
    assert (nothing.trials, nothing.there, nothing.seconds, nothing.guessed) == (3, 0, None, ("vit",))


def test_estimate_knows_the_runs_of_a_city_without_a_map(tmp_path: Path) -> None:
    ingest_urfc(write_folder(tmp_path / "urfc", users=4), tmp_path / "data" / "urfc")
    city = open_city(tmp_path / "data" / "urfc")
    config = EXPERIMENTS["vit"].to_dict()
    config["network"]["vision"]["patch"] = 25  # of chips of 100 px; the row's own is 24
    for fold in range(2):
        write_run(
            city.runs, "vit", fold, config=config, fold_kind="random", city_fingerprint=city.fingerprint(),
            seconds={"train": 30.0}, model_version=MODEL_VERSION,
        )  # fmt: skip

    found = estimate(city, Request(("vit",), folds=3, jobs=1))
    assert (found.trials, found.there, found.seconds) == (3, 2, pytest.approx(30))
    assert estimate(city, Request(("vit",), folds=3, split="random")).there == 2
    assert estimate(city, Request(("vit",), folds=3, split="spatial")).there == 0


def write_run(runs: Path, experiment: str, fold: int, **run: object) -> None:
    """Write what names a finished run of seed 0 and three folds; its results are empty."""
    folder = runs / f"{experiment}-s0-f{fold}of3-0123abcd"
    folder.mkdir(parents=True)
    known = {"id": folder.name, "experiment": experiment, "seed": 0, "fold": fold, "folds": 3, "shipped": False}
    scores = ("overall_accuracy", "balanced_accuracy", "macro_f1", "confusion", "temperature", "n_test")
    (folder / "run.json").write_text(json.dumps({**known, **run}))
    (folder / "metrics.json").write_text(json.dumps(dict.fromkeys(scores, 0)))
    for name in ("predictions.parquet", "history.csv"):
        (folder / name).touch()


def test_a_real_training_from_start_to_run(tiny_city_root: Path, tmp_path: Path, monkeypatch) -> None:
    import shutil

    shutil.copytree(tiny_city_root, tmp_path / "data")
    monkeypatch.setenv("FUSION_DATA", str(tmp_path / "data"))
    city = open_city("zhengzhou-demo")

    job = start(
        city, Request(("bilstm",), folds=3, run_folds=1, jobs=1, split="random", options={"training.epochs": "1"})
    )
    ended = _until_ended(job, 300)

    assert (ended.state, ended.code) == ("done", 0), log_tail(job)
    (row,) = progress(job).trials
    assert row.state == "done"
    (folder,) = (path for path in city.runs.iterdir() if not path.name.startswith("."))  # its own, not the shipped
    assert row.run == folder.name
    assert row.accuracy == json.loads((folder / "metrics.json").read_text())["overall_accuracy"]
    assert not [path for path in city.runs.iterdir() if path.name.startswith(".ablate-")]
