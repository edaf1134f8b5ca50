"""Soft labels over all candidates."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from recdistill.candidates.base import by_argument
from recdistill.candidates.catalogue import Scored
from recdistill.objectives.base import Objective, check_positive, masked_log_softmax, valid_positions, weighted_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftKLConfig:
    tau: float = 1.0
    """Softens both distributions; match it to the spread of the teacher's scores."""

    def __post_init__(self) -> None:
        check_positive("soft_kl", tau=self.tau)


class SoftKL(Objective):
    """τ²·KL(p‖q), p = softmax(t/τ), q = softmax(s/τ), over the valid candidates (Hinton et al., 2015)."""

    needs = frozenset({"scores"})
    config_type = SoftKLConfig
    shown = by_argument({"candidates": Scored()})

    def __init__(self, config: SoftKLConfig | None = None) -> None:
        super().__init__()
        self.config = config or SoftKLConfig()

    def forward(
        self, student: Tensor, teacher: Tensor, *, mask: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """Both are scores (batch, candidates)."""
        terms = soft_kl_terms(student, teacher, self.config.tau, mask)
        return weighted_mean(terms, valid_positions(student, mask).any(-1), weight)


def soft_kl_terms(student: Tensor, teacher: Tensor, tau: float, mask: Tensor | None) -> Tensor:
    """τ²·KL(teacher‖student) of every row, (batch,); 0 in rows that are masked whole. The teacher is a constant."""
    log_p = masked_log_softmax(teacher.detach() / tau, mask)
    log_q = masked_log_softmax(student / tau, mask)
    gap = log_p.exp() * (log_p - log_q)  # 0 at masked candidates, whose two logarithms are 0
    return tau * tau * gap.sum(-1)
