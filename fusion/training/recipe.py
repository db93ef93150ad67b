"""What a run follows from: the name that says it, and the shape of what its network reads."""

import hashlib
import json

from fusion.models import MODEL_VERSION
from fusion.models.config import InputSpec
from fusion.samples.sampleset import SampleSet
from fusion.samples.split import default_split
from fusion.training.city_weights import weights_recipe
from fusion.training.experiment import Experiment


def run_name(
    samples: SampleSet, experiment: Experiment, seed: int, fold: int, folds: int, split: str | None = None
) -> str:
    """Return `<experiment>-s<seed>-f<fold>of<folds>-<8 digits>`.

    The digits name data, kind of folds, configuration, model code, and how its initial weights are pretrained.
    """
    recipe = {
        "experiment": experiment.to_dict(),
        "samples": samples.meta.fingerprint,
        "split": split or default_split(samples),
        "model_version": MODEL_VERSION,
        "weights": weights_recipe(experiment.network),
    }
    digits = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:8]
    return f"{experiment.name}-s{seed}-f{fold}of{folds}-{digits}"


def input_spec(samples: SampleSet) -> InputSpec:
    """Return what a network for these samples must take."""
    meta = samples.meta
    rows, columns = (2 * meta.k + 1, None) if meta.grid == "hex" else samples.series.shape[3:5]
    return InputSpec(
        chip_px=meta.chip_px,
        steps=meta.steps,
        channels=3 * meta.channels,
        kernel=rows,
        grid=meta.grid,
        classes=len(meta.classes),
        columns=columns,
    )
