"""Whole orders drawn from the teacher's belief."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from recdistill.candidates.base import Candidates, Listed, Step, check_counts
from recdistill.candidates.teacher_top import TeacherTop
from recdistill.objectives.base import check_positive


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherOrders(Candidates):
    """`draws` orders of the teacher's first n by its Plackett–Luce distribution: t/tau + Gumbel noise, sorted.

    RankDistil: Reddi et al., 2021. The order is of the places in the list; items are masked as the list is.
    """

    needs = frozenset({"top_k", "scores"})

    n: int = 50
    draws: int = 4
    tau: float = 1.0
    unseen: bool = True

    def __post_init__(self) -> None:
        check_counts("teacher_orders", n=self.n, draws=self.draws)
        check_positive("teacher_orders", tau=self.tau)

    def draw(self, step: Step) -> Listed:
        listed = TeacherTop(k=self.n, unseen=self.unseen).draw(step)
        assert listed.scores is not None
        scores = (listed.scores / self.tau).masked_fill(~listed.mask, -torch.inf)[:, None]
        keys = scores + step.gumbel(len(scores), self.draws, scores.shape[2])
        order = keys.argsort(dim=2, descending=True)  # what is masked comes last in every draw, as in the mask
        return Listed(listed.items, listed.mask, listed.scores, places=order)
