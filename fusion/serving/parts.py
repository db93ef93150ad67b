"""Which part of a run's fold a cell was in: a prediction of a cell that the run was trained on proves nothing."""

import numpy as np
import pandas as pd

from fusion.errors import FusionError
from fusion.samples.sampleset import SampleSet
from fusion.samples.split import make_folds
from fusion.training.runs import RunRecord

PARTS = ("train", "validation", "test", "buffer", "unlabelled", "unknown")


def fold_parts(samples: SampleSet, record: RunRecord) -> pd.Series:
    """Say of every sample what it was to a run.

    Args:
        samples: of the city, in the run's layout.
        record: the run.

    Returns:
        `train`, `validation` or `test` (the run's own fold), `buffer` (labelled, but too near to another part to be
        used), `unlabelled` (never trained on nor scored), `unknown` (the folds cannot be told: other data, or the
        test part does not come out as the run recorded it); index = the samples' ids.
    """
    ids = pd.Index(np.asarray(samples.ids).astype(str), name="id")
    unknown = pd.Series("unknown", index=ids, dtype=object, name="part")
    if record.run.get("samples_fingerprint") != samples.meta.fingerprint:
        return unknown
    try:
        fold = make_folds(samples, record.folds, kind=str(record.run["fold_kind"]))[record.fold]
    except FusionError:
        return unknown
    part = np.full(len(ids), "unlabelled", dtype=object)
    part[np.asarray(samples.labels) >= 0] = "buffer"
    for name in ("train", "validation", "test"):
        part[getattr(fold, name)] = name
    found = pd.Series(part, index=ids, dtype=object, name="part")
    tested = set(record.predictions()["id"])
    return found if set(found.index[found == "test"]) == tested else unknown
