"""Differences of scores, copied from the teacher."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from recdistill.candidates.base import by_argument
from recdistill.candidates.pairs import TeacherPairs
from recdistill.objectives.base import (
    Objective,
    check_positive,
    gather_valid,
    masked_mean,
    valid_positions,
    weighted_mean,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginMSEConfig:
    teacher_scale: float = 1.0
    """Multiplies the teacher's differences: the ratio of the student's spread of scores to the teacher's."""

    def __post_init__(self) -> None:
        check_positive("margin_mse", teacher_scale=self.teacher_scale)


class MarginMSE(Objective):
    """Mean over pairs (a, b) of ((s_a - s_b) - teacher_scale·(t_a - t_b))² (Margin-MSE: Hofstätter et al., 2020)."""

    needs = frozenset({"scores"})
    config_type = MarginMSEConfig
    shown = by_argument({("first", "second"): TeacherPairs()})

    def __init__(self, config: MarginMSEConfig | None = None) -> None:
        super().__init__()
        self.config = config or MarginMSEConfig()

    def forward(
        self,
        student: Tensor,
        teacher: Tensor,
        first: Tensor,
        second: Tensor,
        *,
        pair_mask: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """student and teacher: scores (batch, candidates); first and second: the pairs' sides (batch, n)."""
        valid, teacher = valid_positions(first, pair_mask), teacher.detach()
        margin = gather_valid(student, first, valid) - gather_valid(student, second, valid)
        wanted = gather_valid(teacher, first, valid) - gather_valid(teacher, second, valid)
        return weighted_mean(*masked_mean((margin - self.config.teacher_scale * wanted).square(), valid), weight)
