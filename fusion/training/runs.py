"""Finished runs on disk: reading, listing, staleness, deleting. No torch here: pages read runs without it.

A run is a folder `runs/<id>/` holding `run.json`, `metrics.json`, `predictions.parquet`, `history.csv` and, unless only
its results were shipped, `model.safetensors` and `model.json`. It appears by one rename, so a folder under its final
name is whole; one that is torn all the same (a copy cut short) is reported, never fatal.
"""

import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import filelock
import pandas as pd

from fusion.classes import IDS
from fusion.errors import RunError
from fusion.models import MODEL_VERSION

RUN_FILES = ("run.json", "metrics.json", "predictions.parquet", "history.csv")
WEIGHT_FILES = ("model.safetensors", "model.json")
RUN_ID = re.compile(
    r"^(?P<experiment>[a-z0-9+-]+)-s(?P<seed>\d+)-f(?P<fold>\d+)of(?P<folds>\d+)-(?P<digits>[0-9a-f]{8})$"
)

_RUN_KEYS = ("id", "experiment", "seed", "fold", "folds", "fold_kind", "city_fingerprint", "model_version", "shipped")
_METRIC_KEYS = ("overall_accuracy", "balanced_accuracy", "macro_f1", "confusion", "temperature", "n_test")

STALE_TEXT = {
    "data": "the city's data changed since this run was trained",
    "model": "the program's models changed since this run was trained",
}


class _City(Protocol):
    """What this module needs of `fusion.city.City`, which lies on the map side."""

    def run_folders(self) -> list[Path]: ...
    def fingerprint(self) -> str: ...


@dataclass(frozen=True)
class RunRecord:
    """One finished run: `run` and `metrics` are run.json and metrics.json as they lie on disk."""

    folder: Path
    run: dict[str, Any]
    metrics: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.run["id"])

    @property
    def experiment(self) -> str:
        return str(self.run["experiment"])

    @property
    def seed(self) -> int:
        return int(self.run["seed"])

    @property
    def fold(self) -> int:
        return int(self.run["fold"])

    @property
    def folds(self) -> int:
        return int(self.run["folds"])

    @property
    def shipped(self) -> bool:
        return bool(self.run["shipped"])

    @property
    def has_weights(self) -> bool:
        """Whether the checkpoint came with the results; of most shipped runs only the results are there."""
        return all((self.folder / name).is_file() for name in WEIGHT_FILES)

    def predictions(self) -> pd.DataFrame:
        """Return the test fold's predictions: id, group, true, predicted, p_<class id> nine times.

        Raises:
            RunError: the file is torn.
        """
        path = self.folder / "predictions.parquet"
        try:
            table = pd.read_parquet(path)
        except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
            raise RunError(f"{path}: cannot be read ({_one_line(error)}): train this run again") from None
        wanted = {"id", "true", "predicted", *(f"p_{id_}" for id_ in IDS)}
        if missing := sorted(wanted - set(table.columns)):
            raise RunError(f"{path}: no column {', '.join(missing)}: train this run again")
        return table

    def history(self) -> pd.DataFrame:
        """Return one row an epoch: epoch, train_loss, val_loss, val_macro_f1, lr, seconds.

        Raises:
            RunError: the file is torn.
        """
        path = self.folder / "history.csv"
        try:
            return pd.read_csv(path)
        except (OSError, ValueError) as error:
            raise RunError(f"{path}: cannot be read ({_one_line(error)}): train this run again") from None


