"""Many trials: planned in order, resumed, and whatever befalls one of them costs no other."""

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
import numpy as np
import pytest
import torch

from fusion.errors import ConfigError
from fusion.samples.sampleset import META_FILE, SampleSet
from fusion.training.ablate import LOST, Event, ablate, plan
from fusion.training.experiments import EXPERIMENTS
from fusion.training.recipe import run_name
from fusion.training.run import train_run
from fusion.training.runs import load_run, run_lock
from fusion.training.suites import SUITES
from fusion.training.trials import Trial
from tests.training.conftest import quick, write_planted

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch):
    """Tests run side by side: a network this small gains nothing from more threads and loses much to other tests."""
    monkeypatch.setattr("joblib.cpu_count", lambda: 1)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def _runs(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(".") and path.suffix != ".lock")


def test_plan_crosses_folds_seeds_and_experiments() -> None:
    trials = plan(["vit", "bilstm"], [0, 4], folds=3, run_folds=2)

    assert [str(trial) for trial in trials] == [
        "vit, seed 0, fold 0 of 3", "bilstm, seed 0, fold 0 of 3", "vit, seed 4, fold 0 of 3",
        "bilstm, seed 4, fold 0 of 3", "vit, seed 0, fold 1 of 3", "bilstm, seed 0, fold 1 of 3",
        "vit, seed 4, fold 1 of 3", "bilstm, seed 4, fold 1 of 3",
    ]  # fmt: skip


def test_plan_takes_suites_and_names_each_row_once() -> None:
    trials = plan(["bilstm", "core", SUITES["core"][0], "bilstm"], [0], folds=2, run_folds=1)

    assert [trial.experiment.name for trial in trials] == ["bilstm", *SUITES["core"]]


