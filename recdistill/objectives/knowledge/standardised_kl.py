"""Soft labels whatever the units: both sides are brought to one mean and one spread first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from recdistill.candidates.base import by_argument
from recdistill.candidates.catalogue import Scored
from recdistill.objectives.base import Objective, check_positive, softmax_in_place, weighted_mean

TILE_ROWS = 128
LEAST = 1e-12
"""Variance below which scores are all the same but for rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardisedKLConfig:
    tau: float = 0.5
    """Softens both distributions, in standard deviations of a user's scores."""

    def __post_init__(self) -> None:
        check_positive("standardised_kl", tau=self.tau)


class StandardisedKL(Objective):
    """τ²·KL(softmax(z(t)/τ)‖softmax(z(s)/τ)), z(x) = (x - mean) / deviation of a user's valid candidates.

    Logit standardisation (Sun et al., CVPR 2024).

    The student keeps a scale of its own, and the teacher's needs no temperature: the order and the shape are taught.
    """

    needs = frozenset({"scores"})
    config_type = StandardisedKLConfig
    shown = by_argument({"candidates": Scored()})

    def __init__(self, config: StandardisedKLConfig | None = None) -> None:
        super().__init__()
        self.config = config or StandardisedKLConfig()

    def forward(
        self, student: Tensor, teacher: Tensor, *, mask: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """Both are scores (batch, candidates); mask: the valid ones. A row whose scores are all the same is even."""
        terms = _Standardised.apply(student, teacher.detach(), self.config.tau, mask)
        valid = terms.new_ones(terms.shape, dtype=torch.bool) if mask is None else mask.any(-1)
        return weighted_mean(terms, valid, weight)


class _Standardised(torch.autograd.Function):
    """τ²·KL of every row; its gradient by the scores, with g = τ(q - p), is (g - z·mean(g·z)) / deviation, and is made
    beside it, some rows at a time, so that all of them stay in the caches."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, tau: float, mask: Tensor | None) -> Tensor:
        """Both are scores (…, candidates)."""
        width = student.shape[-1]
        rows, told = student.reshape(-1, width), teacher.reshape(-1, width)
        masks = None if mask is None else mask.expand_as(student).reshape(-1, width)
        terms, gradient = torch.empty_like(rows[:, 0]), torch.empty_like(rows)
        for start in range(0, len(rows), TILE_ROWS):
            tile = slice(start, start + TILE_ROWS)
            part = None if masks is None else masks[tile]
            z, per_deviation, count = standardised(rows[tile], part)
            p, log_p = softmax_in_place(standardised(told[tile], part)[0].div_(tau), part)
            q, log_q = softmax_in_place(z / tau, part)
            terms[tile] = tau * tau * log_p.sub_(log_q).mul_(p).sum(-1)
            g = q.sub_(p).mul_(tau)
            along = (g * z).sum(-1, keepdim=True).div_(count)
            torch.addcmul(g, z, along, value=-1.0, out=gradient[tile]).mul_(per_deviation)
        ctx.save_for_backward(gradient.view(student.shape))
        return terms.view(student.shape[:-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad[..., None], None, None, None


def standardised(scores: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Of rows their scores with mean 0 and deviation 1 over the valid candidates, 0 at the others and where all are the
    same; 1 / deviation, 0 where there is none; how many are valid. The last two are (rows, 1)."""
    if mask is None:
        count = scores.new_full((len(scores), 1), scores.shape[1])
        centred = scores - scores.mean(-1, keepdim=True)
    else:
        count = mask.sum(-1, keepdim=True).clamp(min=1).to(scores.dtype)
        kept = scores.masked_fill(~mask, 0.0)
        centred = (kept - kept.sum(-1, keepdim=True) / count).masked_fill_(~mask, 0.0)
    variance = torch.linalg.vector_norm(centred, dim=-1, keepdim=True).square() / count
    per_deviation = torch.where(variance > LEAST, variance.clamp(min=LEAST).rsqrt(), 0.0)
    return centred.mul_(per_deviation), per_deviation, count
