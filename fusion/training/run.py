"""Train one experiment on one fold, measure it, and leave a run folder that is whole or does not exist."""

import contextlib
import dataclasses
import datetime
import importlib.metadata
import json
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError

from fusion.classes import IDS
from fusion.errors import ConfigError, RunBusyError, RunError
from fusion.metrics.calibration import apply_temperature, ece, fit_temperature
from fusion.metrics.scores import evaluate
from fusion.models import MODEL_VERSION, torchvision_guard  # noqa: F401  the guard must precede lightning and timm
from fusion.models.checkpoint import ModelCard, save_checkpoint
from fusion.models.network import Network, build_network, parameters_count
from fusion.samples.sampleset import SampleSet
from fusion.samples.scalers import Scalers, fit_scalers
from fusion.samples.split import Fold, make_folds
from fusion.training.city_weights import describe_pretraining, resolve_weights
from fusion.training.cost import count_multiply_adds, measure_latency
from fusion.training.device import pick_device, pick_precision
from fusion.training.experiment import Experiment
from fusion.training.experiments import experiment_named
from fusion.training.infer import correct_logits, predict_logits, prediction_table
from fusion.training.keeper import BEST_FILE, RESUME_FILE
from fusion.training.measure import measure_similarity
from fusion.training.recipe import input_spec, run_name
from fusion.training.runs import run_lock

Progress = Callable[[float, str], None]
Ceilings = Callable[[np.ndarray], dict[str, float]]

_TRAIN_SHARE = 0.92  # of a run's progress; the rest is evaluation
_PRETRAIN_SHARE = 0.4  # where its weights must be made first
_LIBRARIES = ("torch", "lightning", "timm", "numpy", "scikit-learn", "safetensors")


def train_run(
    samples: SampleSet,
    experiment: str | Experiment,
    seed: int,
    fold: int,
    folds: int,
    runs_dir: Path,
    device: str = "auto",
    resume: bool = False,
    progress: Progress | None = None,
    ceilings: Ceilings | None = None,
    split: str | None = None,
) -> Path:
    """Train, calibrate on validation, measure on test, and return the run's folder.

    A run that is already there is returned as it is: its id names everything that it depends on. The folder is built
    as `.<id>.tmp` and renamed, so that a run killed at any moment is either whole or absent.

    Args:
        samples: the SampleSet, of the layout and neighbourhood that the experiment wants.
        experiment: a name of `EXPERIMENTS`, or an experiment of one's own.
        seed: of weights, order, augmentation and dropout; the folds do not depend on it.
        fold, folds: train on this one (0 the first) of so many folds.
        runs_dir: usually the city's `runs/`.
        device: auto, cuda, cuda:N, mps or cpu.
        resume: go on from a killed run's last whole epoch where there is one; else begin anew.
        progress: called with a share from 0 to 1 and a line of text; what it raises ends the training.
        ceilings: from the ids of the test cells to the best possible accuracy by rule, where that is known.
        split: kind of folds, "spatial" or "random"; by default spatial where the samples have a map.

    Raises:
        ConfigError: no such experiment, device, split or fold, or samples of another layout.
        SampleError: the folds would keep too little for training.
        RunError: the run is being trained elsewhere, the loss diverges, the disk is full, or no resuming is possible.
    """
    experiment = experiment_named(experiment) if isinstance(experiment, str) else experiment
    _check(samples, experiment, fold, folds)
    target = pick_device(device)
    run_id = run_name(samples, experiment, seed, fold, folds, split)
    folder = Path(runs_dir) / run_id
    if folder.is_dir():
        return folder
    temporary = folder.with_name(f".{run_id}.tmp")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with run_lock(folder.parent, run_id):
            if folder.is_dir():  # another process finished it since the first look
                return folder
            if not resume:
                shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(exist_ok=True)
            chosen = make_folds(samples, folds, kind=split)[fold]
            work = _Work(samples, experiment, seed, chosen, target, temporary, progress, ceilings)
            work.run(run_id)
            temporary.rename(folder)
    except filelock.Timeout:
        raise RunBusyError(f"{run_id}: another process is training this run: wait for it, or stop it first") from None
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise RunError(f"{temporary}: cannot be written ({reason}): free the disk, then train with --resume") from None
    return folder


