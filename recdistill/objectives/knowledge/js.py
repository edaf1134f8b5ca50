"""The symmetric, bounded divergence between two soft rankings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

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
        log_q = masked_log_softmax(student / tau, mask)
        log_m = torch.logaddexp(log_p, log_q) - math.log(2.0)
        gap = log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m)
        terms = 0.5 * tau * tau * gap.where(valid, 0.0).sum(-1)
        return weighted_mean(terms, valid.any(-1), weight)
