"""Batches in memory: the loader that training and prediction share.

The arrays are memory-mapped and a batch is gathered in milliseconds, so worker processes would only cost; the order of
an epoch depends on the seed and the epoch's number alone, so that a resumed run sees what an unbroken one would.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from fusion.samples.batches import make_batch
from fusion.samples.sampleset import SampleSet
from fusion.samples.scalers import Scalers

Batch = dict[str, Tensor]


class Batches:
    """An iterable of batches over some rows of a SampleSet; `len()` is their number.

    Args:
        samples: the SampleSet.
        rows: (R,) rows of it.
        scalers: fitted on training rows.
        batch_size: samples a batch; the last one may be smaller.
        seed: shuffle each epoch anew from this seed; None keeps the order of `rows`.
        table: the encoded series of `fusion.samples.batches.series_table`, worth its memory for many rows.
    """

    def __init__(
        self,
        samples: SampleSet,
        rows: np.ndarray,
        scalers: Scalers,
        batch_size: int,
        seed: int | None = None,
        table: np.ndarray | None = None,
    ) -> None:
        self.samples = samples
        self.rows = np.asarray(rows, dtype=np.int64)
        self.scalers = scalers
        self.batch_size = batch_size
        self.seed = seed
        self.table = table
        self.epoch = 0

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        rows = self.rows
        if self.seed is not None:
            rows = np.random.default_rng((self.seed, self.epoch)).permutation(rows)
        for start in range(0, len(rows), self.batch_size):
            yield to_tensors(make_batch(self.samples, rows[start : start + self.batch_size], self.scalers, self.table))


def to_tensors(batch: dict[str, np.ndarray]) -> Batch:
    """Return the same batch as tensors that share its memory."""
    return {name: torch.from_numpy(array) for name, array in batch.items()}
