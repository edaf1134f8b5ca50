"""Relaxed Ranking Distillation: a detailed order above a set without order."""

from __future__ import annotations

from torch import Tensor

from recdistill.candidates.base import by_argument
from recdistill.candidates.teacher_top import TeacherTop
from recdistill.candidates.unused import Uniform
from recdistill.objectives.base import Objective
from recdistill.objectives.listwise import list_loss


class RRD(Objective):
    """(1/K) Σ_k [log(Σ_{j≥k} e^{s_{A_j}} + Σ_{l∈U} e^{s_l}) - s_{A_k}] (URRD, DE-RRD: Kang et al., 2020).

    A: interesting items, the teacher's best in their order; U: uninteresting ones, drawn from the others, which only
    have to stand below. Without U it falls behind no distillation at all. Each user once in a batch.
    """

    needs = frozenset({"top_k"})
    shown = by_argument({"interesting": TeacherTop(k=40), "uninteresting": Uniform(n=40, apart_from=("interesting",))})

    def forward(
        self,
        student: Tensor,
        interesting: Tensor,
        uninteresting: Tensor,
        *,
        interesting_mask: Tensor | None = None,
        uninteresting_mask: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """student: scores (batch, candidates); interesting (batch, K), best first; uninteresting (batch, L)."""
        return list_loss(student, interesting, uninteresting, interesting_mask, uninteresting_mask, weight)
