"""Rounding that gradients pass as if it were not there (Bengio et al., 2013)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def straight_through(values: Tensor, decoded: Tensor) -> Tensor:
    """The bits of `decoded`, of the shape of `values`, which get its gradient whole."""
    return _StraightThrough.apply(values, decoded)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, decoded: Tensor) -> Tensor:
        return decoded.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return grad, None
