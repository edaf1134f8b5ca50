"""The divergence of standardised scores and its gradient in closed form, some rows at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from recdistill.objectives.base import softmax_in_place
from recdistill.objectives.row_by_row import tiles

LEAST = 1e-12
"""Variance below which scores are all the same but for rounding."""


class StandardisedCatalogue(torch.autograd.Function):
    """The weighted mean over users, of scores that are products of vectors: no matrix of users × items is held."""

    @staticmethod
    def forward(
        ctx: Any,
        users: Tensor,
        items: Tensor,
        bias: Tensor,
        teacher: Callable[[slice], tuple[Tensor, Tensor | None]],
        mask: Callable[[slice], Tensor] | None,
        weight: Tensor,
        tau: float,
    ) -> Tensor:
        loss, counted = users.new_zeros(()), weight.new_zeros(())
        d_users, d_items, d_bias = torch.empty_like(users), torch.zeros_like(items), torch.zeros_like(bias)
        rows = max((tile.stop - tile.start for tile in tiles(len(users))), default=0)
        held = users.new_empty(rows, len(items))  # a new one would be paged in for each tile
        for tile in tiles(len(users)):
            scores = torch.addmm(bias, users[tile], items.T, out=held[: tile.stop - tile.start])
            part = None if mask is None else mask(tile)
            told, spread = teacher(tile)
            terms, gradient = divergence(tau, scores, told, part, spread)
            weights = weight[tile] if part is None else weight[tile] * part.any(-1)
            loss += terms @ weights
            counted += weights.sum()
            gradient.mul_(weights[:, None])
            torch.mm(gradient, items, out=d_users[tile])
            d_items.addmm_(gradient.T, users[tile])
            d_bias += gradient.sum(0)
        each = torch.where(counted > 0, counted, 1.0).reciprocal()
        ctx.save_for_backward(d_users * each, d_items * each, d_bias * each)
        return loss * each

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return *(grad * one for one in ctx.saved_tensors), None, None, None, None


def divergence(
    tau: float, student: Tensor, teacher: Tensor, mask: Tensor | None, told: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """τ²·KL of rows of scores (rows,), and its gradient by the student's (rows, candidates), which may be overwritten:
    with g = τ(q - p) and z the standardised scores it is (g - z·mean(g·z)) / deviation. `told` (rows, 1): 1 / deviation
    of the teacher's scores, where it is known."""
    centred, spread, count = _centred(student, mask)
    if told is None:
        told = _centred(teacher, mask)[1]
    p, log_p = softmax_in_place(teacher * (told / tau), mask)
    q, log_q = softmax_in_place(centred * (spread / tau), mask)
    terms = tau * tau * log_p.sub_(log_q).mul_(p).sum(-1)
    g = q.sub_(p)
    along = torch.mul(g, centred, out=p).sum(-1, keepdim=True).mul_(spread.square() / count)
    return terms, g.addcmul_(centred, along, value=-1.0).mul_(tau * spread)


def per_deviation(scores: Tensor) -> Tensor:
    """1 / deviation of rows (rows, 1); 0 where all scores are the same."""
    return _centred(scores, None)[1]


def _centred(scores: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Of rows their scores less the mean over the valid candidates, 0 at the others; 1 / deviation, 0 where there is
    none; how many are valid. The last two are (rows, 1)."""
    if mask is None:
        count = scores.new_full((len(scores), 1), scores.shape[1])
        centred = scores - scores.mean(-1, keepdim=True)
    else:
        count = mask.sum(-1, keepdim=True).clamp(min=1).to(scores.dtype)
        kept = scores.masked_fill(~mask, 0.0)
        centred = (kept - kept.sum(-1, keepdim=True) / count).masked_fill_(~mask, 0.0)
    variance = torch.linalg.vector_norm(centred, dim=-1, keepdim=True).square() / count
    return centred, torch.where(variance > LEAST, variance.clamp(min=LEAST).rsqrt(), 0.0), count
