"""Relational distillation: distances, or inner products, between the entities of a batch."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pdist, smooth_l1_loss

from recdistill.objectives.base import Objective


class RKDDistance(Objective):
    """Mean over pairs of Huber(d^S - d^T), d = ‖x_a - x_b‖ / their mean in the batch (RKD: Park et al., 2019).

    Needs no projector, and sees neither scale nor position. The gradient flows through the student's mean as well.
    """

    needs = frozenset({"vectors"})
    entities = "together"

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Vectors of the same entities: student (n, d_S), teacher (n, d_T)."""
        if len(student) < 2:
            return student[:0].sum()
        return smooth_l1_loss(_relative_distances(student), _relative_distances(teacher.detach()))


class RKDGram(Objective):
    """Mean over all n² entries of (S Sᵀ - T Tᵀ)²: inner products as they are (after Tung & Mori, 2019)."""

    needs = frozenset({"vectors"})
    entities = "together"

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Vectors of the same entities: student (n, d_S), teacher (n, d_T)."""
        teacher = teacher.detach()
        gaps = student @ student.T - teacher @ teacher.T
        return gaps.square().sum() / max(1, gaps.numel())


def _relative_distances(vectors: Tensor) -> Tensor:
    """Distances of all pairs a < b over their mean, (n(n-1)/2,); zeros where all points coincide."""
    apart = pdist(vectors)  # its derivative is 0 between points that coincide
    mean = apart.mean()
    return apart / mean.where(mean > 0, 1.0)
