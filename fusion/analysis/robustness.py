"""How a trained model bears damage at test time: an absent modality, missing hours, clouds, misregistration, noise.

Fused networks can fall below their own best modality when the other one is absent or damaged (Ma et al. 2022, arXiv
2204.05454), so each condition is measured on the same cells as the clean inputs.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from fusion.analysis.conditions import CONDITIONS, Condition
from fusion.analysis.damage import Damage
from fusion.analysis.forward import batch_probabilities
from fusion.errors import ConfigError, SampleError
from fusion.metrics.scores import evaluate
from fusion.metrics.significance import block_bootstrap
from fusion.samples.batches import series_table
from fusion.samples.sampleset import SampleSet
from fusion.training.data import Batches
from fusion.training.predict import Predictor

Progress = Callable[[float, str], None]

_TABLE_FROM = 512  # rows; as in `fusion.training.infer`


def measure_robustness(
    predictor: Predictor,
    samples: SampleSet,
    rows: np.ndarray,
    groups: np.ndarray | None = None,
    conditions: Sequence[Condition] = CONDITIONS,
    *,
    limit: int | None = None,
    seed: int = 0,
    not_evaluable: Sequence[str] = (),
    batch_size: int = 128,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Measure a model's accuracy under each condition, on the same cells.

    Args:
        predictor: the model.
        samples: of the form that it reads.
        rows: (R,) labelled rows, usually the run's own test cells.
        groups: (R,) spatial block of each row, for the bootstrap; None: the samples' own.
        conditions: what to measure; those that touch no stream of the model are skipped.
        limit: measure on so many of the rows, drawn without replacement; None: on all.
        seed: of that draw and of the damage.
        not_evaluable: class ids that macro-F1 leaves out, as in the run's own metrics.
        batch_size: cells at a time.
        progress: called with a share from 0 to 1 and a line of text; what it raises ends the measurement.

    Returns:
        One row a condition: condition, strength, n (cells), accuracy with the 95 % interval low to high (bootstrap over
        blocks), macro_f1.

    Raises:
        SampleError: no rows, rows without a label, or all of them in one block.
        ConfigError: a limit below 1, or a condition that does not exist.
        RunError: the samples are not of the form that the model was trained on.
    """
    predictor.check(samples)
    rows, blocks = _chosen(samples, rows, groups, limit, seed)
    streams = set(predictor.network.streams)
    asked = [condition for condition in conditions if condition.touches is None or condition.touches in streams]
    damage = Damage.of(samples, predictor.scalers, seed)
    table = series_table(samples, predictor.scalers) if len(rows) >= _TABLE_FROM else None
    batches = Batches(samples, rows, predictor.scalers, batch_size, table=table)
    parts: list[list[np.ndarray]] = [[] for _ in asked]
    for number, batch in enumerate(batches):
        ids = samples.ids[rows[number * batch_size : (number + 1) * batch_size]]
        for index, condition in enumerate(asked):
            parts[index].append(batch_probabilities(predictor, damage(batch, ids, condition)))
            if progress is not None:
                done = (number * len(asked) + index + 1) / (len(batches) * len(asked))
                progress(done, f"{condition.name} {condition.strength:g}")
    truth = samples.labels[rows].astype(np.int64)
    return pd.DataFrame(
        [
            _score(condition, truth, np.concatenate(part), blocks, not_evaluable, seed)
            for condition, part in zip(asked, parts, strict=True)
        ]
    )


def _score(
    condition: Condition,
    truth: np.ndarray,
    probability: np.ndarray,
    blocks: np.ndarray,
    not_evaluable: Sequence[str],
    seed: int,
) -> dict[str, float | int | str | None]:
    scores = evaluate(truth, probability, not_evaluable)
    low, high = block_bootstrap(probability.argmax(axis=1) == truth, blocks, seed=seed)
    return {
        "condition": condition.name,
        "strength": condition.strength,
        "n": len(truth),
        "accuracy": scores["overall_accuracy"],
        "low": low,
        "high": high,
        "macro_f1": scores["macro_f1"],
    }


def _chosen(
    samples: SampleSet, rows: np.ndarray, groups: np.ndarray | None, limit: int | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    rows = np.asarray(rows, dtype=np.int64)
    blocks = samples.groups[rows] if groups is None else np.asarray(groups)
    if not len(rows) or len(blocks) != len(rows):
        raise SampleError(f"{len(rows)} cells in {len(blocks)} blocks to measure robustness on: give one block a cell")
    if bare := int((samples.labels[rows] < 0).sum()):
        raise SampleError(f"{bare} of {len(rows)} cells have no label: measure robustness on labelled cells")
    if limit is not None and limit < 1:
        raise ConfigError(f"limit is {limit}: measure robustness on 1 cell or more")
    if limit is None or limit >= len(rows):
        return rows, blocks
    kept = np.sort(np.random.default_rng(seed).choice(len(rows), limit, replace=False))
    return rows[kept], blocks[kept]
