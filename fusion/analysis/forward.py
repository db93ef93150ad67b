"""Probabilities of batches that were changed on purpose, exactly as the run's own metrics would see them."""

import numpy as np
import torch

from fusion.metrics.calibration import apply_temperature
from fusion.training.data import Batch
from fusion.training.infer import correct_logits
from fusion.training.predict import Predictor


def batch_probabilities(predictor: Predictor, batch: Batch) -> np.ndarray:
    """Return (B,classes) calibrated probabilities of a batch; as `Predictor.probabilities` in all else."""
    with torch.inference_mode():
        logits = predictor.network({name: tensor.to(predictor.device) for name, tensor in batch.items()})
    raw = logits.float().cpu().numpy().astype(np.float64)
    return apply_temperature(correct_logits(raw, np.asarray(predictor.card.log_weights)), predictor.card.temperature)
