"""Collaborative Distillation: the teacher's calibrated scores on items drawn by rank."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from recdistill.candidates.base import by_argument
from recdistill.candidates.teacher_top import RankSampled
from recdistill.objectives.base import (
    Objective,
    check_positive,
    gather_valid,
    masked_mean,
    valid_positions,
    weighted_mean,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CDConfig:
    t1: float = 2.0
    """Divides the teacher's scores."""
    t2: float = 0.0
    """Added to the teacher's scores before."""

    def __post_init__(self) -> None:
        check_positive("cd", t1=self.t1)


class CD(Objective):
    """Mean over drawn items of BCE(s, σ((t + t2)/t1)) (Collaborative Distillation: Lee et al., 2019).

    Least, but not 0, at s = (t + t2)/t1. The items are drawn from the teacher's (or the student's) list with a
    probability that falls with the rank, none of them being the user's own.
    """

    needs = frozenset({"scores"})
    config_type = CDConfig
    shown = by_argument({"samples": RankSampled(n=30, of=100, temperature=20.0)})

    def __init__(self, config: CDConfig | None = None) -> None:
        super().__init__()
        self.config = config or CDConfig()

    def forward(
        self,
        student: Tensor,
        teacher: Tensor,
        samples: Tensor,
        *,
        sample_mask: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """student and teacher: scores (batch, candidates); samples: indices (batch, n)."""
        drawn = valid_positions(samples, sample_mask)
        calibrated = (gather_valid(teacher.detach(), samples, drawn) + self.config.t2) / self.config.t1
        scores = gather_valid(student, samples, drawn)
        values = binary_cross_entropy_with_logits(scores, calibrated.sigmoid(), reduction="none")
        return weighted_mean(*masked_mean(values, drawn), weight)
