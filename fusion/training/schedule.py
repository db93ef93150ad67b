"""The learning rate over the steps of a training: a linear warm-up, then a cosine to zero."""

import math

import torch


def warm_up_and_cosine(
    optimiser: torch.optim.Optimizer, warmup: float, steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return a schedule to be stepped after every step of the optimiser.

    Args:
        optimiser: whose rates are the highest ones.
        warmup: share of all steps with a growing rate; one step at least.
        steps: in all epochs; from the last one on the rate is zero.
    """
    warm = max(1, round(warmup * steps))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, steps - warm))))

    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
