"""The whole catalogue as candidates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from recdistill.candidates.base import Candidates, Listed, Step
from recdistill.candidates.teacher_top import TeacherTop

if TYPE_CHECKING:
    from recdistill.candidates.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue(Candidates):
    """All items, so that an item's place among the candidates is its row."""

    whole = True

    unseen: bool = False
    """Whether what a user has used is masked."""

    def draw(self, step: Step) -> Listed:
        items = torch.arange(step.n_items, device=step.users.device).expand(len(step.users), -1)
        mask = torch.ones_like(items, dtype=torch.bool)
        if self.unseen:
            mask[step.positives.rows, step.positives.items] = False
        return Listed(items, mask)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored(Candidates):
    """All that the teacher gives scores of: the catalogue, or, of a teacher stored as lists, its list."""

    needs = frozenset({"scores"})
    told = True

    unseen: bool = False

    def checked(self, source: Source) -> Candidates:
        if "all_scores" in source.gives:
            return Catalogue(unseen=self.unseen)
        return TeacherTop(k=None, unseen=self.unseen)

    def draw(self, step: Step) -> Listed:
        return self.checked(step.source).draw(step)
