"""The panel that trains from a page, on the Ablation page: with a quick command in place of the training."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from fusion.city import City
from fusion.errors import RunError
from fusion.serving import jobs
from fusion.serving.jobs import Request
from pages.ui import job_panel
from tests.mini_runs import write_runs
from tests.miniature import build_miniature
from tests.pages.apptest import LANGUAGES, assert_whole, open_page, texts

TRIAL = {"experiment": "vit", "seed": 0, "fold": 0, "folds": 3, "split": "spatial"}
PLAN = {"event": "plan", "runs_dir": "runs", "trials": [TRIAL, {**TRIAL, "fold": 1}], "time_s": 0}


def _ended(index: int, kind: str, left_s: float, text: str = "", accuracy: float | None = None) -> dict:
    return {
        "event": kind, "index": index, "trial": {**TRIAL, "fold": index}, "trial_share": 1.0, "share": (index + 1) / 2,
        "left_s": left_s, "ended": index + 1, "total": 2, "text": text, "time_s": time.time(), "run": None,
        "seconds": 61.0, "accuracy": accuracy, "macro_f1": accuracy,
    }  # fmt: skip


SUMMARY = {"event": "summary", "total": 2, "done": 2, "kept": 0, "failed": [], "runs_dir": "", "seconds": 600.0}


@pytest.fixture
def city(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[City]:
    monkeypatch.setenv("FUSION_DATA", str(tmp_path))
    city = build_miniature(tmp_path)
    yield city
    for job in jobs.list_jobs(city):
        jobs.cancel(job, patience_s=0)


def _command(monkeypatch: pytest.MonkeyPatch, events: list[dict], then: str) -> None:
    text = "".join(json.dumps(event) + "\n" for event in events)
    script = f"import sys, time; sys.stdout.write({text!r}); sys.stdout.flush(); {then}"
    monkeypatch.setattr(Request, "command", lambda self, city: [sys.executable, "-c", script])


def _until(true: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _keys(app: AppTest) -> set[str]:
    return {str(button.key) for button in app.button}


def _bars(app: AppTest) -> str:
    return " ".join(str(bar.proto.text) for bar in app.get("progress"))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_form_says_what_it_would_cost(city: City, lang: str) -> None:
    for folder in write_runs(city, {"vit": 0.5}, folds=3):
        run = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps({**run, "seconds": {"train": 590.0, "predict": 10.0}}))
    app = open_page("ablation", city.name, lang)
    app.multiselect(key=job_panel.NAMES).set_value(["vit"])
    app.number_input(key=job_panel.AT_ONCE).set_value(1)
    app.number_input(key=job_panel.RUN_FOLDS).set_value(2)
    app.number_input(key=job_panel.SEEDS).set_value(2)
    app.run()

    assert_whole(app)
    # Seed 0 is there, seed 1 is not: two runs of 10 minutes are left.
    assert ("4 runs, 2 of them" if lang == "en" else "共 4 次训练，其中 2 次") in texts(app)
    assert ("about 20 min" if lang == "en" else "约 20 分钟") in texts(app)
    assert not app.button(key=job_panel.START).disabled

    app.multiselect(key=job_panel.NAMES).set_value([]).run()
    assert_whole(app)
    assert app.button(key=job_panel.START).disabled


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_training_survives_a_reload_and_ends_when_cancelled(
    city: City, lang: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _command(monkeypatch, [PLAN, _ended(0, "done", 300.0, accuracy=0.5)], "time.sleep(600)")
    app = open_page("ablation", city.name, lang)
    app.multiselect(key=job_panel.NAMES).set_value(["vit"])
    app.number_input(key=job_panel.RUN_FOLDS).set_value(2).run()
    app.button(key=job_panel.START).click().run()
    (job,) = jobs.list_jobs(city)
    assert job.request.names == ("vit",)
    assert (job.request.folds, job.request.run_folds, job.request.split) == (3, 2, "spatial")
    _until(lambda: "done" in (job.folder / "events.jsonl").read_text())

    other = open_page("ablation", city.name, lang)  # a new session, as after a reload

    assert_whole(other)
    assert job_panel.START not in _keys(other)
    assert ("1 of 2 runs ended, about 5 min left" if lang == "en" else "已结束 1 / 2 次训练，剩余约 5 分钟") in _bars(
        other
    )
    (table,) = [frame.value for frame in other.dataframe if "note" in frame.value]
    assert table["accuracy"].tolist()[0] == 0.5
    assert table["fold"].tolist() == [0, 1]

    other.button(key=job_panel.CANCEL).click().run()

    assert_whole(other)
    assert jobs.status(job).state == "cancelled"
    assert ("Cancelled." if lang == "en" else "已取消") in texts(other)
    assert {job_panel.START, job_panel.AGAIN} <= _keys(other)
    app.run()  # the first session hears of it too
    assert_whole(app)
    assert job_panel.START in _keys(app)


def test_the_same_again_is_one_click(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    _command(monkeypatch, [], "sys.stderr.write('error: the disk is full\\n'); sys.exit(2)")
    first = jobs.start(city, Request(("bilstm",), seeds=2, folds=4, run_folds=1))
    _until(lambda: not jobs.status(first).active)

    app = open_page("ablation", city.name)
    assert [element.value for element in app.error] == [
        "bilstm (seeds: 2; folds: 1 of 4, spatial)  \nIt failed: the disk is full"
    ]
    app.button(key=job_panel.AGAIN).click().run()

    again, before = jobs.list_jobs(city)
    assert before.id == first.id
    assert again.request == first.request


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_came_of_it_counts_failures_and_gives_their_reason(
    city: City, lang: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [PLAN, _ended(0, "kept", 100.0, accuracy=0.5), _ended(1, "failed", 0.0, "the loss became nan"), SUMMARY]
    _command(monkeypatch, events, "sys.exit(1)")
    job = jobs.start(city, Request(("vit",), run_folds=2))
    _until(lambda: not jobs.status(job).active)

    app = open_page("ablation", city.name, lang)

    assert not app.exception
    (said,) = [element.value for element in app.error]
    english = "2 runs ended: 0 trained, 1 there already, 1 failed. It took about 10 min."
    assert (english if lang == "en" else "新训练 0 次，原已存在 1 次，失败 1 次") in said
    (table,) = [frame.value for frame in app.dataframe if "note" in frame.value]
    assert table["note"].tolist() == ["", "the loss became nan"]


def test_bad_luck_at_the_start_is_one_line(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise RunError("a training of miniature is running (job x): wait for its end, or cancel it first")

    monkeypatch.setattr(jobs, "start", refuse)
    app = open_page("ablation", city.name)
    app.button(key=job_panel.START).click().run()

    assert not app.exception
    assert [element.value for element in app.error] == [
        "a training of miniature is running (job x): wait for its end, or cancel it first"
    ]


def test_a_city_that_cannot_be_trained_on_has_no_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSION_DATA", str(tmp_path))
    bare = build_miniature(tmp_path, "bare", functions=False)

    app = open_page("ablation", bare.name)

    assert_whole(app)
    assert "Nothing can be trained on this city yet." in texts(app)
    assert job_panel.START not in _keys(app)