def test_plan_keeps_changed_options_and_the_split_apart() -> None:
    (plain,) = plan(["vit"], [0], 2, 1)
    (changed,) = plan(["vit"], [0], 2, 1, split="random", options={"training.epochs": "3"})

    assert changed.experiment.training.epochs == 3
    assert changed.experiment.name != plain.experiment.name
    assert (plain.split, changed.split) == (None, "random")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["resnet"], [0], 3), "unknown experiment or suite 'resnet'.*core, fine, all.*vit"),
        ((["convlstn"], [0], 3), r"did you mean convlstm\?"),
        ((["vit"], [0], 3, 4), "4 of 3 folds"),
        ((["vit"], [0], 1), "1 folds: use 2 or more"),
        ((["vit"], [], 3), "no seed"),
        (([], [0], 3), "no experiment"),
        ((["vit"], [0], 3, None, "temporal"), "split 'temporal' is unknown"),
        ((["vit"], [0], 3, None, None, {"training.epoch": "1"}), "no option 'training.epoch'"),
        ((["vit"], [0], 3, None, None, {"training.epochs": "0"}), "epochs is 0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_plan_refuses_what_does_not_exist(arguments: tuple, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(*arguments)


def test_failed_trial_is_reported_and_the_rest_finishes_once(planted: SampleSet, tmp_path: Path) -> None:
    good = quick("bilstm", epochs=1)
    bad = dataclasses.replace(quick("vit"), layout="hours")
    trials = plan([bad, good], [0, 1], folds=3, run_folds=1)
    told: list[tuple[float, str]] = []

    first = ablate(planted.folder, trials, tmp_path, "cpu", jobs=1, progress=lambda *news: told.append(news))
    again = ablate(planted.folder, trials, tmp_path, "cpu", jobs=1)

    assert [outcome.trial for outcome in first] == trials
    assert [outcome.state for outcome in first] == ["failed", "done", "failed", "done"]
    assert [outcome.folder is not None for outcome in first] == [False, True, False, True]
    assert "wants 'hours'" in str(first[0].error)
    assert [share for share, _ in told] == [0.25, 0.5, 0.75, 1.0]
    assert "min left" in told[-1][1]
    assert [outcome.folder for outcome in again] == [outcome.folder for outcome in first]
    assert [outcome.state for outcome in again] == ["failed", "kept", "failed", "kept"]
    assert len(_runs(tmp_path)) == 2
    assert not _leftovers(tmp_path) or all(name.endswith(".tmp") for name in _leftovers(tmp_path))


def test_events_tell_the_way_of_a_trial_with_its_scores(
    planted: SampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fusion.training.watch._LOOK_S", 0.01)
    heard: list[Event] = []
    trials = plan([quick("bilstm", epochs=4)], [0], folds=3, run_folds=1)

    (outcome,) = ablate(planted.folder, trials, tmp_path, "cpu", jobs=1, listener=heard.append)

    kinds = [event.kind for event in heard]
    assert (kinds[0], kinds[-1]) == ("started", "done")
    assert set(kinds[1:-1]) == {"epoch"}
    assert heard[1].text.startswith("epoch ")
    shares = [event.share for event in heard]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert heard[-1].left_s == 0.0
    last = json.loads(json.dumps(heard[-1].to_dict(), allow_nan=False))
    metrics = load_run(outcome.folder).metrics
    assert last["run"] == outcome.folder.name
    assert (last["accuracy"], last["macro_f1"]) == (metrics["overall_accuracy"], metrics["macro_f1"])
    assert last["trial"] == {"experiment": "bilstm", "seed": 0, "fold": 0, "folds": 3, "split": None}


def test_experiments_of_several_layouts_each_get_their_samples(planted: SampleSet, tmp_path: Path) -> None:
    days = quick("bilstm", epochs=1)
    other = dataclasses.replace(days, name="bilstm-hours", layout="hours")
    meta = dataclasses.replace(planted.meta, layout="hours")
    hours = tmp_path / "hours"
    shutil.copytree(planted.folder, hours)
    (hours / META_FILE).write_text(json.dumps(dataclasses.asdict(meta)), encoding="utf-8")
    trials = plan([days, other], [0], folds=3, run_folds=1)
    folders = {("days", 2): planted.folder, ("hours", 2): hours}

    outcomes = ablate(folders, trials, tmp_path / "runs", "cpu", jobs=1)

    assert [outcome.error for outcome in outcomes] == [None, None]
    with pytest.raises(ConfigError, match=r"bilstm-hours wants samples of layout 'hours' and k 2"):
        ablate({("days", 2): planted.folder}, trials, tmp_path / "none", "cpu", jobs=1)


def test_a_split_makes_runs_of_its_own(planted: SampleSet, tmp_path: Path) -> None:
    row = quick("bilstm", epochs=1)
    trials = [*plan([row], [0], 3, 1), *plan([row], [0], 3, 1, split="random")]

    outcomes = ablate(planted.folder, trials, tmp_path, "cpu", jobs=1)

    assert [load_run(outcome.folder).run["fold_kind"] for outcome in outcomes] == ["spatial", "random"]


def test_what_cannot_be_done_is_refused_before_anything_runs(planted: SampleSet, tmp_path: Path) -> None:
    trials = plan(["vit"], [0], 3)

    for options, message in (
        ({"jobs": 0}, "0 jobs"),
        ({"backend": "slurm"}, "unknown backend 'slurm': use local or ray"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
    ):
        with pytest.raises(ConfigError, match=message):
            ablate(planted.folder, trials, tmp_path / "runs", **options)
    assert not (tmp_path / "runs").exists()
    assert ablate(planted.folder, [], tmp_path / "runs") == []


def test_nan_loss_fails_its_trial_alone(planted: SampleSet, tmp_path: Path) -> None:
    trials = plan([quick("vit", lr=1e30, clip=1e30), quick("bilstm", epochs=1)], [0], folds=3, run_folds=1)

    bad, good = ablate(planted.folder, trials, tmp_path, "cpu", jobs=1)

    assert bad.state == "failed"
    assert "loss became" in str(bad.error)
    assert "\n" not in str(bad.error)
    assert good.state == "done"


def test_full_disk_in_mid_run_fails_its_trial_and_the_next_call_goes_on(
    planted: SampleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = plan([quick("bilstm", epochs=2), quick("vit", epochs=1)], [0], folds=3, run_folds=1)

    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        from fusion.training import keeper

        real = keeper.save_weights
        calls = iter([real, full])  # the first epoch of the first run fits, nothing after it does
        patch.setattr(keeper, "save_weights", lambda *given: next(calls, full)(*given))
        patch.setattr("fusion.training.run.save_checkpoint", full)
        failed = ablate(planted.folder, trials, tmp_path, "cpu", jobs=1)
    assert [outcome.state for outcome in failed] == ["failed", "failed"]
    assert all("No space left on device" in str(outcome.error) for outcome in failed)
    assert _runs(tmp_path) == []

    again = ablate(planted.folder, trials, tmp_path, "cpu", jobs=1)

    assert [outcome.state for outcome in again] == ["done", "done"]
    assert load_run(again[0].folder).history()["epoch"].tolist() == [1, 2]
    assert not _leftovers(tmp_path)


def test_class_without_training_cells_in_a_fold_is_no_failure(tmp_path: Path) -> None:
    samples = write_planted(tmp_path / "planted")
    labels = samples.labels.copy()
    groups, counts = np.unique(samples.groups[labels == 8], return_counts=True)
    home = samples.groups == groups[counts.argmax()]
    labels[(labels == 8) & ~home] = 7  # the last class is left in one group only: no fold trains and tests it
    np.save(samples.folder / "labels.npy", labels)
    trials = plan([quick("bilstm", epochs=1)], [0], folds=3)

    outcomes = ablate(samples.folder, trials, tmp_path / "runs", "cpu", jobs=1)

    assert [outcome.state for outcome in outcomes] == ["done"] * 3
    lacking = [load_run(outcome.folder).run["not_evaluable"] for outcome in outcomes]
    assert all(samples.meta.classes[8] in names for names in lacking)


@pytest.mark.parametrize("end", ["made", "given up"])
def test_run_trained_by_another_is_left_to_it_until_it_ends(planted: SampleSet, tmp_path: Path, end: str) -> None:
    contested, own = quick("bilstm", epochs=1), quick("vit", epochs=1)
    trials = plan([contested, own], [0], folds=3, run_folds=1)
    run_id = run_name(planted, contested, 0, 0, 3)
    made = train_run(planted, contested, 0, 0, 3, tmp_path / "elsewhere", device="cpu")
    runs = tmp_path / "runs"
    runs.mkdir()
    other = filelock.FileLock(run_lock(runs, run_id).lock_file, thread_local=False)
    heard: list[str] = []

    def hear(event: Event) -> None:
        heard.append(f"{event.kind} {event.trial.experiment.name}")
        if heard[-1] == f"done {own.name}":
            if end == "made":
                shutil.move(made, runs / run_id)
            other.release()

    other.acquire()
    outcomes = ablate(planted.folder, trials, runs, "cpu", jobs=1, listener=hear)

    assert [outcome.state for outcome in outcomes] == ["kept" if end == "made" else "done", "done"]
    assert outcomes[0].folder == runs / run_id
    assert f"waiting {contested.name}" in heard
    assert heard[-1] == f"{outcomes[0].state} {contested.name}"  # its turn came at the end, after all others


def test_killed_worker_costs_nothing_and_a_deadly_trial_only_itself(planted: SampleSet, tmp_path: Path) -> None:
    trials = plan([quick("bilstm", epochs=1), quick("vit", epochs=1)], [0], folds=3, run_folds=1)
    marker = tmp_path / "killed"

    def kill_once(ids: np.ndarray) -> dict[str, float]:
        try:
            marker.touch(exist_ok=False)
        except FileExistsError:
            return {"joint": 1.0}
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    def kill(ids: np.ndarray) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    once = ablate(planted.folder, trials, tmp_path / "once", "cpu", jobs=2, ceilings=kill_once)
    always = ablate(planted.folder, trials, tmp_path / "always", "cpu", jobs=2, ceilings=kill)

    assert [outcome.state for outcome in once] == ["done", "done"]
    assert [outcome.error for outcome in always] == [LOST, LOST]
    assert not [name for name in _leftovers(tmp_path / "once") if name.startswith(".ablate-")]


# A suite that was started in the background (a shell's `&`) ignores SIGINT, and so would this script; a terminal's
# does not.
_SCRIPT = """
import json, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
import joblib
joblib.cpu_count = lambda: 1
from fusion.cli.training import _terminable
from fusion.training.ablate import ablate, plan
from tests.training.conftest import quick

def main():
    samples, runs, epochs, jobs = sys.argv[1:]
    trials = plan([quick("bilstm", epochs=int(epochs)), quick("vit", epochs=int(epochs))], [0], 3, 1)
    def tell(event):
        print(json.dumps(event.to_dict()), flush=True)
    with _terminable():
        outcomes = ablate(Path(samples), trials, Path(runs), "cpu", jobs=int(jobs), listener=tell)
    print(json.dumps({"states": [outcome.state for outcome in outcomes]}))

if __name__ == "__main__":
    main()
"""


@contextlib.contextmanager
def _started(planted: SampleSet, runs: Path, epochs: int, jobs: int, log: Path) -> Iterator[subprocess.Popen]:
    """An ablation in a process of its own, which does not outlive the test."""
    script = log.with_suffix(".py")
    script.write_text(_SCRIPT)
    command = [sys.executable, str(script), str(planted.folder), str(runs), str(epochs), str(jobs)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (
        log.open("w") as out,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def _until(true: Callable[[], bool], what: str, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def test_two_ablations_of_the_same_runs_share_the_work(planted: SampleSet, tmp_path: Path) -> None:
    logs = [tmp_path / "one.log", tmp_path / "two.log"]

    runs = tmp_path / "runs"
    with _started(planted, runs, 3, 1, logs[0]) as one, _started(planted, runs, 3, 1, logs[1]) as two:
        codes = [process.wait(timeout=500) for process in (one, two)]

    assert codes == [0, 0], [log.read_text() for log in logs]
    states = [json.loads(log.read_text().splitlines()[-1])["states"] for log in logs]
    assert {state for pair in states for state in pair} == {"done", "kept"}
    assert [sorted(pair) for pair in zip(*states, strict=True)] == [["done", "kept"]] * 2  # each was trained once
    assert len(_runs(runs)) == 2
    assert not _leftovers(runs)


@pytest.mark.parametrize(("number", "jobs"), [(signal.SIGINT, 2), (signal.SIGTERM, 2), (signal.SIGTERM, 1)])
def test_interrupt_ends_the_workers_and_the_next_call_goes_on(
    planted: SampleSet, tmp_path: Path, number: signal.Signals, jobs: int
) -> None:
    runs, log = tmp_path / "runs", tmp_path / "log.txt"
    rows = [quick("bilstm", epochs=4000), quick("vit", epochs=4000)][:jobs]
    names = [run_name(planted, row, 0, 0, 3) for row in rows]
    begun = [runs / f".{name}.tmp" / "resume.ckpt" for name in names]
    with _started(planted, runs, 4000, jobs, log) as process:
        _until(lambda: process.poll() is not None or all(path.is_file() for path in begun), "nothing began")

        process.send_signal(number)
        process.wait(timeout=120)

    assert process.returncode not in (0, None)
    assert "KeyboardInterrupt" in log.read_text()

    def free() -> bool:
        try:
            for name in names:  # a worker that lives on holds its run's lock
                with run_lock(runs, name):
                    pass
        except filelock.Timeout:
            return False
        return True

    _until(free, "a worker lives on", 20)
    assert all(path.is_file() for path in begun)
    assert _runs(runs) == []
    assert not list(runs.glob(".ablate-*"))


def test_trial_names_itself() -> None:
    trial = Trial(EXPERIMENTS["vit"], 1, 2, 5, "random")

    assert str(trial) == "vit, seed 1, fold 2 of 5 random"
