import os
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from fusion.geo.grid import HEX_MASK_3x3
from fusion.models import convlstm
from fusion.models.config import ConvLSTMConfig, InputSpec, NetworkConfig
from fusion.models.convlstm import ConvLSTMLayer, ConvLSTMStream, Neighbourhood
from fusion.models.network import build_network
from tests.models import equations

MakeBatch = Callable[..., dict[str, Tensor]]
SQUARE = np.ones((3, 3), dtype=bool)


def run(layer: ConvLSTMLayer, places: Neighbourhood, x: Tensor, present: Tensor) -> Tensor:
    """H (B,T,H,K,K) of a layer for x (B,T,C,K,K) and present (B,T,K,K); zero outside the neighbourhood."""
    states = layer(places.take(x).permute(1, 0, 3, 2), places.take(present).transpose(0, 1)[..., None])
    out = x.new_zeros(*x.shape[:2], layer.hidden, x.shape[-1] ** 2)
    out[..., places.cells] = states[:, :, : len(places.cells)].permute(1, 0, 3, 2)
    return out.unflatten(-1, x.shape[-2:])


def test_the_kernel_mask_is_the_grids() -> None:
    np.testing.assert_array_equal(convlstm.HEX_KERNEL, HEX_MASK_3x3)


def test_layer_agrees_with_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    assert keras.backend.backend() == "torch"
    places = Neighbourhood(5, "square")
    layer = ConvLSTMLayer(3, 4, places, peepholes=True).double()
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 6, 3, 5, 5, dtype=torch.float64)

    reference = keras.layers.ConvLSTM2D(
        4, 3, padding="same", return_sequences=True, data_format="channels_last", dtype="float64",
        activation="tanh", recurrent_activation="sigmoid",
    )  # fmt: skip
    channels_last = x.permute(0, 1, 3, 4, 2)
    with torch.no_grad():
        reference(channels_last)
        kernels = [weight.detach().permute(2, 3, 1, 0).numpy() for weight in (layer.weight_x, layer.weight_h)]
        reference.set_weights([*kernels, layer.bias.detach().numpy()])
        expected = reference(channels_last).permute(0, 1, 4, 2, 3)
        found = run(layer, places, x, torch.ones(2, 6, 5, 5, dtype=torch.bool))

    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("grid", ["hex", "square"])
@pytest.mark.parametrize("peepholes", [False, True])
def test_layer_is_the_equations(grid: str, peepholes: bool) -> None:
    places = Neighbourhood(5, grid)
    layer = ConvLSTMLayer(3, 4, places, peepholes).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    inside = np.zeros(25, dtype=bool)
    inside[places.cells] = True
    x = torch.randn(2, 6, 3, 25, dtype=torch.float64).where(torch.tensor(inside), 0.0).unflatten(-1, (5, 5))
    present = (torch.rand(2, 6, 25) < 0.7).logical_and(torch.tensor(inside)).unflatten(-1, (5, 5))

    found = run(layer, places, x, present).detach().numpy()

    peephole = None
    if layer.peephole is not None:
        peephole = np.zeros((3, 4, 25))
        peephole[..., places.cells] = layer.peephole.detach().numpy()
        peephole = peephole.reshape(3, 4, 5, 5)
    allowed = HEX_MASK_3x3 if grid == "hex" else SQUARE
    for sample in range(2):
        expected = equations.convlstm(layer, x[sample].numpy(), present[sample].numpy(), allowed, peephole)
        np.testing.assert_allclose(found[sample], expected, atol=1e-12)


def test_the_hexagonal_neighbourhood_is_the_disk() -> None:
    assert len(Neighbourhood(3, "hex").cells) == 7
    assert len(Neighbourhood(5, "hex").cells) == 19
    assert len(Neighbourhood(7, "hex").cells) == 37
    assert len(Neighbourhood(5, "square").cells) == 25
    assert sorted(set(range(9)) - set(Neighbourhood(3, "hex").cells.tolist())) == [2, 6]


@pytest.mark.parametrize("blocks", [0, 1])
def test_missing_steps_do_not_matter(spec: InputSpec, make_batch: MakeBatch, blocks: int) -> None:
    network = build_network(NetworkConfig(signal=ConvLSTMConfig(hidden=5, blocks=blocks)), spec).double().eval()
    batch = make_batch(spec, missing=0.0)
    batch["present"][:, [1, 4]] = False
    changed = {**batch, "cube": batch["cube"].clone()}
    changed["cube"][:, [1, 4]] += 3.0

    torch.testing.assert_close(network(changed), network(batch), atol=0, rtol=0)


def test_state_is_carried_over_missing_steps(spec: InputSpec, make_batch: MakeBatch) -> None:
    stream = ConvLSTMStream(ConvLSTMConfig(hidden=5), spec).double().eval()
    batch = make_batch(spec, missing=0.0)
    batch["present"][:, [1, 4, 5]] = False
    kept = [0, 2, 3]
    shorter = {"cube": batch["cube"][:, kept], "present": batch["present"][:, kept]}

    states, valid = stream.states(batch)

    assert valid[0].tolist() == [True, False, True, True, False, False]
    torch.testing.assert_close(states[:, kept], stream.states(shorter)[0], atol=1e-14, rtol=0)
    torch.testing.assert_close(states[:, 5], states[:, 3], atol=0, rtol=0)
    # alone, the last valid state is read
    torch.testing.assert_close(stream.embed(batch)[0][:, 0], stream.project(states[:, 3]))


