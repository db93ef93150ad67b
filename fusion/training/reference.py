"""The reference runs: the suite `core` on three folds of the demo city, whose results ship with the program.

`data/reference/<city>/<id>/` holds the small results of all runs and, for one seed and fold of a fusion and its two
unimodal partners, the checkpoint with weights in half precision (20 MB at most in all). What half precision does to
the predictions is checked before anything is shipped. Three rows are also run on a random split, to show what that
flatters, and four are damaged at test time.
"""

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from fusion.errors import RunError
from fusion.samples.sampleset import SampleSet
from fusion.training.ablate import Ceilings, Trial, ablate, plan
from fusion.training.runs import RUN_FILES, WEIGHT_FILES, RunRecord, load_run
from fusion.training.suites import CORE

Progress = Callable[[float, str], None]
Damage = Callable[[Path, SampleSet], None]

REFERENCE = CORE
SEEDS, FOLDS = 2, 3
WITH_WEIGHTS = ("vit-pretrained", "convlstm-transformer", "vit-pretrained+convlstm-bottleneck-dropout")
WITH_DAMAGE = (*WITH_WEIGHTS, "vit-pretrained+convlstm-bottleneck")
RANDOM_SPLIT = ("vit-pretrained", "convlstm-transformer", "vit-pretrained+convlstm-bottleneck")
FIRST = (0, 0)  # the seed and fold of checkpoints, damage and random split

_LARGEST_BYTES = 20_000_000
_LARGEST_SHIFT = 0.02  # in any probability, from storing weights in half precision
_EXTRA_FILES = ("robustness.csv",)


def reference_trials(seeds: int = SEEDS) -> list[Trial]:
    """Return what is trained: the suite on the spatial folds, and `RANDOM_SPLIT` on the first random one."""
    return [
        *plan(REFERENCE, range(seeds), FOLDS),
        *plan(RANDOM_SPLIT, [FIRST[0]], FOLDS, run_folds=FIRST[1] + 1, split="random"),
    ]


def train_reference(
    samples: SampleSet,
    runs_dir: Path,
    target: Path,
    ceilings: Ceilings | None = None,
    device: str = "cpu",
    jobs: int | None = None,
    progress: Progress | None = None,
    damage: Damage | None = None,
    seeds: int = SEEDS,
) -> list[RunRecord]:
    """Train what is not trained yet, publish all runs, and return them as shipped.

    Args:
        samples: the demo city's SampleSet (layout "days").
        runs_dir: where the full runs lie, usually the city's `runs/`.
        target: `data/reference/<city>`; runs in it that are none of these are removed.
        ceilings: from test ids to the known best accuracies by rule.
        device, jobs: as for `ablate`.
        progress: called as runs end.
        damage: measures the robustness of a run into its folder; called for `WITH_DAMAGE` where that is not there yet.
        seeds: training seeds 0 to n - 1.

    Raises:
        RunError: a run failed, or the results are larger than what may ship.
    """
    outcomes = ablate(samples.folder, reference_trials(seeds), runs_dir, device, jobs, progress, ceilings)
    if failed := [outcome for outcome in outcomes if outcome.folder is None]:
        first = failed[0]
        raise RunError(
            f"{len(failed)} of {len(outcomes)} reference runs failed, the first {first.trial}: {first.error}"
        )
    shipped = []
    for outcome in outcomes:
        assert outcome.folder is not None
        trial, name = outcome.trial, outcome.trial.experiment.name
        chosen = (trial.seed, trial.fold) == FIRST and trial.split != "random"
        if damage is not None and chosen and name in WITH_DAMAGE and not (outcome.folder / _EXTRA_FILES[0]).is_file():
            damage(outcome.folder, samples)
        shipped.append(publish(outcome.folder, target, samples if chosen and name in WITH_WEIGHTS else None))
    _remove_others(target, {record.id for record in shipped})
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    if size > _LARGEST_BYTES:
        raise RunError(f"{target}: {size / 1e6:.1f} MB, more than {_LARGEST_BYTES / 1e6:.0f} MB: ship smaller networks")
    return shipped


def publish(folder: Path, target: Path, samples: SampleSet | None = None) -> RunRecord:
    """Copy a run to `target/<id>` marked as shipped; with its checkpoint where `samples` are given to check it.

    Raises:
        RunError: the run is torn, or half precision changes its predictions.
    """
    record = load_run(folder)
    place = Path(target) / record.id
    written = place.with_name(f".{record.id}.tmp")
    shutil.rmtree(written, ignore_errors=True)
    written.mkdir(parents=True)
    for name in RUN_FILES:
        shutil.copyfile(record.folder / name, written / name)
    for name in _EXTRA_FILES:
        if (record.folder / name).is_file():
            shutil.copyfile(record.folder / name, written / name)
    run = {**record.run, "shipped": True}
    (written / "run.json").write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if samples is not None:
        _halve(record.folder, written)
        shift = largest_shift(written, samples)
        if shift > _LARGEST_SHIFT:
            raise RunError(f"{record.id}: half precision moves a probability by {shift:.3f}: ship it in float32")
    shutil.rmtree(place, ignore_errors=True)
    written.rename(place)
    return load_run(place)


def largest_shift(folder: Path, samples: SampleSet, device: str = "cpu") -> float:
    """Return the largest difference between the probabilities on disk and those that the checkpoint gives now."""
    from fusion.classes import IDS
    from fusion.training.predict import load_predictor

    record = load_run(folder)
    kept = record.predictions()
    columns = [f"p_{id_}" for id_ in IDS]
    now = load_predictor(folder, device).predict(samples, samples.rows_of(kept["id"].to_numpy(dtype=str)))
    return float(np.abs(now[columns].to_numpy() - kept[columns].to_numpy()).max())


def _halve(source: Path, written: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    weights, card = WEIGHT_FILES
    with safe_open(source / weights, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(source / weights)
    halved = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    save_file(halved, written / weights, metadata=metadata)
    shutil.copyfile(source / card, written / card)


def _remove_others(target: Path, kept: Iterable[str]) -> None:
    for folder in Path(target).iterdir():
        if folder.is_dir() and folder.name not in set(kept):
            shutil.rmtree(folder)
