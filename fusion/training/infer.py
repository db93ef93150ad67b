"""From a network to probabilities: the one way that evaluation, prediction and tests share."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch import nn

from fusion.classes import IDS
from fusion.samples.batches import series_table
from fusion.samples.sampleset import SampleSet
from fusion.samples.scalers import Scalers
from fusion.training.data import Batches

_TABLE_FROM = 512  # rows; below, scaling only the places that they read is faster than encoding the whole city


def predict_logits(
    network: nn.Module,
    samples: SampleSet,
    rows: np.ndarray,
    scalers: Scalers,
    device: torch.device,
    batch_size: int = 128,
    progress: Callable[[float, str], None] | None = None,
) -> np.ndarray:
    """Return raw logits (R,classes), float64, of some rows; always computed in float32, whatever the training used."""
    table = series_table(samples, scalers) if len(rows) >= _TABLE_FROM else None
    batches = Batches(samples, rows, scalers, batch_size, table=table)
    network = network.to(device).eval()
    parts: list[np.ndarray] = []
    with torch.inference_mode():
        for number, batch in enumerate(batches, start=1):
            logits = network({name: tensor.to(device) for name, tensor in batch.items()})
            parts.append(logits.float().cpu().numpy())
            if progress is not None:
                done = min(number * batch_size, len(rows))
                progress(done / len(rows), f"{done:,} of {len(rows):,} cells")
    classes = len(samples.meta.classes)
    return np.concatenate(parts).astype(np.float64) if parts else np.empty((0, classes))


def correct_logits(logits: np.ndarray, log_weights: np.ndarray) -> np.ndarray:
    """Return logits (R,classes) with the loss weights taken out: they answer for the training fold's own prior."""
    return logits - np.asarray(log_weights, dtype=np.float64) if len(log_weights) else logits


def prediction_table(samples: SampleSet, rows: np.ndarray, probability: np.ndarray) -> pd.DataFrame:
    """Return the columns id, group, true (class id, None if unlabelled), predicted, p_<class id>.

    Args:
        rows: (R,) rows of `samples`.
        probability: (R,classes).
    """
    names = np.asarray([*IDS, None], dtype=object)  # label -1 reads the last entry
    table = {
        "id": samples.ids[rows].astype(object),
        "group": samples.groups[rows],
        "true": names[samples.labels[rows]],
        "predicted": names[probability.argmax(axis=1)],
        **{f"p_{id_}": probability[:, index].astype(np.float32) for index, id_ in enumerate(IDS)},
    }
    return pd.DataFrame(table)
