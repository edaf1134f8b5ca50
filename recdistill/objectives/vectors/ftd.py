"""Full Topology Distillation: all cosines between entities are to be the teacher's."""

from __future__ import annotations

import torch
from torch import Tensor

from recdistill.objectives.base import Objective
from recdistill.objectives.vectors.owned import cosines


class FTD(Objective):
    """Mean over ordered pairs a ≠ b of (cos(s_a, s_b) - cos(t_a, t_b))² (topology distillation: Kang et al., 2021b).

    Needs no projector: cosines have no dimension. Users and items of a batch stand together in one matrix.
    """

    needs = frozenset({"vectors"})
    entities = "together"

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Vectors of the same entities: student (n, d_S), teacher (n, d_T)."""
        return pair_mean(cosine_gaps(student, teacher), off_diagonal(len(student), student.device))


def cosine_gaps(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared differences of the cosines of all pairs (n, n)."""
    fixed = teacher.detach()
    return (cosines(student, student) - cosines(fixed, fixed)).square()


def pair_mean(values: Tensor, counted: Tensor) -> Tensor:
    """Mean over the entries that are counted; 0 where none is."""
    return values.where(counted, 0.0).sum() / counted.sum().clamp(min=1)


def off_diagonal(n: int, device: torch.device) -> Tensor:
    """(n, n) bool: the ordered pairs a ≠ b."""
    return ~torch.eye(n, dtype=torch.bool, device=device)
