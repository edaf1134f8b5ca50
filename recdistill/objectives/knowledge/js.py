"""The symmetric, bounded divergence between two soft rankings."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recdistill.candidates.base import by_argument
from recdistill.candidates.catalogue import Scored
from recdistill.objectives.base import Objective, check_positive, softmax_in_place, weighted_mean
from recdistill.objectives.row_by_row import RowByRow


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
        terms = tau * tau * RowByRow.apply(student / tau, teacher.detach() / tau, mask, _divergence)
        valid = terms.new_ones(terms.shape, dtype=torch.bool) if mask is None else mask.any(-1)
        return weighted_mean(terms, valid, weight)


def _divergence(student: Tensor, teacher: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """½ KL(p‖m) + ½ KL(q‖m) of rows of logits, and its gradient by the student's, ½ q (log q/m − Σ q log q/m)."""
    p, log_p = softmax_in_place(teacher.clone(), mask)
    q, log_q = softmax_in_place(student.clone(), mask)
    log_m = torch.add(p, q).mul_(0.5).clamp_(min=torch.finfo(p.dtype).tiny).log_()
    of_q = log_q.sub_(log_m).mul_(q).sum(-1)  # Σ q log q/m
    terms = 0.5 * (log_p.sub_(log_m).mul_(p).sum(-1) + of_q)
    return terms, log_q.addcmul_(q, of_q[:, None], value=-1.0).mul_(0.5)
