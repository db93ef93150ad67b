"""Runs of known results, written as training writes them, without training anything.

`write_runs` makes the results of experiments x folds: predictions that are right in exactly the share of cells asked
for, spread by a fixed rule. `write_checkpoint` adds the weights of an untrained network, so that a page can really
predict.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd

from fusion import store
from fusion.city import City
from fusion.classes import IDS
from fusion.geo import grid
from fusion.metrics.scores import evaluate
from fusion.models import MODEL_VERSION
from fusion.training.experiments import EXPERIMENTS

CONFIDENT = 0.6
CORE = {
    "vit": 0.55,
    "bilstm": 0.5,
    "convlstm": 0.6,
    "vit+bilstm-late": 0.65,
    "vit+convlstm-late": 0.7,
    "vit+convlstm-bottleneck": 0.75,
}
CEILINGS = {"image": 0.62, "signal": 0.66, "additive": 0.78, "joint": 0.88, "oracle": 0.93}


def write_runs(
    city: City,
    experiments: dict[str, float] | None = None,
    folds: int = 3,
    seed: int = 0,
    *,
    ceilings: bool = True,
    not_evaluable: tuple[str, ...] = (),
    fingerprint: str | None = None,
    model_version: int = MODEL_VERSION,
    temperature: float = 1.5,
    fold_kind: str = "spatial",
    cost: bool = True,
) -> list[Path]:
    """Write the runs of every experiment and fold into the city's own runs; return their folders.

    Another seed is right about as many cells, but others. Random folds deal cell by cell. Without `cost` a run is as
    the first version of the program left it.
    """
    labelled = store.functions(city)
    labelled = labelled.assign(id=grid.to_hex(labelled["cell"]), group=grid.parents(labelled["cell"]).astype("int64"))
    fold_of = pd.factorize(labelled["group"])[0] % folds
    if len(set(fold_of)) < folds:  # a city of one parent: cut it anyhow
        fold_of = np.arange(len(labelled)) % folds
    if fold_kind == "random":
        fold_of = np.random.default_rng(folds).permutation(len(labelled)) % folds
    written = []
    for number, (experiment, share) in enumerate((experiments or CORE).items()):
        for fold in range(folds):
            part = labelled[fold_of == fold]
            written.append(
                _write(
                    city,
                    experiment,
                    _predict(part, share, number + 1000 * seed),
                    {
                        "seed": seed,
                        "fold_kind": fold_kind,
                        "share_kept": 0.5 if fold_kind == "spatial" else 0.6,
                        "fold": fold,
                        "folds": folds,
                        "not_evaluable": list(not_evaluable),
                        "city_fingerprint": fingerprint or city.fingerprint(),
                        "model_version": model_version,
                        "parameters": 100_000 * (number + 1),
                        "seconds": {"train": 20.0 * (number + 1), "predict": 1.0},
                        **({"cost": _cost(number)} if cost else {}),
                    },
                    CEILINGS if ceilings else None,
                    temperature,
                )
            )
    return written


def _cost(number: int) -> dict:
    return {
        "parameters": 100_000 * (number + 1),
        "multiply_adds": 20_000_000 * (number + 1),
        "latency_ms": {"1": 2.0 + number, "32": 30.0 + 10 * number},
    }


def write_checkpoint(folder: Path, samples_meta: object, temperature: float = 1.0) -> Path:
    """Put an untrained network of the run's experiment into its folder, for the city's samples."""
    import torch

    from fusion.models import torchvision_guard  # noqa: F401
    from fusion.models.checkpoint import ModelCard, save_checkpoint
    from fusion.models.config import InputSpec
    from fusion.models.network import build_network

    meta = samples_meta
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    config = EXPERIMENTS[run["experiment"]].network
    spec = InputSpec(meta.chip_px, meta.steps, 3 * meta.channels, 2 * meta.k + 1, meta.grid, len(IDS))
    scalers = {
        "measures": list(meta.measures),
        "series_mean": [3.0] * len(meta.measures),
        "series_std": [1.0] * len(meta.measures),
        "image_mean": [110.0, 110.0, 110.0],
        "image_std": [40.0, 40.0, 40.0],
    }
    torch.manual_seed(int(hashlib.sha256(run["experiment"].encode()).hexdigest()[:6], 16))
    card = ModelCard(config, spec, scalers, temperature, run["experiment"])
    save_checkpoint(folder, build_network(config, spec, initial_weights=False), card)
    return folder


def _predict(cells: pd.DataFrame, share: float, number: int) -> pd.DataFrame:
    """Right in the first `share` of the cells in a shuffled order of the experiment's own; else the next class."""
    true = cells["function"].map(IDS.index).to_numpy()
    order = np.random.default_rng(number).permutation(len(cells))
    wrong = np.zeros(len(cells), dtype=bool)
    wrong[order[round(share * len(cells)) :]] = True
    said = np.where(wrong, (true + 1) % len(IDS), true)
    probability = np.full((len(cells), len(IDS)), (1 - CONFIDENT) / (len(IDS) - 1), dtype=np.float32)
    probability[np.arange(len(cells)), said] = CONFIDENT
    table = pd.DataFrame({"id": cells["id"].to_numpy(), "group": cells["group"].to_numpy()})
    names = np.asarray(IDS, dtype=object)
    table["true"], table["predicted"] = names[true], names[said]
    return table.assign(**{f"p_{id_}": probability[:, index] for index, id_ in enumerate(IDS)})


def _write(
    city: City, experiment: str, predictions: pd.DataFrame, run: dict, ceilings: dict | None, temperature: float
) -> Path:
    recipe = json.dumps([experiment, run["city_fingerprint"], run["model_version"], run["fold_kind"]])
    digits = hashlib.sha256(recipe.encode()).hexdigest()[:8]
    folder = city.runs / f"{experiment}-s{run['seed']}-f{run['fold']}of{run['folds']}-{digits}"
    folder.mkdir(parents=True, exist_ok=True)
    truth = predictions["true"].map(IDS.index).to_numpy()
    scores = evaluate(truth, predictions[[f"p_{id_}" for id_ in IDS]].to_numpy(), run["not_evaluable"])
    metrics = {**scores, "ece_before": 0.1, "ece_after": 0.05, "temperature": temperature, "ceilings": ceilings}
    row = EXPERIMENTS.get(experiment)
    card = {
        "id": folder.name,
        "experiment": experiment,
        "counts": {"train": 0, "validation": 0, "test": len(predictions)},
        "config": row.to_dict() if row is not None else {},
        "city": city.name,
        "provenance": city.info.provenance,
        "samples_fingerprint": "none",
        "versions": {},
        "device": "cpu",
        "precision": "32-true",
        "started": "2026-11-23T12:00:00+00:00",
        "shipped": False,
        **run,
    }
    (folder / "run.json").write_text(json.dumps(card), encoding="utf-8")
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    predictions.to_parquet(folder / "predictions.parquet", index=False)
    pd.DataFrame(
        {
            "epoch": [1, 2],
            "train_loss": [2.0, 1.5],
            "val_loss": [2.0, 1.6],
            "val_macro_f1": [0.3, 0.4],
            "lr": [1e-3, 0.0],
        }
    ).assign(seconds=1.0).to_csv(folder / "history.csv", index=False)
    return folder
