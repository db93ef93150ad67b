import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from fusion.errors import ConfigError
from fusion.metrics.similarity import subspace_overlap
from fusion.models.blocks import Output
from fusion.models.checkpoint import ModelCard, load_checkpoint, save_checkpoint
from fusion.models.config import (
    BLOCKS,
    COUPLINGS,
    FUSIONS,
    BiLSTMConfig,
    ConvLSTMConfig,
    CouplingConfig,
    InputSpec,
    NetworkConfig,
    SignalConfig,
    TransformerConfig,
    VisionConfig,
)
from fusion.models.coupling import cross_correlation, info_nce, likeness, projector_overlap
from fusion.models.network import Network, build_network, parameters_count

MakeBatch = Callable[..., dict[str, Tensor]]
Build = Callable[..., Network]

SMALL: dict[str, Any] = {"width": 16, "heads": 2, "mlp_ratio": 2.0}
SCALERS = {"measure_mean": [1.25], "measure_std": [0.5], "image_mean": [0.1, 0.2, 0.3], "image_std": [1.0, 1.0, 1.0]}


@pytest.fixture
def build(vision: VisionConfig, spec: InputSpec) -> Build:
    """Return a function of a coupling that builds a network of three image and two signal blocks."""

    def network(
        coupling: CouplingConfig | str,
        fusion: str = "bottleneck",
        block: str = "attention",
        layer: int = 1,
        **options: Any,
    ) -> Network:
        coupling = CouplingConfig(coupling) if isinstance(coupling, str) else coupling
        signal = TransformerConfig(**SMALL, blocks=2, block=block)
        config = NetworkConfig(vision, signal, fusion, fusion_layer=layer, coupling=coupling, **options)
        return build_network(config, spec)

    return network


def attention_tensors(block: nn.Module) -> list[nn.Parameter]:
    attn = getattr(block, "block", block).attn
    return [attn.qkv.weight, attn.qkv.bias, attn.proj.weight, attn.proj.bias]


# --- share


@pytest.mark.parametrize("block", BLOCKS)
def test_shared_attention_is_one_set_of_parameters(build: Build, block: str) -> None:
    network, apart = build("share", block=block), build("orthogonal", block=block)
    vision, signal = network.streams["vision"].blocks[1:], network.streams["signal"].blocks
    for one, other in zip(vision, signal, strict=True):
        assert all(a is b for a, b in zip(attention_tensors(one), attention_tensors(other), strict=True))
    # qkv and out, weights and biases, of two levels, counted once
    assert parameters_count(apart) - parameters_count(network) == 2 * (4 * 16 * 16 + 4 * 16)
    assert network.penalty(Output(torch.zeros(2, 9))) is None


def test_shared_attention_stays_one_through_a_step(build: Build, spec: InputSpec, make_batch: MakeBatch) -> None:
    network = build("share")
    before = network.streams["signal"].blocks[0].block.attn.qkv.weight.detach().clone()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    network(make_batch(spec, dtype=torch.float32)).square().sum().backward()
    optimiser.step()
    after = network.streams["signal"].blocks[0].block.attn.qkv.weight
    assert not torch.equal(after, before)
    assert torch.equal(after, network.streams["vision"].blocks[1].block.attn.qkv.weight)


@pytest.mark.parametrize("half", [False, True])
def test_shared_attention_survives_a_checkpoint(
    build: Build, spec: InputSpec, make_batch: MakeBatch, tmp_path: Path, half: bool
) -> None:
    from fusion.training.reference import _halve  # how shipped weights are stored

    network = build("share").eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    save_checkpoint(tmp_path, network, ModelCard(network.config, spec, SCALERS, 1.0, "shared"))
    if half:
        (tmp_path / "half").mkdir()
        _halve(tmp_path, tmp_path / "half")

    again, _ = load_checkpoint(tmp_path / "half" if half else tmp_path)

    stored = load_file(tmp_path / "model.safetensors")
    assert sum(tensor.numel() for tensor in stored.values()) == parameters_count(network)
    for a, b in zip(again.streams["vision"].blocks[1:], again.streams["signal"].blocks, strict=True):
        assert attention_tensors(a)[0] is attention_tensors(b)[0]
    batch = make_batch(spec, dtype=torch.float32)
    torch.testing.assert_close(again(batch), network(batch), atol=5e-3 if half else 0, rtol=0)


