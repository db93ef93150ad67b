"""The rate by step, against values worked by hand."""

import numpy as np
import pytest
import torch

from fusion.training.schedule import warm_up_and_cosine


def rates(warmup: float, steps: int, taken: int) -> list[float]:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = warm_up_and_cosine(optimiser, warmup, steps)
    found = []
    for _ in range(taken):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return found


def test_the_rate_grows_linearly_and_falls_as_half_a_cosine() -> None:
    growing = [0.5, 1.0, 1.5, 2.0]
    falling = [2.0, 2 * np.cos(np.pi / 8) ** 2, 1.0, 2 * np.sin(np.pi / 8) ** 2, 0.0, 0.0]  # half a turn in quarters

    np.testing.assert_allclose(rates(0.5, 8, 10), growing + falling, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 2])
def test_the_first_step_is_never_lost(steps: int) -> None:
    assert rates(0.0, steps, 1) == [2.0]
