"""Pairs of items for objectives that compare two scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from recdistill.candidates.base import Candidates, Listed, Step, check_counts
from recdistill.candidates.own import Own
from recdistill.candidates.teacher_top import TeacherTop
from recdistill.candidates.truncated import ranks_drawn
from recdistill.candidates.unused import Uniform
from recdistill.errors import ConfigError
from recdistill.objectives.base import check_positive

if TYPE_CHECKING:
    from recdistill.candidates.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherPairs(Candidates):
    """n pairs from the teacher's first `of`: two ranks with p ∝ e^{-rank/temperature}, the higher item first.

    `against = "uniform"` takes the second of a pair from all that the user has not used.
    """

    needs = frozenset({"scores"})
    told = True

    n: int = 30
    of: int = 100
    temperature: float = 20.0
    against: str = "list"

    def __post_init__(self) -> None:
        check_counts("teacher_pairs", n=self.n)
        check_counts("teacher_pairs", least=2, of=self.of)
        check_positive("teacher_pairs", temperature=self.temperature)
        if self.against not in ("list", "uniform"):
            raise ConfigError(f"teacher_pairs: against = {self.against!r}: give list or uniform.")

    def checked(self, source: Source) -> Candidates:
        if self.against == "uniform" and "all_scores" not in source.gives:
            raise ConfigError(
                "teacher_pairs: against = 'uniform' compares items outside of the teacher's lists, and this knowledge "
                "holds lists only. Give against = 'list'."
            )
        return self

    def draw(self, step: Step) -> Listed:
        first = TeacherTop(k=self.of).draw(step)
        assert first.scores is not None
        lengths = first.mask.sum(1, keepdim=True)
        shape = len(first.items), self.n
        one = ranks_drawn(step.chance(*shape), lengths, self.temperature)
        if self.against == "uniform":
            other = Uniform(n=self.n).draw(step)
            items = torch.stack([first.items.gather(1, one), other.items], 1)
            return Listed(items, other.mask & (lengths > 0))
        two = ranks_drawn(step.chance(*shape), lengths, self.temperature)
        ranks = torch.stack([torch.minimum(one, two), torch.maximum(one, two)], 1)  # (batch, 2, n)
        sides = first.items[:, None].expand(-1, 2, -1).gather(2, ranks)
        told = first.scores[:, None].expand(-1, 2, -1).gather(2, ranks)
        return Listed(sides, (one != two) & (lengths > 1), told)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPairs(Candidates):
    """n pairs of something that the user has used and something that is not: BPR's."""

    n: int = 20

    def __post_init__(self) -> None:
        check_counts("label_pairs", n=self.n)

    def draw(self, step: Step) -> Listed:
        own, other = Own(n=self.n).draw(step), Uniform(n=self.n).draw(step)
        return Listed(torch.stack([own.items, other.items], 1), own.mask & other.mask)