def load_run(folder: Path) -> RunRecord:
    """Read a finished run.

    Raises:
        RunError: the folder is absent or torn, or lacks a key that every run has.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"{folder}: no such run: `python -m fusion runs` lists those there are")
    if missing := [name for name in RUN_FILES if not (folder / name).is_file()]:
        raise RunError(f"{folder}: torn run, no {', '.join(missing)}: delete it and train again")
    run = _read_json(folder / "run.json", _RUN_KEYS)
    metrics = _read_json(folder / "metrics.json", _METRIC_KEYS)
    return RunRecord(folder, run, metrics)


def load_runs(folders: Iterable[Path]) -> tuple[list[RunRecord], dict[Path, str]]:
    """Read many runs; return those that are whole, and for each torn folder the reason."""
    records: list[RunRecord] = []
    problems: dict[Path, str] = {}
    for folder in folders:
        try:
            records.append(load_run(folder))
        except RunError as error:
            problems[Path(folder)] = str(error)
    return records, problems


def stale_reasons(record: RunRecord, city_fingerprint: str, model_version: int = MODEL_VERSION) -> tuple[str, ...]:
    """Return why a run no longer matches: none, or some of "data" and "model" (texts in `STALE_TEXT`)."""
    reasons = []
    if record.run["city_fingerprint"] != city_fingerprint:
        reasons.append("data")
    if record.run["model_version"] != model_version:
        reasons.append("model")
    return tuple(reasons)


def list_runs(city: _City) -> pd.DataFrame:
    """Return one row a run folder of the city, its own first, then the shipped ones.

    Columns: id, experiment, seed, fold, folds, share_kept, n_test, overall_accuracy, balanced_accuracy, macro_f1,
    ece_after, parameters, train_s, device, started, shipped, has_weights, stale (reasons joined by a comma, "" if
    fresh), problem (None, or why the folder cannot be used; the figures are then missing), folder.
    """
    fingerprint = city.fingerprint()
    rows: list[dict[str, Any]] = []
    for folder in city.run_folders():
        try:
            rows.append(_row(load_run(folder), fingerprint))
        except RunError as error:
            rows.append({"id": Path(folder).name, "folder": str(folder), "problem": str(error)})
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)


def delete_run(folder: Path) -> None:
    """Delete a run of one's own, torn ones included.

    Raises:
        RunError: not a run folder, a shipped run, or a run that is being trained.
    """
    folder = Path(folder)
    if not folder.is_dir() or not RUN_ID.match(folder.name):
        raise RunError(f"{folder}: no such run: `python -m fusion runs` lists those there are")
    if _is_shipped(folder):
        raise RunError(f"{folder.name}: shipped with the program, cannot be deleted")
    lock = run_lock(folder.parent, folder.name)
    try:
        with lock:
            # The rename takes it out of every list at once; a deletion that is killed half-way leaves no torn run.
            doomed = folder.with_name(f".{folder.name}.deleted")
            shutil.rmtree(doomed, ignore_errors=True)
            folder.rename(doomed)
            shutil.rmtree(doomed)
            shutil.rmtree(folder.with_name(f".{folder.name}.tmp"), ignore_errors=True)
    except filelock.Timeout:
        raise RunError(f"{folder.name}: being trained by another process: stop that first") from None


def run_lock(runs_dir: Path, run_id: str) -> filelock.BaseFileLock:
    """Return the lock that whoever trains or deletes this run holds; it never waits."""
    return filelock.FileLock(Path(runs_dir) / f".{run_id}.lock", timeout=0)


def partners(record: RunRecord, records: Iterable[RunRecord]) -> dict[str, RunRecord | None]:
    """Return the two unimodal runs that belong beside a fusion run, under "image" and "signal".

    A partner is the fusion's own stream trained alone, of the same seed, fold, folds and data; None where no such
    run is among `records`. One with weights is preferred to one without. For a unimodal run both are None.
    """
    # Here and not above: experiments builds network configurations, which reading a list of runs does not need.
    from fusion.training.experiments import EXPERIMENTS

    experiment = EXPERIMENTS.get(record.experiment)
    names = experiment.partners if experiment is not None else None
    if names is None:
        return {"image": None, "signal": None}
    known = list(records)
    return {"image": _match(record, names[0], known), "signal": _match(record, names[1], known)}


def _match(record: RunRecord, name: str, known: list[RunRecord]) -> RunRecord | None:
    keys = ("seed", "fold", "folds", "fold_kind", "city_fingerprint", "model_version")
    same = [
        other for other in known if other.experiment == name and all(other.run[key] == record.run[key] for key in keys)
    ]
    return max(same, key=lambda other: other.has_weights, default=None)


def _is_shipped(folder: Path) -> bool:
    try:
        return bool(_read_json(folder / "run.json", ("shipped",))["shipped"])
    except RunError:
        return "reference" in folder.resolve().parts[-3:]


def _read_json(path: Path, keys: Iterable[str]) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({_one_line(error)}): delete the run and train again") from None
    if not isinstance(content, dict):
        raise RunError(f"{path}: not a JSON object: delete the run and train again")
    if missing := [key for key in keys if key not in content]:
        raise RunError(f"{path}: no {', '.join(missing)}: delete the run and train again")
    return content


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


_COLUMNS: dict[str, str] = {
    "id": "string",
    "experiment": "string",
    "seed": "Int64",
    "fold": "Int64",
    "folds": "Int64",
    "share_kept": "Float64",
    "n_test": "Int64",
    "overall_accuracy": "Float64",
    "balanced_accuracy": "Float64",
    "macro_f1": "Float64",
    "ece_after": "Float64",
    "parameters": "Int64",
    "train_s": "Float64",
    "device": "string",
    "started": "string",
    "shipped": "boolean",
    "has_weights": "boolean",
    "stale": "string",
    "problem": "object",
    "folder": "string",
}


def _row(record: RunRecord, city_fingerprint: str) -> dict[str, Any]:
    run, metrics = record.run, record.metrics
    return {
        "id": record.id,
        "experiment": record.experiment,
        "seed": record.seed,
        "fold": record.fold,
        "folds": record.folds,
        "share_kept": run.get("share_kept"),
        "n_test": metrics["n_test"],
        "overall_accuracy": metrics["overall_accuracy"],
        "balanced_accuracy": metrics["balanced_accuracy"],
        "macro_f1": metrics["macro_f1"],
        "ece_after": metrics.get("ece_after"),
        "parameters": run.get("parameters"),
        "train_s": (run.get("seconds") or {}).get("train"),
        "device": run.get("device"),
        "started": run.get("started"),
        "shipped": record.shipped,
        "has_weights": record.has_weights,
        "stale": ",".join(stale_reasons(record, city_fingerprint)),
        "problem": None,
        "folder": str(record.folder),
    }
