"""Two models that teach each other; both get gradients, each from targets that stand still."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from recdistill.objectives.base import (
    Objective,
    check_not_negative,
    check_positive,
    gather_valid,
    masked_mean,
    valid_positions,
    weighted_mean,
)
from recdistill.objectives.knowledge.soft_kl import soft_kl_terms


@dataclass(frozen=True, slots=True, kw_only=True)
class MutualConfig:
    tau: float = 1.0
    """Softens the target in the pointwise form, both distributions in the other."""
    student_weight: float = 0.5
    """Weight of what the student learns from the teacher."""
    teacher_weight: float = 0.5
    """Weight of what the teacher learns from the student."""

    def __post_init__(self) -> None:
        check_positive("mutual", tau=self.tau)
        check_not_negative("mutual", student_weight=self.student_weight, teacher_weight=self.teacher_weight)


class MutualBCE(Objective):
    """λ_S·mean BCE(s_i, σ(t_i/τ)) + λ_T·mean BCE(t_i, σ(s_i/τ)) (bidirectional distillation: Kweon et al., 2021).

    Each side on items drawn for it by the difference of the two ranks; targets are constants, each side is its own
    mean over users.
    """

    needs = frozenset({"teacher"})
    config_type = MutualConfig
    untrained = "the teacher learns along; see recdistill.distillation.mutual.train_together"

    def __init__(self, config: MutualConfig | None = None) -> None:
        super().__init__()
        self.config = config or MutualConfig()

    def forward(
        self,
        student: Tensor,
        teacher: Tensor,
        to_student: Tensor,
        to_teacher: Tensor,
        *,
        to_student_mask: Tensor | None = None,
        to_teacher_mask: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """Scores (batch, candidates) of both; to_student and to_teacher: the items that each learns (batch, n)."""
        config = self.config
        for_student = _taught(student, teacher, to_student, to_student_mask, config.tau, weight)
        for_teacher = _taught(teacher, student, to_teacher, to_teacher_mask, config.tau, weight)
        return config.student_weight * for_student + config.teacher_weight * for_teacher


class MutualKL(Objective):
    """λ_S·τ²KL(t‖s) + λ_T·τ²KL(s‖t), the first of each pair a constant (mutual learning: Zhang et al., 2018)."""

    needs = frozenset({"teacher"})
    config_type = MutualConfig
    untrained = "the teacher learns along; see recdistill.distillation.mutual.train_together"

    def __init__(self, config: MutualConfig | None = None) -> None:
        super().__init__()
        self.config = config or MutualConfig()

    def forward(
        self, student: Tensor, teacher: Tensor, *, mask: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """Scores (batch, candidates) of both; mask: the valid ones."""
        config = self.config
        terms = config.student_weight * soft_kl_terms(student, teacher, config.tau, mask)
        terms = terms + config.teacher_weight * soft_kl_terms(teacher, student, config.tau, mask)
        return weighted_mean(terms, valid_positions(student, mask).any(-1), weight)


def _taught(
    learner: Tensor, target: Tensor, items: Tensor, item_mask: Tensor | None, tau: float, weight: Tensor | None
) -> Tensor:
    """Mean BCE(learner, σ(target/τ)) over the items (batch, n); the target is a constant."""
    valid = valid_positions(items, item_mask)
    wanted = (gather_valid(target.detach(), items, valid) / tau).sigmoid()
    values = binary_cross_entropy_with_logits(gather_valid(learner, items, valid), wanted, reduction="none")
    return weighted_mean(*masked_mean(values, valid), weight)
