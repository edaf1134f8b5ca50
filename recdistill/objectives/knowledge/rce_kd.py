"""RCE-KD: soft labels on the teacher's and on the student's own top items."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recdistill.candidates.base import by_argument
from recdistill.candidates.student_top import NearStudentTop, StudentTop
from recdistill.candidates.teacher_top import TeacherTop
from recdistill.objectives.base import (
    Objective,
    check_not_negative,
    check_positive,
    membership,
    valid_positions,
    weighted_mean,
)
from recdistill.objectives.knowledge.soft_kl import soft_kl_terms


@dataclass(frozen=True, slots=True, kw_only=True)
class RCEKDConfig:
    tau: float = 1.0
    """Softens both distributions."""
    beta: float = 3.0
    """How fast the weight of the teacher's set falls as the two top lists come to agree."""

    def __post_init__(self) -> None:
        check_positive("rce_kd", tau=self.tau)
        check_not_negative("rce_kd", beta=self.beta)


class RCEKD(Objective):
    """(1-γ)·τ²KL on Q_S + γ·τ²KL on (Q_T∖Q_S) ∪ A, γ = exp(-β|Q_T∩Q_S|/|Q_T|) (RCE-KD: Zhu & Zhang, 2026).

    Q_T and Q_S: top lists of teacher and student; A: items drawn near the student's top. Cross-entropy on a subset
    bounds NDCG only where the subset holds what the student ranks high, hence Q_S. Both softmaxes are over the set,
    in which each item stands once; an empty set gives 0. KL has the gradient of the paper's cross-entropy, and is 0
    at the teacher.
    """

    needs = frozenset({"top_k", "all_scores"})
    config_type = RCEKDConfig
    shown = by_argument({"q_teacher": TeacherTop(k=50), "q_student": StudentTop(k=50), "sampled": NearStudentTop()})
    distinct = True

    def __init__(self, config: RCEKDConfig | None = None) -> None:
        super().__init__()
        self.config = config or RCEKDConfig()

    def forward(
        self,
        student: Tensor,
        teacher: Tensor,
        q_teacher: Tensor,
        q_student: Tensor,
        sampled: Tensor,
        *,
        q_teacher_mask: Tensor | None = None,
        q_student_mask: Tensor | None = None,
        sampled_mask: Tensor | None = None,
        gamma: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """Scores (batch, candidates) of both; q_teacher (batch, K), q_student, sampled (batch, L); gamma (batch,)."""
        in_teacher = valid_positions(q_teacher, q_teacher_mask)
        in_student = valid_positions(q_student, q_student_mask)
        shared = in_teacher & membership(q_student, in_student, student).gather(-1, q_teacher)
        if gamma is None:
            overlap = shared.sum(-1).to(student.dtype) / in_teacher.sum(-1).clamp(min=1)
            gamma = torch.exp(-self.config.beta * overlap)
        gamma = gamma.detach().to(student.dtype)

        own = _first_of_each(q_student, in_student)
        missed = torch.cat([q_teacher, sampled], dim=-1)
        kept = torch.cat([in_teacher & ~shared, valid_positions(sampled, sampled_mask)], dim=-1)
        kept = _first_of_each(missed, kept)
        terms = (1 - gamma) * self._on_set(student, teacher, q_student, own)
        terms = terms + gamma * self._on_set(student, teacher, missed, kept)
        return weighted_mean(terms, own.any(-1) | kept.any(-1), weight)

    def _on_set(self, student: Tensor, teacher: Tensor, items: Tensor, valid: Tensor) -> Tensor:
        return soft_kl_terms(student.gather(-1, items), teacher.gather(-1, items), self.config.tau, valid)


def _first_of_each(index: Tensor, valid: Tensor) -> Tensor:
    """Which positions count when an item may stand once only."""
    values, order = index.where(valid, -1).sort(dim=-1, stable=True)
    fresh = torch.ones_like(valid)
    fresh[..., 1:] = values[..., 1:] != values[..., :-1]
    return valid & torch.zeros_like(valid).scatter(-1, order, fresh)
