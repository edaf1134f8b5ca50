"""Grids whose steps are learned with the rows (learned step size quantisation: Esser et al., 2020)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from recdistill.tables.trained_grid import GridCodes, decoded


class LearnedGrid(GridCodes):
    """v̂ = (q + ½)·s with a learned s for each dimension; what lies beyond the grid gets no gradient."""

    def __init__(self, codec: str, bits: int, rows: Tensor) -> None:
        """`rows` (n, d) are what the table starts as."""
        super().__init__(codec, bits)
        self.start = nn.Parameter(super().steps(rows), requires_grad=False)
        self.growth = nn.Parameter(torch.zeros(rows.shape[1]))
        """s = start · e^growth: steps stay above 0, and Adam moves each by the same share of itself."""

    @torch.no_grad()
    def begin(self, rows: Tensor) -> None:
        """Steps by the spread of rows (n, d), from where they are learned."""
        self.start.copy_(super().steps(rows))
        self.growth.zero_()

    def forward(self, rows: Tensor, whole: Tensor, items: Tensor | None = None) -> Tensor:
        found: Tensor = _Learned.apply(rows, self.start * self.growth.exp(), self.bits, len(whole))
        return found

    @torch.no_grad()
    def steps(self, whole: Tensor) -> Tensor:
        return (self.start * self.growth.exp()).half().float()


class _Learned(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, steps: Tensor, bits: int, n: int) -> Tensor:
        steps = steps.half().float()
        served = decoded(rows, steps, bits)
        ctx.save_for_backward(rows, steps, served)
        ctx.bits, ctx.n = bits, n
        return served

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, steps, served = ctx.saved_tensors
        half_range = 2 ** (ctx.bits - 1)
        place = rows / steps
        inside = (place >= -half_range) & (place < half_range)
        by_step = served / steps - torch.where(inside, place, 0.0)
        share = (ctx.n * max(1.0, half_range - 0.5)) ** -0.5
        return grad * inside, share * (grad * by_step).sum(0), None, None
