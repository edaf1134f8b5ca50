"""The symmetric, bounded divergence between two soft rankings."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class JSConfig:
    tau: float = 1.0
    """Softens both distributions."""

    def __post_init__(self) -> None:
        check_positive("js", tau=self.tau)


class JS(Objective):
    """τ²·[½ KL(p‖m) + ½ KL(q‖m)], m = (p + q)/2, p = softmax(t/τ), q = softmax(s/τ) (Lin, 1991); at most τ² log 2."""

    needs = frozenset({"scores"})
    config_type = JSConfig
    shown = by_argument({"candidates": Scored()})

    def __init__(self, config: JSConfig | None = None) -> None:
        super().__init__()
        self.config = config or JSConfig()

    def forward(
        self, student: Tensor, teacher: Tensor, *, mask: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """Both are scores (batch, candidates); mask: the valid ones."""
        tau = self.config.tau
        terms = tau * tau * _Divergence.apply(student / tau, teacher.detach() / tau, mask)
        valid = terms.new_ones(terms.shape, dtype=torch.bool) if mask is None else mask.any(-1)
        return weighted_mean(terms, valid, weight)


class _Divergence(torch.autograd.Function):
    """½ KL(p‖m) + ½ KL(q‖m) of every row; its gradient ½ q (log q/m − Σ q log q/m) is made beside it, some rows at a
    time, so that all of them stay in the caches."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        """Both are logits (…, candidates), which are not kept."""
        width = student.shape[-1]
        rows, told = student.reshape(-1, width), teacher.reshape(-1, width)
        masks = None if mask is None else mask.expand_as(student).reshape(-1, width)
        terms, gradient = torch.empty_like(rows[:, 0]), torch.empty_like(rows)
        for start in range(0, len(rows), TILE_ROWS):
            tile = slice(start, start + TILE_ROWS)
            part = None if masks is None else masks[tile]
            p, log_p = softmax_in_place(told[tile].clone(), part)
            q, log_q = softmax_in_place(rows[tile].clone(), part)
            log_m = torch.add(p, q, out=gradient[tile]).mul_(0.5).clamp_(min=torch.finfo(p.dtype).tiny).log_()
            of_q = log_q.sub_(log_m).mul_(q).sum(-1)  # Σ q log q/m
            terms[tile] = 0.5 * (log_p.sub_(log_m).mul_(p).sum(-1) + of_q)
            torch.addcmul(log_q, q, of_q[:, None], value=-1.0, out=gradient[tile]).mul_(0.5)
        ctx.save_for_backward(gradient.view(student.shape))
        return terms.view(student.shape[:-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad[..., None], None, None
