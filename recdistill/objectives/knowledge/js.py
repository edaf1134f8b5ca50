"""The symmetric, bounded divergence between two soft rankings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from recdistill.candidates.base import by_argument
from recdistill.candidates.catalogue import Scored
from recdistill.objectives.base import Objective, check_positive, masked_log_softmax, valid_positions, weighted_mean


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
        tau, valid = self.config.tau, valid_positions(student, mask)
        log_p = masked_log_softmax(teacher.detach() / tau, mask)
        terms = tau * tau * _Divergence.apply(student / tau, log_p, mask)
        return weighted_mean(terms, valid.any(-1), weight)


class _Divergence(torch.autograd.Function):
    """½ KL(p‖m) + ½ KL(q‖m) of every row; its gradient ½ q (log q/m − Σ q log q/m) takes one pass, not ten."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, log_p: Tensor, mask: Tensor | None) -> Tensor:
        log_q = masked_log_softmax(logits, mask)
        p, q = log_p.exp(), log_q.exp()
        if mask is not None:
            p, q = p.masked_fill_(~mask, 0.0), q.masked_fill_(~mask, 0.0)
        log_m = ((p + q) / 2).clamp_(min=torch.finfo(p.dtype).tiny).log_()
        told = (log_q.sub_(log_m)).mul_(q)  # q log q/m
        of_q = told.sum(-1)
        ctx.save_for_backward(q, told, of_q)
        return 0.5 * ((log_p - log_m).mul_(p).sum(-1) + of_q)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, told, of_q = ctx.saved_tensors
        return (told - q * of_q[..., None]) * (0.5 * grad[..., None]), None, None
