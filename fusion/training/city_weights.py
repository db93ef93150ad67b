"""Weights "city": what masked autoencoding learns of a city without a fold's test area, made once and kept.

They lie beside the runs, in `pretrained/`, under a name that says what they follow from: the chips they were trained
on, pixel by pixel, the network's sizes, the options and the model code. One pretraining (seed 0) serves all runs of a
fold, whatever their seeds: differences between seeds therefore do not show how much pretraining itself varies.
"""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import torch

from fusion.models import MODEL_VERSION
from fusion.models.config import CITY_WEIGHTS, NetworkConfig, VisionConfig
from fusion.models.network import Network
from fusion.models.vision import VisionStream
from fusion.models.weights import read_about
from fusion.samples.sampleset import SampleSet
from fusion.samples.split import Fold
from fusion.training.pretrain import (
    PretrainConfig,
    Progress,
    digest_test,
    network_sizes,
    pretrain_vision,
    pretraining_rows,
)

FOLDER = "pretrained"
SEED = 0
_CHUNK = 256


def resolve_weights(
    config: NetworkConfig,
    samples: SampleSet,
    fold: Fold,
    runs_dir: Path,
    device: torch.device,
    progress: Progress | None = None,
) -> NetworkConfig:
    """Return a configuration to build a network from: weights "city" have become a file, made if it does not exist.

    Only `build_network` should see what this returns: the card and the record of a run keep `config`, which names no
    path of this machine.

    Args:
        config: of the experiment.
        samples, fold: what the run trains on.
        runs_dir: the city's `runs/`; the weights lie in `pretrained/` beside it.
        device: what computes, if they must be made.
        progress: called with a share from 0 to 1 and a line of text while they are made or waited for.

    Raises:
        SampleError, ConfigError, RunError: as `pretrain_vision`.
    """
    if config.vision is None or config.vision.weights != CITY_WEIGHTS:
        return config
    folder = Path(runs_dir).parent / FOLDER
    path = city_weights(samples, fold, config.vision, folder, device, progress)
    return dataclasses.replace(config, vision=dataclasses.replace(config.vision, weights=str(path)))


def city_weights(
    samples: SampleSet,
    fold: Fold,
    config: VisionConfig,
    folder: Path,
    device: torch.device,
    progress: Progress | None = None,
    pretraining: PretrainConfig | None = None,
) -> Path:
    """Return the file of a fold's pretrained weights; the first process that asks trains it, others wait for it.

    Raises:
        SampleError, ConfigError, RunError: as `pretrain_vision`.
    """
    options = pretraining or PretrainConfig()
    rows = pretraining_rows(samples, fold)
    name = _name(samples, fold, rows, config, options)
    path = Path(folder) / f"{name}.safetensors"
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path.with_name(f".{name}.lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        if progress is not None:
            progress(0.0, "waiting for the pretraining in another process")
        lock.acquire(poll_interval=0.5)
    try:
        if not path.is_file():  # whoever held the lock may have made it
            pretrain_vision(samples, rows, config, options, SEED, device, path, progress, fold=fold)
    finally:
        lock.release()
    return path


def weights_recipe(config: NetworkConfig) -> dict[str, Any] | None:
    """Return what a run's name must follow of its initial weights beyond the configuration; None where that is all.

    For "city" the options of pretraining; for a file of one's own its hash, as another file may take its place.
    """
    weights = None if config.vision is None else config.vision.weights
    if weights is None or weights == "timm":
        return None
    if weights == CITY_WEIGHTS:
        return {"pretraining": dataclasses.asdict(PretrainConfig()), "seed": SEED}
    path = Path(weights)
    # an absent file has no hash; building the network says so in better words than these
    return {"file": hashlib.sha256(path.read_bytes()).hexdigest()} if path.is_file() else None


def describe_pretraining(
    config: NetworkConfig, network: Network, samples: SampleSet, fold: Fold
) -> dict[str, Any] | None:
    """Return run.json's record "pretrained": None from scratch, else where weights came from and what was taken.

    Keys: source ("city", "timm" or the path as configured), file (its name), loaded, missing, unexpected,
    transductive, pretraining (what the file says about itself, or None). Transductive are weights that were trained on
    this fold's test chips, or on another fold of this city; None where the file does not say what it was trained on.

    Args:
        config: of the experiment, unresolved.
        network: as built from the resolved configuration.
        samples, fold: what the run trains on.
    """
    if config.vision is None:
        return None
    stream = network.streams["vision"]
    if not isinstance(stream, VisionStream) or stream.weights is None:
        return None
    report = stream.weights
    about = read_about(Path(report.source))
    return {
        "source": config.vision.weights,
        "file": Path(report.source).name,
        "loaded": report.loaded,
        "missing": list(report.missing),
        "unexpected": list(report.unexpected),
        "transductive": _transductive(config.vision.weights, about, samples, fold),
        "pretraining": about,
    }


def _transductive(weights: str | None, about: dict[str, Any] | None, samples: SampleSet, fold: Fold) -> bool | None:
    if about is None:
        return False if weights == "timm" else None  # timm's have never seen this city
    if about.get("city") != samples.meta.city:
        return False
    return bool(about.get("transductive", True)) or about.get("test") != digest_test(samples, fold)


def _name(samples: SampleSet, fold: Fold, rows: np.ndarray, config: VisionConfig, options: PretrainConfig) -> str:
    """Return the file's stem. The pixels themselves are hashed (0.3 s for 4,000 chips), not the set's fingerprint:
    sets of other layouts or neighbourhoods hold the same chips, and need not be pretrained on again.
    """
    digest = hashlib.blake2b(digest_size=6)
    recipe = {
        "sizes": network_sizes(config),
        "options": dataclasses.asdict(options),
        "seed": SEED,
        "model_version": MODEL_VERSION,
        "chip_px": samples.meta.chip_px,
        "test": digest_test(samples, fold),
    }
    digest.update(json.dumps(recipe, sort_keys=True).encode())
    for start in range(0, len(rows), _CHUNK):
        digest.update(np.ascontiguousarray(samples.images[rows[start : start + _CHUNK]]).tobytes())
    return f"mae-{fold.kind}-f{fold.index}of{fold.folds}-{digest.hexdigest()}"