def test_a_copy_in_other_precision_still_shares(build: Build) -> None:
    network = copy.deepcopy(build("share")).double()
    a, b = network.streams["vision"].blocks[2], network.streams["signal"].blocks[1]
    assert attention_tensors(a)[0] is attention_tensors(b)[0]
    assert attention_tensors(a)[0].dtype == torch.float64


# --- distance of tensors


def test_likeness_by_hand() -> None:
    a, b = [torch.tensor([[1.0, 2.0]]), torch.tensor([2.0])], [torch.tensor([[3.0, 0.0]]), torch.tensor([1.0])]
    # <a,b> = 3 + 2, |a|^2 = 9, |b|^2 = 10; and |a - b|^2 = 4 + 4 + 1
    assert float(likeness(a, b)) == pytest.approx(2 * 5 / 19)
    assert 1 - float(likeness(a, b)) == pytest.approx(9 / 19)


def test_distance_is_the_mean_over_levels(build: Build) -> None:
    config = CouplingConfig("distance", strength=0.5)
    network = build(config).double()
    terms = []
    for one, other in zip(network.streams["vision"].blocks[1:], network.streams["signal"].blocks, strict=True):
        a, b = (
            np.concatenate([t.detach().numpy().ravel() for t in attention_tensors(block)]) for block in (one, other)
        )
        terms.append(np.square(a - b).sum() / (np.square(a).sum() + np.square(b).sum()))
    found = network.penalty(Output(torch.zeros(2, 9)))
    assert found is not None
    assert float(found.detach()) == pytest.approx(0.5 * np.mean(terms), abs=1e-12)


def test_distance_is_0_for_equal_tensors_and_1_for_new_ones_at_any_width(spec: InputSpec) -> None:
    for width in (16, 64):
        vision = VisionConfig(depth=2, width=width, heads=2, patch=4)
        signal = TransformerConfig(width=width, heads=2, blocks=2)
        config = NetworkConfig(vision, signal, "late", coupling=CouplingConfig("distance", strength=1.0))
        network = build_network(config, spec)
        nothing = Output(torch.zeros(2, 9))
        new = network.penalty(nothing)
        assert new is not None
        assert float(new.detach()) == pytest.approx(1, abs=0.1)
        for one, other in zip(network.streams["vision"].blocks, network.streams["signal"].blocks, strict=True):
            for a, b in zip(attention_tensors(one), attention_tensors(other), strict=True):
                b.data = a.data.clone()
        equal = network.penalty(nothing)
        assert equal is not None
        assert float(equal.detach()) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("apart", [False, True])
def test_distance_draws_together_or_pushes_apart(build: Build, block: str, apart: bool) -> None:
    network = build(CouplingConfig("distance", strength=1.0, apart=apart, rank=3), block=block)
    if apart and block == "attention":  # independent tensors are apart already: begin near each other
        for one, other in zip(network.streams["vision"].blocks[1:], network.streams["signal"].blocks, strict=True):
            for a, b in zip(attention_tensors(one), attention_tensors(other), strict=True):
                b.data = a.data + 0.01 * torch.randn_like(a)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    nothing = Output(torch.zeros(2, 9))
    values = []
    for _ in range(60):
        penalty = network.penalty(nothing)
        assert penalty is not None
        optimiser.zero_grad()
        penalty.backward()
        optimiser.step()
        values.append(float(penalty.detach()))
    assert values[0] > 0.15
    assert values[-1] < 0.05


# --- distance of subspaces


@pytest.mark.parametrize("apart", [False, True])
def test_against_an_lstm_it_is_the_measured_overlap(build: Build, apart: bool) -> None:
    """The projectors' distance against scipy's principal angles; W_ih of both directions below each other."""
    network = build(CouplingConfig("distance", strength=2.0, apart=apart, rank=3), block="trans-blstm-2").double()
    overlaps = []
    for one, other in zip(network.streams["vision"].blocks[1:], network.streams["signal"].blocks, strict=True):
        inputs = torch.cat([other.lstm.weight_ih_l0, other.lstm.weight_ih_l0_reverse]).detach().numpy()
        overlaps.append(subspace_overlap(one.block.attn.qkv.weight.detach().numpy(), inputs, 3))
    found = network.penalty(Output(torch.zeros(2, 9)))
    expected = np.mean(overlaps) if apart else 1 - np.mean(overlaps)
    assert found is not None
    assert float(found.detach()) == pytest.approx(2 * expected, abs=1e-10)


