"""What a trained fusion's two streams have in common, level by level."""

import math

import numpy as np
import torch

from fusion.metrics.similarity import linear_cka, subspace_overlap
from fusion.models.config import CouplingConfig
from fusion.models.coupling import Pair, attention_inputs, lstm_inputs
from fusion.models.network import Network
from fusion.samples.sampleset import SampleSet
from fusion.samples.scalers import Scalers
from fusion.training.data import Batches

RANK = 8  # singular vectors that span a subspace, where no coupling says otherwise

_BATCH = 128


def measure_similarity(
    network: Network,
    samples: SampleSet,
    rows: np.ndarray,
    scalers: Scalers,
    device: torch.device,
    limit: int = 1024,
) -> list[dict[str, float | int | None]] | None:
    """Return how alike the two streams are at each level, lowest first; None for a network of one stream.

    Args:
        network: trained; it is put in evaluation mode on `device`.
        samples, rows: where the representations are taken, usually the test fold; samples need no label.
        scalers: of the training fold.
        device: where to compute.
        limit: at most so many rows, spread evenly over `rows`.

    Returns:
        A row a level: level (1 the lowest); cka, linear CKA of the pooled representations, None where one of them is
        constant; cka_chance, the same with the rows of one in another order, which is what the number of samples alone
        would give; overlap, of the leading subspaces that the blocks' W_qkv read, W_ih where the signal's block has an
        LSTM, None where the level has no two such weights; overlap_chance, of random subspaces. Late fusions have one
        level, the readouts; its weights are those of the topmost blocks.
    """
    if set(network.streams) != {"vision", "signal"}:
        return None
    if len(rows) > limit:
        rows = np.asarray(rows)[np.linspace(0, len(rows) - 1, limit).round().astype(np.int64)]
    vision, signal = _levels(network, samples, rows, scalers, device)
    order = np.random.default_rng(0).permutation(len(rows))
    pairs: list[Pair | None] = [*[None] * len(vision), *network.pairs][-len(vision) :]  # streams may have no blocks
    coupling = network.config.coupling or CouplingConfig("distance", rank=RANK)
    table: list[dict[str, float | int | None]] = []
    for level, (a, b, pair) in enumerate(zip(vision, signal, pairs, strict=True), start=1):
        row: dict[str, float | int | None] = {"level": level, "cka": _number(linear_cka(a, b))}
        row["cka_chance"] = _number(linear_cka(a, b[order]))
        row["overlap"], row["overlap_chance"] = _overlap(pair, coupling.rank)
        table.append(row)
    return table


def _levels(
    network: Network, samples: SampleSet, rows: np.ndarray, scalers: Scalers, device: torch.device
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return both streams' pooled representations, for each level (R,D) float32."""
    network = network.to(device).eval()
    parts: dict[str, list[list[np.ndarray]]] = {"vision": [], "signal": []}
    with torch.inference_mode():
        for batch in Batches(samples, rows, scalers, _BATCH):
            levels = network.outputs({name: tensor.to(device) for name, tensor in batch.items()}).levels
            for name, found in parts.items():
                found.append([level.float().cpu().numpy() for level in levels[name]])
    vision, signal = ([np.concatenate(level) for level in zip(*found, strict=True)] for found in parts.values())
    return vision, signal


def _overlap(pair: Pair | None, rank: int) -> tuple[float | None, float | None]:
    if pair is None:
        return None, None
    read, lstm = attention_inputs(pair[0]), lstm_inputs(pair[1])
    own = attention_inputs(pair[1]) if lstm is None else lstm
    if read is None or own is None or read.shape[1] != own.shape[1]:  # late fusion joins streams of any width
        return None, None
    width = read.shape[1]
    rank = min(rank, width - 1)
    first, second = (weight.detach().cpu().numpy() for weight in (read, own))
    return subspace_overlap(first, second, rank), rank / width


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
