"""The leading input subspace of a weight matrix, as a projector with a gradient that stays finite."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_SMALLEST_GAP = 1e-2  # of the largest eigenvalue; the gradient through a smaller gap is damped


def leading_projector(weight: Tensor, rank: int) -> Tensor:
    """Return the projectors (...,D,D) on the leading right singular subspaces of matrices (...,M,D) that act on D.

    Right singular vectors of W are eigenvectors of W'W, and the projector on the first r of them moves by

        dP = sum over i <= r < j of (v_i v_j' + v_j v_i') (v_i' d(W'W) v_j) / (l_i - l_j)

    (first-order perturbation theory; Kato 1966, II.2). Only gaps l_i - l_j *across* the cut enter. The gradients of
    `torch.linalg.svd` and `eigh` divide by every gap, also inside the subspace where nothing depends on it, and are not
    finite for equal singular values. Gaps below 1 % of the largest eigenvalue count as 1 %: there the subspace is ill
    defined, and the gradient is damped instead of growing without bound. Computed in float32 at least, autocast or not.

    Args:
        weight: (...,M,D).
        rank: r, 1 to D.
    """
    with torch.autocast(weight.device.type, enabled=False):
        weight = weight.to(torch.promote_types(weight.dtype, torch.float32))
        projector: Tensor = _LeadingProjector.apply(weight.mT @ weight, rank)
        return projector


class _LeadingProjector(torch.autograd.Function):
    """Symmetric (...,D,D) -> projector (...,D,D) on the eigenvectors of its `rank` largest eigenvalues."""

    @staticmethod
    def forward(ctx: Any, gram: Tensor, rank: int) -> Tensor:
        on = gram.cpu() if gram.device.type == "mps" else gram  # MPS has no eigh
        values, vectors = (part.to(gram.device) for part in torch.linalg.eigh(on))  # ascending
        ctx.rank = rank
        ctx.save_for_backward(values, vectors)
        leading = vectors[..., -rank:]
        return leading @ leading.mT

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        values, vectors = ctx.saved_tensors
        rank = ctx.rank
        gap = values[..., -rank:, None] - values[..., None, :-rank]
        # all zero only for a weight of zeros, where every subspace is as good and the gradient is 0
        floor = (_SMALLEST_GAP * values[..., -1:, None]).clamp(min=torch.finfo(values.dtype).tiny ** 0.5)
        leading, others = vectors[..., -rank:], vectors[..., :-rank]
        gradient = (gradients[0] + gradients[0].mT) / 2
        turn = leading @ ((leading.mT @ gradient @ others) / torch.maximum(gap, floor)) @ others.mT
        return turn + turn.mT, None