def test_overlap_is_the_distance_of_the_projectors() -> None:
    a, b = torch.randn(12, 6, dtype=torch.float64), torch.randn(9, 6, dtype=torch.float64)
    p, q = (v[:2].T @ v[:2] for v in (torch.linalg.svd(w)[2] for w in (a, b)))
    assert 1 - float(projector_overlap(a, b, 2)) == pytest.approx(float((p - q).square().sum()) / 4, abs=1e-12)


# --- representations


def test_info_nce_by_hand() -> None:
    eye = torch.eye(2, dtype=torch.float64)
    assert float(info_nce(5 * eye, eye, 0.5)) == pytest.approx(math.log(1 + math.exp(-2)), abs=1e-12)
    assert float(info_nce(eye, eye.flip(0), 0.5)) == pytest.approx(math.log(1 + math.exp(2)), abs=1e-12)
    assert float(info_nce(torch.ones(7, 3), torch.ones(7, 3), 0.1)) == pytest.approx(math.log(7), abs=1e-6)


def test_info_nce_is_the_equation() -> None:
    a, b = torch.randn(5, 4, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    total = 0.0
    for i in range(5):
        scores = [
            [float(torch.cosine_similarity(x[i], y[j], dim=0)) / 0.2 for j in range(5)] for x, y in ((a, b), (b, a))
        ]
        total -= sum(row[i] - math.log(sum(map(math.exp, row))) for row in scores) / 10
    assert float(info_nce(a, b, 0.2)) == pytest.approx(total, abs=1e-12)


def test_cross_correlation_by_hand() -> None:
    line = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert float(cross_correlation(line + 9, 4 * line.flip(1) - 1)) == pytest.approx(1)  # one feature tells the other
    a, b = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]), torch.tensor([[1.0], [1.0], [-1.0], [-1.0]])
    assert float(cross_correlation(a, b)) == pytest.approx(0)
    # centred rows (1,0), (-1,0), (0,1), (0,-1) against 1, -1, 0, 0: A'B = (2, 0), of at most 4
    cross = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    assert float(cross_correlation(cross, torch.tensor([[1.0], [-1.0], [0.0], [0.0]]))) == pytest.approx(4 / 16)


def test_cross_correlation_of_unrelated_rows_is_one_over_their_number() -> None:
    found = float(cross_correlation(torch.randn(64, 256), torch.randn(64, 256)))
    assert found == pytest.approx(1 / 64, rel=0.2)


@pytest.mark.parametrize("kind", ["contrastive", "orthogonal"])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_representations_are_coupled_at_every_level(
    build: Build, spec: InputSpec, make_batch: MakeBatch, kind: str, fusion: str
) -> None:
    network = build(CouplingConfig(kind, strength=0.25, temperature=0.3), fusion).double().eval()
    output = network.outputs(make_batch(spec))
    pairs = list(zip(output.levels["vision"], output.levels["signal"], strict=True))
    assert len(pairs) == (1 if fusion.startswith("late") else 2)
    terms = [info_nce(a, b, 0.3) if kind == "contrastive" else cross_correlation(a, b) for a, b in pairs]
    torch.testing.assert_close(network.penalty(output), 0.25 * torch.stack(terms).mean(), atol=1e-12, rtol=0)


@pytest.mark.parametrize("kind", ["contrastive", "orthogonal"])
def test_samples_that_lack_a_modality_are_left_out(
    build: Build, spec: InputSpec, make_batch: MakeBatch, kind: str
) -> None:
    network = build(kind, absent_tokens=True).double().eval()
    batch = make_batch(spec, size=6)
    batch["absent_vision"] = torch.tensor([True, False, False, False, False, False])
    batch["absent_signal"] = torch.tensor([True, False, False, True, False, False])
    found = network.penalty(network.outputs(batch), batch)
    kept = {name: tensor[[1, 2, 4, 5]] for name, tensor in batch.items()}
    torch.testing.assert_close(found, network.penalty(network.outputs(kept)), atol=1e-12, rtol=0)
    batch["absent_signal"] = torch.ones(6, dtype=torch.bool)
    nothing = network.penalty(network.outputs(batch), batch)
    assert nothing is not None
    assert float(nothing) == 0


