"""What one answer comes from: which hours, by occlusion, and which modality, by exact Shapley values."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fusion.analysis.damage import hide_steps
from fusion.analysis.findings import LIMITS, Occlusion, Shapley, hours_limit, shapley_limit
from fusion.analysis.forward import batch_probabilities
from fusion.errors import RunError
from fusion.samples.batches import make_batch
from fusion.samples.sampleset import SampleSet
from fusion.training.augment import hide_modalities
from fusion.training.data import Batch, to_tensors
from fusion.training.predict import Predictor

Progress = Callable[[float, str], None]


def occlude_hours(
    predictor: Predictor, samples: SampleSet, row: int, batch_size: int = 64, progress: Progress | None = None
) -> Occlusion:
    """Make each time step of a sample missing in turn and see what becomes of the predicted class's probability.

    Occlusion (Zeiler & Fergus, ECCV 2014, arXiv 1311.2901) in time. A step is taken away with all its channels, from
    the cell and from its neighbours, as an hour that nobody reported; in the layout `days` that is one hour of the day
    on all days at once. Hours that can stand in for each other each show little.

    Args:
        predictor: the model.
        samples: of the form that it reads.
        row: of the sample.
        batch_size: occluded copies at a time; T + 1 forward passes in all.
        progress: called with a share from 0 to 1 and a line of text; what it raises ends the work.

    Raises:
        RunError: the model reads no signaling, or the samples are not of the form that it was trained on.
    """
    if limit := hours_limit(predictor.card.network):
        raise RunError(f"{predictor.card.experiment}: {LIMITS[limit]}")
    batch = _one(predictor, samples, row)
    steps = batch["cube"].shape[1]
    gone = torch.cat([torch.zeros(1, steps, dtype=torch.bool), torch.eye(steps, dtype=torch.bool)])
    parts = []
    for start in range(0, len(gone), batch_size):
        part = gone[start : start + batch_size]
        parts.append(batch_probabilities(predictor, hide_steps(_repeat(batch, len(part)), part)))
        if progress is not None:
            done = min(start + batch_size, len(gone))
            progress(done / len(gone), f"{done} of {len(gone)} occlusions")
    probability = np.concatenate(parts)
    predicted = int(probability[0].argmax())
    support = probability[0, predicted] - probability[1:, predicted]
    there = batch["present"][0].flatten(1).any(dim=1).numpy()
    return Occlusion(predicted, float(probability[0, predicted]), np.where(there, support, np.nan))


def modality_shapley(predictor: Predictor, samples: SampleSet, row: int) -> Shapley:
    """Share the predicted class's probability out between the two modalities, exactly.

    Shapley values (Shapley 1953; for models Lundberg & Lee, NeurIPS 2017, arXiv 1705.07874) of a game of two players
    need four evaluations: v(nothing), v(image), v(signal), v(both). v is the calibrated probability of the class that
    is predicted from both: in probability, not in log-odds, contributions are points of the number that is shown. An
    absent modality is the learned token of a model trained with modality dropout, which also loses both at times
    (`fusion.training.augment.drop_modality`), so that none of the four is a case that the model never met.

    Args:
        predictor: a model with absent tokens.
        samples: of the form that it reads.
        row: of the sample.

    Raises:
        RunError: the model has one modality or no absent tokens, or the samples are not of the form that it was
            trained on.
    """
    if limit := shapley_limit(predictor.card.network):
        raise RunError(f"{predictor.card.experiment}: {LIMITS[limit]}")
    batch = _repeat(_one(predictor, samples, row), 4)
    no_image, no_signal = torch.tensor([[True, False, True, False], [True, True, False, False]])
    probability = batch_probabilities(predictor, hide_modalities(batch, no_image, no_signal))
    predicted = int(probability[3].argmax())
    nothing, image_only, signal_only, both = map(float, probability[:, predicted])
    return Shapley(predicted, nothing, image_only, signal_only, both)


def _one(predictor: Predictor, samples: SampleSet, row: int) -> Batch:
    predictor.check(samples)
    return to_tensors(make_batch(samples, np.array([row]), predictor.scalers))


def _repeat(batch: Batch, times: int) -> Batch:
    return {name: _expand(tensor, times) for name, tensor in batch.items()}


def _expand(tensor: Tensor, times: int) -> Tensor:
    return tensor.expand(times, *tensor.shape[1:])
