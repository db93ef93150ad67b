"""The transformer stream, and the series that a sample reads alone."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from fusion.models.config import BiLSTMConfig, ConvLSTMConfig, InputSpec, NetworkConfig, SignalConfig, TransformerConfig
from fusion.models.network import build_network
from fusion.models.signal import own_series
from fusion.models.transformer import TransformerStream
from tests.models import equations

MakeBatch = Callable[..., dict[str, Tensor]]
BLOCKS = ("attention", "trans-blstm-1", "trans-blstm-2")


def test_the_stream_is_projection_positions_and_blocks(spec: InputSpec, make_batch: MakeBatch) -> None:
    config = TransformerConfig(width=8, blocks=2, heads=2, mlp_ratio=2.0)
    stream = TransformerStream(config, spec).double().eval()
    torch.nn.init.normal_(stream.head.class_token)
    batch = make_batch(spec, size=3, missing=0.4)
    batch["present"][0] = False  # nothing but the class token may be read

    found = stream.readout(batch).detach().numpy()

    w = equations.weights(stream)
    series, valid = batch["cube"][..., 2, 2].numpy(), batch["present"][..., 2, 2].numpy()
    assert 0 < valid[1:].sum() < valid[1:].size
    tokens = series @ w["project.weight"].T + w["project.bias"]
    tokens = np.concatenate([np.broadcast_to(w["head.class_token"], (3, 1, 8)), tokens], axis=1)
    tokens += w["head.positions"]
    readable = np.concatenate([np.ones((3, 1), dtype=bool), valid], axis=1)
    for block in stream.blocks:
        tokens = equations.transformer_block(block, tokens, 2, readable)
    expected = equations.layer_norm(tokens[:, 0], w["norm.weight"], w["norm.bias"])
    np.testing.assert_allclose(found, expected, atol=1e-11)


def test_hours_do_not_drown_their_positions_at_first() -> None:
    stream = TransformerStream(TransformerConfig(), InputSpec())
    tokens = stream.project(torch.randn(1000, 24))
    assert tokens.std() < 10 * stream.head.positions.std()


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("config", [TransformerConfig, BiLSTMConfig, ConvLSTMConfig])
def test_steps_that_are_missing_do_not_matter(
    spec: InputSpec, make_batch: MakeBatch, config: type[SignalConfig], block: str
) -> None:
    network = build_network(NetworkConfig(signal=config(width=8, heads=2, blocks=2, block=block)), spec).double().eval()
    batch = make_batch(spec, missing=0.0)
    batch["present"][:, [0, 3]] = False
    changed = {**batch, "cube": batch["cube"].clone()}
    changed["cube"][:, [0, 3]] += 3.0

    torch.testing.assert_close(network(changed), network(batch), atol=0, rtol=0)

    changed["cube"][:, 1] += 3.0
    assert not torch.allclose(network(changed), network(batch))


@pytest.mark.parametrize("block", BLOCKS)
def test_a_cell_without_any_valid_step_trains(spec: InputSpec, make_batch: MakeBatch, block: str) -> None:
    config = TransformerConfig(width=8, heads=2, blocks=2, block=block)
    network = build_network(NetworkConfig(signal=config), spec).double()
    logits = network(make_batch(spec, missing=1.0))
    logits.square().sum().backward()
    assert logits.isfinite().all()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize("block", ["trans-blstm-1", "trans-blstm-2"])
def test_autocast_stays_close(spec: InputSpec, make_batch: MakeBatch, block: str) -> None:
    stream = TransformerStream(TransformerConfig(width=32, heads=2, block=block), spec).eval()
    batch = make_batch(spec, dtype=torch.float32)
    exact = stream.readout(batch)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = stream.readout(batch)
    assert torch.cosine_similarity(exact.flatten(), rounded.float().flatten(), dim=0) > 0.999


def test_a_hexagonal_neighbourhood_is_read_at_its_centre(spec: InputSpec, make_batch: MakeBatch) -> None:
    batch = make_batch(spec)
    series, valid = own_series(batch, "hex")
    assert torch.equal(series, batch["cube"][:, :, :, 2, 2])
    assert torch.equal(valid, batch["present"][:, :, 2, 2])


def test_a_square_grid_is_read_as_the_mean_of_its_valid_places() -> None:
    # One sample, two steps, one channel, 1 x 4 places: values, suppressed, missing. Step 0: 1 and 3 are valid, one
    # place is suppressed, one missing. Step 1: nothing is there.
    cube = torch.zeros(1, 2, 3, 1, 4)
    cube[0, 0, 0, 0] = torch.tensor([1.0, 0.0, 3.0, 0.0])
    cube[0, 0, 1, 0, 1] = 1
    cube[0, 0, 2, 0, 3] = 1
    cube[0, 1, 2] = 1
    present = cube[:, :, 2] < 1

    series, valid = own_series({"cube": cube, "present": present}, "square")

    assert series.tolist() == [[[2.0, 0.25, 0.25], [0.0, 0.0, 1.0]]]
    assert valid.tolist() == [[True, False]]


@pytest.mark.parametrize("config", [TransformerConfig(blocks=1), BiLSTMConfig(), ConvLSTMConfig(hidden=4)])
def test_a_network_takes_the_places_that_it_was_built_for(config: SignalConfig) -> None:
    from fusion.errors import InputError

    spec = InputSpec(chip_px=8, steps=3, channels=3, kernel=2, grid="square", columns=4)
    network = build_network(NetworkConfig(signal=config), spec).eval()
    batch = {"cube": torch.zeros(2, 3, 3, 2, 4), "present": torch.ones(2, 3, 2, 4, dtype=torch.bool)}
    assert network(batch).isfinite().all()
    with pytest.raises(InputError, match=r"3, 3, 2, 4"):
        network({**batch, "cube": torch.zeros(2, 3, 3, 4, 2)})
