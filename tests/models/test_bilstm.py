from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from fusion.models.bilstm import BiLSTMStream
from fusion.models.config import BiLSTMConfig, InputSpec, NetworkConfig
from fusion.models.network import build_network
from fusion.models.recurrence import run_lstm
from tests.models import equations

MakeBatch = Callable[..., dict[str, Tensor]]


def test_states_and_readout_are_the_equations_on_the_valid_steps(spec: InputSpec, make_batch: MakeBatch) -> None:
    stream = BiLSTMStream(BiLSTMConfig(hidden=5), spec).double().eval()
    batch = make_batch(spec, size=6, missing=0.4)
    series, valid = batch["cube"][..., 2, 2], batch["present"][..., 2, 2]
    valid[0] = True
    valid[1] = False
    assert 0 < valid[2:].sum() < valid[2:].numel()

    states, readout = (tensor.detach().numpy() for tensor in run_lstm(stream.lstm, series, valid))

    for sample, steps in enumerate(valid.numpy()):
        expected = equations.bilstm(stream.lstm, series[sample].numpy()[steps])
        np.testing.assert_allclose(states[sample][steps], expected, atol=1e-13)
        np.testing.assert_array_equal(states[sample][~steps], 0.0)
        ends = np.concatenate([expected[-1, :5], expected[0, 5:]]) if steps.any() else np.zeros(10)
        np.testing.assert_allclose(readout[sample], ends, atol=1e-13)


@pytest.mark.parametrize("blocks", [0, 2])
def test_only_the_centres_valid_steps_matter(spec: InputSpec, make_batch: MakeBatch, blocks: int) -> None:
    network = build_network(NetworkConfig(signal=BiLSTMConfig(hidden=5, blocks=blocks)), spec).double().eval()
    batch = make_batch(spec, missing=0.0)
    batch["present"][:, [0, 3], 2, 2] = False
    changed = {**batch, "cube": batch["cube"].clone()}
    changed["cube"][:, [0, 3]] += 3.0
    changed["cube"][..., 2, 1] -= 1.0

    torch.testing.assert_close(network(changed), network(batch), atol=0, rtol=0)


@pytest.mark.parametrize("blocks", [0, 2])
def test_a_cell_without_any_valid_step_trains(spec: InputSpec, make_batch: MakeBatch, blocks: int) -> None:
    network = build_network(NetworkConfig(signal=BiLSTMConfig(hidden=5, blocks=blocks)), spec).double()
    logits = network(make_batch(spec, missing=1.0))
    logits.square().sum().backward()
    assert logits.isfinite().all()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)