@dataclasses.dataclass
class _Work:
    """One training in its temporary folder; `run` does all of it but the last rename."""

    samples: SampleSet
    experiment: Experiment
    seed: int
    fold: Fold
    device: torch.device
    folder: Path
    progress: Progress | None
    ceilings: Ceilings | None

    def run(self, run_id: str) -> None:
        started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        # Lightning takes 2 s to import; who only names a run or reads its spec does not wait for it.
        from fusion.training.fit import fit

        scalers = fit_scalers(self.samples, self.fold.train)
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices), _bar(self.progress, run_id) as told:
            config, begun = self.experiment.network, 0.0

            def pretraining(share: float, text: str) -> None:
                nonlocal begun
                begun = _PRETRAIN_SHARE * share
                told(begun, f"pretraining: {text}")

            resolved = resolve_weights(config, self.samples, self.fold, self.folder.parent, self.device, pretraining)
            torch.manual_seed(self.seed)
            network = build_network(resolved, input_spec(self.samples))
            precision = pick_precision(self.device)
            fitted = fit(
                network,
                self.samples,
                self.experiment.training,
                self.fold,
                scalers,
                seed=self.seed,
                folder=self.folder,
                device=self.device,
                precision=precision,
                progress=lambda share, text: told(begun + (_TRAIN_SHARE - begun) * share, text),
            )
            told(_TRAIN_SHARE, "measuring")
            metrics, predictions, predict_s = self._measure(network, scalers, fitted.log_weights, told)
            cost = {
                "parameters": parameters_count(network),
                "multiply_adds": count_multiply_adds(network),
                "latency_ms": measure_latency(network, self.device),
            }
        pd.DataFrame(fitted.history).to_csv(self.folder / "history.csv", index=False)
        _write_predictions(self.folder, predictions)
        _write_json(self.folder / "metrics.json", metrics)
        card = ModelCard(
            network=self.experiment.network,
            spec=input_spec(self.samples),
            classes=self.samples.meta.classes,
            scalers=scalers.to_dict(),
            temperature=metrics["temperature"],
            log_weights=tuple(fitted.log_weights.tolist()),
            model_version=MODEL_VERSION,
            experiment=self.experiment.name,
        )
        save_checkpoint(self.folder, network, card)
        meta, fold = self.samples.meta, self.fold
        _write_json(
            self.folder / "run.json",
            {
                "id": run_id,
                "experiment": self.experiment.name,
                "seed": self.seed,
                "fold": fold.index,
                "folds": fold.folds,
                "fold_kind": fold.kind,
                "share_kept": fold.share_kept,
                "counts": {"train": len(fold.train), "validation": len(fold.validation), "test": len(fold.test)},
                "not_evaluable": list(fold.not_evaluable),
                "config": self.experiment.to_dict(),
                "city": meta.city,
                "provenance": meta.provenance,
                "city_fingerprint": meta.city_fingerprint,
                "samples_fingerprint": meta.fingerprint,
                "model_version": MODEL_VERSION,
                "versions": {"python": platform.python_version(), **_versions()},
                "device": str(self.device),
                "precision": precision,
                "started": started,
                "seconds": {"train": round(fitted.seconds, 2), "predict": round(predict_s, 3)},
                "epochs": len(fitted.history),
                "best_epoch": fitted.best_epoch,
                "parameters": cost["parameters"],
                "cost": cost,
                "pretrained": describe_pretraining(config, network, self.samples, fold),
                "shipped": False,
            },
        )
        for name in (RESUME_FILE, BEST_FILE):
            (self.folder / name).unlink(missing_ok=True)

    def _measure(
        self, network: Network, scalers: Scalers, log_weights: np.ndarray, told: Progress
    ) -> tuple[dict[str, Any], pd.DataFrame, float]:
        """Return the metrics, the test fold's predictions, and the seconds that predicting it took."""
        samples, fold = self.samples, self.fold

        def corrected(rows: np.ndarray) -> np.ndarray:
            return correct_logits(predict_logits(network, samples, rows, scalers, self.device), log_weights)

        on_validation = corrected(fold.validation)
        told(0.96, "measuring")
        began = time.perf_counter()
        on_test = corrected(fold.test)
        predict_s = time.perf_counter() - began
        temperature = fit_temperature(on_validation, samples.labels[fold.validation])
        truth = samples.labels[fold.test].astype(np.int64)
        probability = apply_temperature(on_test, temperature)
        metrics = {
            **evaluate(truth, probability, fold.not_evaluable),
            "ece_before": ece(apply_temperature(on_test, 1.0), truth),
            "ece_after": ece(probability, truth),
            "temperature": float(temperature),
            "similarity": measure_similarity(network, samples, fold.test, scalers, self.device),
            "ceilings": self.ceilings(samples.ids[fold.test]) if self.ceilings is not None else None,
        }
        return metrics, prediction_table(samples, fold.test, probability), predict_s


def _check(samples: SampleSet, experiment: Experiment, fold: int, folds: int) -> None:
    if not 0 <= fold < folds:
        raise ConfigError(f"fold {fold} of {folds}: folds count from 0 to {folds - 1}")
    meta = samples.meta
    if meta.classes != IDS:
        raise ConfigError(f"samples of {meta.city} have other classes than this program: extract them again")
    # a square grid is of one layout, whatever the experiment wants of a map's cells
    if meta.grid == "hex" and (meta.layout, meta.k) != (experiment.layout, experiment.k):
        raise ConfigError(
            f"samples of {meta.city} have layout {meta.layout!r} and k {meta.k}, {experiment.name} wants "
            f"{experiment.layout!r} and {experiment.k}: extract samples with those"
        )


@contextlib.contextmanager
def _bar(progress: Progress | None, run_id: str) -> Iterator[Progress]:
    """Yield `progress`, or a bar on stderr (if that is a terminal) where the caller gave none."""
    if progress is not None:
        yield progress
        return
    from tqdm import tqdm

    with tqdm(total=100, desc=run_id, unit="%", disable=None, leave=False) as bar:

        def told(share: float, text: str) -> None:
            bar.set_postfix_str(text, refresh=False)
            bar.update(round(100 * share) - bar.n)

        yield told


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}


def _write_predictions(folder: Path, table: pd.DataFrame) -> None:
    """Write a run's `predictions.parquet`, exact to the bit in two thirds of Parquet's usual size.

    Args:
        folder: the run's.
        table: id, group, true, predicted, p_<class id> nine times (probabilities, float32).
    """
    shares = [name for name in table.columns if name.startswith("p_")]
    table.to_parquet(
        folder / "predictions.parquet",
        index=False,
        compression="zstd",
        compression_level=9,
        use_dictionary=[name for name in table.columns if name not in shares],
        use_byte_stream_split=shares,  # nearly every probability is another one: a dictionary of them only adds to them
    )


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