@pytest.mark.parametrize(("grid", "beyond"), [("hex", [(1, 3), (3, 1)]), ("square", [(0, 4), (4, 2)])])
def test_one_step_sees_the_neighbours_only(grid: str, beyond: list[tuple[int, int]]) -> None:
    places = Neighbourhood(5, grid)
    layer = ConvLSTMLayer(3, 5, places).double()
    x, present = torch.randn(2, 1, 3, 5, 5, dtype=torch.float64), torch.ones(2, 1, 5, 5, dtype=torch.bool)
    reference = run(layer, places, x, present)[..., 2, 2]

    influence = torch.zeros(5, 5)
    for i in range(5):
        for j in range(5):
            changed = x.clone()
            changed[..., i, j] += 1.0
            influence[i, j] = (run(layer, places, changed, present)[..., 2, 2] - reference).abs().max()

    kernel = HEX_MASK_3x3 if grid == "hex" else SQUARE
    assert (influence[1:4, 1:4] > 0).numpy().tolist() == kernel.tolist()
    assert all(influence[place] == 0 for place in beyond)
    assert (influence > 0).sum() == kernel.sum()


@pytest.mark.parametrize("blocks", [0, 1])
def test_a_square_grid_of_other_columns_is_read_as_its_mean(make_batch: MakeBatch, blocks: int) -> None:
    spec = InputSpec(chip_px=8, steps=4, channels=3, kernel=2, grid="square", columns=3)
    config = ConvLSTMConfig(hidden=4, layers=1, blocks=blocks, neighbour_dropout=0.9)
    stream = ConvLSTMStream(config, spec).double().train()  # a region's own hours are no neighbours: none is hidden
    x = torch.randn(2, 4, 3, 2, 3, dtype=torch.float64)
    present = torch.rand(2, 4, 2, 3) < 0.6
    present[0, 2] = False

    states, valid = stream.states({"cube": x, "present": present})

    for sample in range(2):
        h = equations.convlstm(stream.layers[0], x[sample].numpy(), present[sample].numpy(), SQUARE, None)
        np.testing.assert_allclose(states[sample].detach().numpy(), h.mean(axis=(2, 3)), atol=1e-12)
    assert valid.tolist() == [[bool(step.any()) for step in sample] for sample in present]
    assert not valid[0, 2]


def test_a_cell_without_any_valid_step_reads_a_zero_state(spec: InputSpec, make_batch: MakeBatch) -> None:
    stream = ConvLSTMStream(ConvLSTMConfig(hidden=5), spec).double().eval()
    batch = make_batch(spec, missing=1.0)
    expected = stream.project.bias.expand(4, -1)
    torch.testing.assert_close(stream.embed(batch)[0][:, 0], expected)


def test_chunks_of_steps_change_nothing(
    spec: InputSpec, make_batch: MakeBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = ConvLSTMStream(ConvLSTMConfig(hidden=5), spec).double().eval()
    whole = stream.embed(make_batch(spec))[0]
    monkeypatch.setattr(convlstm, "CHUNK", 4)
    torch.testing.assert_close(stream.embed(make_batch(spec))[0], whole, atol=1e-14, rtol=0)


def test_taps_off_the_hexagon_are_never_trained(spec: InputSpec, make_batch: MakeBatch) -> None:
    stream = ConvLSTMStream(ConvLSTMConfig(hidden=5), spec).double()
    stream.embed(make_batch(spec))[0].square().sum().backward()
    for layer in stream.layers:
        for weight in (layer.weight_x, layer.weight_h):
            trained = weight.grad.abs().sum(dim=(0, 1)) > 0
            assert trained.tolist() == HEX_MASK_3x3.tolist()
            assert not weight[:, :, ~torch.tensor(HEX_MASK_3x3)].any()


def test_autocast_stays_close(spec: InputSpec, make_batch: MakeBatch) -> None:
    stream = ConvLSTMStream(ConvLSTMConfig(hidden=32, peepholes=True), spec).eval()
    batch = make_batch(spec, dtype=torch.float32)
    exact = stream.states(batch)[0]
    with torch.autocast("cpu", torch.bfloat16):
        rounded = stream.states(batch)[0]
    assert rounded.dtype == torch.float32  # the state is never kept in 8 bits of mantissa
    assert torch.cosine_similarity(exact.flatten(), rounded.flatten(), dim=0) > 0.999


def test_training_hides_neighbours_but_never_the_centre(spec: InputSpec, make_batch: MakeBatch) -> None:
    batch = make_batch(spec, missing=0.0)
    whole = ConvLSTMStream(ConvLSTMConfig(hidden=5, dropout=0.0, neighbour_dropout=0.999), spec).double()
    alone = {**batch, "present": torch.zeros_like(batch["present"]), "cube": torch.zeros_like(batch["cube"])}
    alone["present"][..., 2, 2] = True
    alone["cube"][..., 2, 2] = batch["cube"][..., 2, 2]

    trained = whole.train().states(batch)[0]

    whole.eval()
    torch.testing.assert_close(trained, whole.states(alone)[0], atol=1e-14, rtol=0)
    assert not torch.allclose(trained, whole.states(batch)[0])
