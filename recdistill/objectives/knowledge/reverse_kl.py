"""The divergence the other way round: the student is to stay where the teacher is sure."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from recdistill.candidates.base import by_argument
from recdistill.candidates.catalogue import Scored
from recdistill.objectives.base import Objective, check_positive, masked_log_softmax, valid_positions, weighted_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class ReverseKLConfig:
    tau: float = 1.0
    """Softens both distributions."""

    def __post_init__(self) -> None:
        check_positive("reverse_kl", tau=self.tau)


class ReverseKL(Objective):
    """τ²·KL(q‖p), q = softmax(s/τ) the student, p = softmax(t/τ) the teacher (MiniLLM: Gu et al., 2024).

    Mode-seeking: it punishes what the student likes and the teacher does not, more than what the student lacks.
    """

    needs = frozenset({"scores"})
    config_type = ReverseKLConfig
    shown = by_argument({"candidates": Scored()})

    def __init__(self, config: ReverseKLConfig | None = None) -> None:
        super().__init__()
        self.config = config or ReverseKLConfig()

    def forward(
        self, student: Tensor, teacher: Tensor, *, mask: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """Both are scores (batch, candidates); mask: the valid ones."""
        tau = self.config.tau
        log_p = masked_log_softmax(teacher.detach() / tau, mask)
        log_q = masked_log_softmax(student / tau, mask)
        terms = tau * tau * (log_q.exp() * (log_q - log_p)).sum(-1)  # masked candidates hold 0 in both
        return weighted_mean(terms, valid_positions(student, mask).any(-1), weight)
