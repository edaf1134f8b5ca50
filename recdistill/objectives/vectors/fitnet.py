"""FitNet: the student's vectors, projected, are to be the teacher's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import linear

from recdistill.objectives.base import valid_positions, weighted_mean
from recdistill.objectives.vectors.owned import Distance, OwningObjective, check_distance, distance, drawn, rows_where


@dataclass(frozen=True, slots=True, kw_only=True)
class FitNetConfig:
    distance: Distance = "squared"
    """squared: ‖t - P(s)‖²; cosine: 1 - cos(t, P(s)), which leaves lengths free."""
    bias: bool = True
    """Whether the projector has one."""

    def __post_init__(self) -> None:
        check_distance("fitnet", self.distance)


class FitNet(OwningObjective):
    """Mean over entities of ‖t - (W s + b)‖², or of 1 - cos (FitNets: Romero et al., 2015). Owns W and b."""

    needs = frozenset({"vectors"})
    config_type = FitNetConfig
    entities = "each side"

    def __init__(
        self, config: FitNetConfig | None = None, *, student_dim: int, teacher_dim: int, generator: torch.Generator
    ) -> None:
        super().__init__(student_dim=student_dim, teacher_dim=teacher_dim)
        self.config = config or FitNetConfig()
        self.projector = drawn(teacher_dim, student_dim, fan_in=student_dim, generator=generator)
        self.bias = drawn(teacher_dim, fan_in=student_dim, generator=generator) if self.config.bias else None

    def forward(
        self, student: Tensor, teacher: Tensor, *, entity_mask: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """Vectors of the same users or items: student (n, d_S), teacher (n, d_T); mask and weight (n,)."""
        how = self.config.distance
        return fitnet(student, teacher, self.projector, self.bias, how=how, entity_mask=entity_mask, weight=weight)


def fitnet(
    student: Tensor,
    teacher: Tensor,
    projector: Tensor,
    bias: Tensor | None = None,
    *,
    how: Distance = "squared",
    entity_mask: Tensor | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """The loss with a given projector (d_T, d_S) and bias (d_T,)."""
    projected = linear(rows_where(entity_mask, student), projector, bias)
    terms = distance(projected, rows_where(entity_mask, teacher.detach()), how)
    return weighted_mean(terms, valid_positions(terms, entity_mask), weight)
