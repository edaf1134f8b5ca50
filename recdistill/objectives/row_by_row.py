"""Divergences of rows of scores whose gradients are known in closed form, some rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

TILE_ROWS = 128
"""So few that what is made of them stays in the caches."""
Divergence = Callable[[Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor]]
"""Of student and teacher (rows, candidates) and the mask of valid ones: its value (rows,) and its gradient by the
student's scores (rows, candidates)."""


class RowByRow(torch.autograd.Function):
    """A divergence of every row, its gradient made beside it."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, mask: Tensor | None, divergence: Divergence) -> Tensor:
        """Both are scores (…, candidates)."""
        width = student.shape[-1]
        rows, told = student.reshape(-1, width), teacher.reshape(-1, width)
        masks = None if mask is None else mask.expand_as(student).reshape(-1, width)
        terms, gradient = torch.empty_like(rows[:, 0]), torch.empty_like(rows)
        for tile in tiles(len(rows)):
            part = None if masks is None else masks[tile]
            terms[tile], gradient[tile] = divergence(rows[tile], told[tile], part)
        ctx.save_for_backward(gradient.view(student.shape))
        return terms.view(student.shape[:-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad[..., None], None, None, None


def tiles(rows: int) -> Iterator[slice]:
    return (slice(start, min(start + TILE_ROWS, rows)) for start in range(0, rows, TILE_ROWS))
