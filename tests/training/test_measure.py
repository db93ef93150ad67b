"""Similarity of the two streams of a fusion, level by level, on the planted set."""

import numpy as np
import pytest
import torch

from fusion.metrics.similarity import linear_cka, subspace_overlap
from fusion.models.config import BiLSTMConfig, CouplingConfig, NetworkConfig, TransformerConfig, VisionConfig
from fusion.models.network import Network, build_network
from fusion.samples.batches import make_batch
from fusion.samples.sampleset import SampleSet
from fusion.samples.scalers import Scalers, fit_scalers
from fusion.training.data import to_tensors
from fusion.training.measure import measure_similarity
from fusion.training.recipe import input_spec

CPU = torch.device("cpu")
VISION = VisionConfig(depth=3, width=16, heads=2, mlp_ratio=2.0, patch=16)


@pytest.fixture(scope="module")
def rows(planted: SampleSet) -> np.ndarray:
    return np.arange(len(planted.ids))[::2]


@pytest.fixture(scope="module")
def scalers(planted: SampleSet, rows: np.ndarray) -> Scalers:
    return fit_scalers(planted, rows)


def network(samples: SampleSet, fusion: str = "bottleneck", block: str = "attention", **options: object) -> Network:
    signal = TransformerConfig(width=16, heads=2, mlp_ratio=2.0, blocks=2, block=block)
    torch.manual_seed(0)
    config = NetworkConfig(VISION, signal, fusion, fusion_layer=1, **options)  # type: ignore[arg-type]
    return build_network(config, input_spec(samples))


def test_levels_are_those_of_the_fusion_and_weights_those_of_their_blocks(
    planted: SampleSet, rows: np.ndarray, scalers: Scalers
) -> None:
    net = network(planted, block="trans-blstm-2", coupling=CouplingConfig("orthogonal", rank=3)).train()

    found = measure_similarity(net, planted, rows, scalers, CPU)

    with torch.inference_mode():
        levels = net.eval().outputs(to_tensors(make_batch(planted, rows, scalers))).levels
    assert found is not None
    assert [row["level"] for row in found] == [1, 2]
    for level, row in enumerate(found):
        expected = linear_cka(levels["vision"][level].numpy(), levels["signal"][level].numpy())
        assert row["cka"] == pytest.approx(expected, abs=1e-5)
        lstm = net.streams["signal"].blocks[level].lstm
        read = torch.cat([lstm.weight_ih_l0, lstm.weight_ih_l0_reverse]).detach().numpy()
        qkv = net.streams["vision"].blocks[1 + level].block.attn.qkv.weight.detach().numpy()
        assert row["overlap"] == pytest.approx(subspace_overlap(qkv, read, 3), abs=1e-6)
        assert row["overlap_chance"] == 3 / 16


def test_shared_attention_overlaps_wholly(planted: SampleSet, rows: np.ndarray, scalers: Scalers) -> None:
    found = measure_similarity(network(planted, coupling=CouplingConfig("share")), planted, rows, scalers, CPU)
    assert found is not None
    assert [row["overlap"] for row in found] == pytest.approx([1, 1], abs=1e-9)


def test_one_block_for_both_has_no_overlap_to_measure(planted: SampleSet, rows: np.ndarray, scalers: Scalers) -> None:
    found = measure_similarity(network(planted, "joint"), planted, rows, scalers, CPU)
    assert found is not None
    assert found[0]["overlap"] is not None
    assert found[1]["overlap"] is None
    assert found[1]["cka"] is not None


def test_late_fusion_has_one_level_its_readouts(planted: SampleSet, rows: np.ndarray, scalers: Scalers) -> None:
    net = network(planted, "late", coupling=CouplingConfig("distance", rank=5))
    found = measure_similarity(net, planted, rows, scalers, CPU)
    weights = [net.streams[name].blocks[-1].block.attn.qkv.weight.detach().numpy() for name in ("vision", "signal")]
    assert found is not None
    assert [row["level"] for row in found] == [1]
    assert found[0]["overlap"] == pytest.approx(subspace_overlap(*weights, 5), abs=1e-6)

    bare = NetworkConfig(VISION, BiLSTMConfig(width=24, hidden=5), "late")
    found = measure_similarity(build_network(bare, input_spec(planted)), planted, rows, scalers, CPU)
    assert found is not None
    assert found[0]["overlap"] is None
    assert 0 < found[0]["cka"] < 1  # type: ignore[operator]


def test_few_rows_are_spread_over_all(planted: SampleSet, rows: np.ndarray, scalers: Scalers) -> None:
    net = network(planted)
    spread = rows[np.linspace(0, len(rows) - 1, 20).round().astype(int)]
    found = measure_similarity(net, planted, rows, scalers, CPU, limit=20)
    assert found == measure_similarity(net, planted, spread, scalers, CPU)
    assert found != measure_similarity(net, planted, rows[:20], scalers, CPU)


def test_chance_grows_where_samples_are_few(planted: SampleSet, rows: np.ndarray, scalers: Scalers) -> None:
    """CKA is biased upwards for few samples, and the same holds for the figure to compare it with."""
    net = network(planted)
    few = measure_similarity(net, planted, rows, scalers, CPU, limit=8)
    many = measure_similarity(net, planted, rows, scalers, CPU)
    assert few is not None
    assert many is not None
    for at_few, at_many in zip(few, many, strict=True):
        assert at_few["cka_chance"] > at_many["cka_chance"]  # type: ignore[operator]


def test_a_constant_stream_has_no_cka(planted: SampleSet, rows: np.ndarray, scalers: Scalers) -> None:
    net = network(planted, "late")
    torch.nn.init.zeros_(net.streams["signal"].norm.weight)  # type: ignore[arg-type]
    found = measure_similarity(net, planted, rows, scalers, CPU)
    assert found is not None
    assert found[0]["cka"] is None
    assert found[0]["cka_chance"] is None


def test_one_stream_has_nothing_to_compare(planted: SampleSet, rows: np.ndarray, scalers: Scalers) -> None:
    net = build_network(NetworkConfig(VISION), input_spec(planted))
    assert measure_similarity(net, planted, rows, scalers, CPU) is None
