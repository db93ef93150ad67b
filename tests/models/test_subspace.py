"""The projector on the leading right singular subspace, and its gradient."""

import pytest
import torch
from torch import Tensor

from fusion.models.subspace import leading_projector


def with_singular_values(values: list[float], rows: int = 7) -> Tensor:
    width = len(values)
    left, _ = torch.linalg.qr(torch.randn(rows, width, dtype=torch.float64))
    right, _ = torch.linalg.qr(torch.randn(width, width, dtype=torch.float64))
    return left @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ right


def test_the_projector_by_hand() -> None:
    weight = torch.tensor([[0.0, 0.0, 2.0], [3.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.5, 0.0]])
    torch.testing.assert_close(leading_projector(weight, 2), torch.diag(torch.tensor([1.0, 0.0, 1.0])))


def test_it_is_that_of_svd_for_several_matrices_at_once() -> None:
    weights = torch.randn(3, 9, 5, dtype=torch.float64)
    right = torch.linalg.svd(weights)[2][:, :2]
    torch.testing.assert_close(leading_projector(weights, 2), right.mT @ right, atol=1e-12, rtol=0)


@pytest.mark.parametrize("values", [[5.0, 3.0, 2.0, 1.0, 0.5], [3.0, 3.0, 1.0, 1.0, 0.0], [4.0, 3.0, 0.0, 0.0, 0.0]])
def test_the_gradient_is_that_of_differences(values: list[float]) -> None:
    """Equal singular values on one side of the cut, and a matrix of rank 2, do not disturb it."""
    weight = with_singular_values(values).requires_grad_()
    assert torch.autograd.gradcheck(lambda w: leading_projector(w, 2), (weight,))


@pytest.mark.parametrize(
    "values", [[1.0, 1.0, 1.0, 1.0, 1.0], [2.0, 1.0, 1.0, 0.5, 0.1], [3.0, 0.0, 0.0, 0.0, 0.0], [0.0] * 5]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_gradient_is_bounded_where_the_subspace_is_not_defined(values: list[float], dtype: torch.dtype) -> None:
    """Equal singular values at the cut: |dP/dW| <= 2 s_1 |dP/d(W'W)|, whose gaps count as 1 % of s_1^2 at least."""
    weight = with_singular_values(values).to(dtype).requires_grad_()
    direction = torch.randn(5, 5, dtype=dtype)
    (leading_projector(weight, 2) * direction).sum().backward()
    assert weight.grad is not None
    assert bool(weight.grad.isfinite().all())
    largest = max(values)
    bound = 2 * largest * 2 * float(direction.norm()) / (0.01 * largest**2) if largest else 0.0
    assert float(weight.grad.norm()) <= bound


def test_it_is_computed_in_float32_under_autocast() -> None:
    weight = torch.randn(12, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = leading_projector(weight, 2)
    torch.testing.assert_close(found, leading_projector(weight, 2), atol=0, rtol=0)