# --- all of them


@pytest.mark.parametrize("kind", [kind for kind in COUPLINGS if kind != "share"])
@pytest.mark.parametrize("block", BLOCKS)
def test_the_gradient_is_finite_at_the_start_and_reaches_both_streams(
    build: Build, spec: InputSpec, make_batch: MakeBatch, kind: str, block: str
) -> None:
    """Also for a batch whose samples are all alike, and under bfloat16."""
    network = build(kind, block=block)
    batch = make_batch(spec, dtype=torch.float32)
    alike = {name: tensor[:1].expand(4, *tensor.shape[1:]) for name, tensor in batch.items()}
    for given, autocast in ((batch, False), (batch, True), (alike, False)):
        network.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            penalty = network.penalty(network.outputs(given), given)
        assert penalty is not None
        assert penalty.dtype == torch.float32
        penalty.backward()
        gradients = {name: p.grad for name, p in network.streams.named_parameters() if p.grad is not None}
        assert all(bool(gradient.isfinite().all()) for gradient in gradients.values())
        if given is batch:
            # both levels of both streams, the lower one below the fusion layer
            for start in ("vision.blocks.1", "vision.blocks.2", "signal.blocks.0", "signal.blocks.1"):
                assert any(bool(g.abs().sum() > 0) for name, g in gradients.items() if name.startswith(start)), start


def test_joint_fusion_is_coupled_below_its_one_stack(build: Build) -> None:
    network = build("distance", "joint", layer=1)
    assert network.pairs[0] is not None
    assert network.pairs[1] is None
    with pytest.raises(ConfigError, match="block of their own"):
        build("distance", "joint", layer=0)


@pytest.mark.parametrize(
    ("signal", "coupling", "fusion", "message"),
    [
        (BiLSTMConfig(width=16, heads=2), "share", "late", "set the signal's blocks"),
        (BiLSTMConfig(width=16, heads=2), "distance", "late", "set the signal's blocks"),
        (BiLSTMConfig(width=24, heads=2), "contrastive", "late", "vision 16, signal 24"),
        (ConvLSTMConfig(width=24, heads=2), "orthogonal", "late-gated", "vision 16, signal 24"),
        (TransformerConfig(width=24, heads=2), "distance", "late", "vision 16, signal 24"),
        (TransformerConfig(width=16, heads=4), "share", "bottleneck", "vision 2, signal 4"),
        (TransformerConfig(width=16, heads=4, block="trans-blstm-1"), "share", "bottleneck", "vision 2, signal 4"),
        (TransformerConfig(width=16, heads=4), "distance", "cross", "vision 2, signal 4"),
        (
            TransformerConfig(width=16, heads=2, block="trans-blstm-1"),
            CouplingConfig("distance", rank=16),
            "late",
            "give 1 to 15",
        ),
    ],
)
def test_streams_that_cannot_be_coupled_are_refused(
    vision: VisionConfig,
    spec: InputSpec,
    signal: SignalConfig,
    coupling: CouplingConfig | str,
    fusion: str,
    message: str,
) -> None:
    coupling = CouplingConfig(coupling) if isinstance(coupling, str) else coupling
    with pytest.raises(ConfigError, match=message) as caught:
        build_network(NetworkConfig(vision, signal, fusion, fusion_layer=1, coupling=coupling), spec)
    assert "\n" not in str(caught.value)


def test_late_readouts_are_coupled_without_blocks(vision: VisionConfig, spec: InputSpec, make_batch: MakeBatch) -> None:
    config = NetworkConfig(
        vision, BiLSTMConfig(width=16, heads=2, hidden=5), "late", coupling=CouplingConfig("orthogonal")
    )
    network = build_network(config, spec).double().eval()
    batch = make_batch(spec)
    image, signal = network.streams["vision"].readout(batch), network.streams["signal"].readout(batch)
    found = network.penalty(network.outputs(batch))
    torch.testing.assert_close(found, 0.1 * cross_correlation(image, signal), atol=1e-12, rtol=0)


def test_without_coupling_there_is_no_penalty(configs: dict[str, NetworkConfig], spec: InputSpec) -> None:
    for name in ("vit", "vit+bilstm-late", "vit+convlstm-bottleneck"):
        assert build_network(configs[name], spec).penalty(Output(torch.zeros(2, 9))) is None
