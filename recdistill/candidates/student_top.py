"""The student's own best items, found anew every few epochs, and what they say beside the teacher's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recdistill.candidates.base import FromStudent, Listed, Step, check_counts
from recdistill.candidates.teacher_top import TeacherTop
from recdistill.objectives.base import check_positive

CAP = 50
"""Of the count that RCE-KD's draw is by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentTop(FromStudent):
    """The first k that the student ranks highest among what a user has not used, as of the last refresh."""

    k: int = 50
    every: int = 5
    """Epochs from one refresh to the next."""

    def __post_init__(self) -> None:
        check_counts("student_top", k=self.k, every=self.every)

    @property
    def student_list(self) -> int:
        return self.k

    def draw(self, step: Step) -> Listed:
        return student_list(step, self.k)


@dataclass(frozen=True, slots=True, kw_only=True)
class NearStudentTop(FromStudent):
    """n of the student's first `of`, p ∝ e^{z/temperature}, z: the teacher's items below it (RCE-KD, 2026).

    z counts the teacher's first k that the student ranks after the item, at most 50: what stands in the teacher's way.
    """

    needs = frozenset({"top_k"})

    n: int = 50
    of: int = 100
    k: int = 50
    temperature: float = 10.0
    every: int = 5

    def __post_init__(self) -> None:
        check_counts("near_student_top", n=self.n, of=self.of, k=self.k, every=self.every)
        check_positive("near_student_top", temperature=self.temperature)

    @property
    def student_list(self) -> int:
        return self.of

    def draw(self, step: Step) -> Listed:
        own, wanted = student_list(step, self.of), TeacherTop(k=self.k).draw(step)
        place = ranks_in(own, wanted, step.n_items)  # of the teacher's items in the student's list; its length if not
        width = own.items.shape[1]
        at = torch.zeros(len(place), width + 1, device=place.device)
        at.scatter_add_(1, place, wanted.mask.float())
        below = at.flip(1).cumsum(1).flip(1)[:, 1:]  # (batch, of) how many stand after each place
        keys = below.clamp_max(CAP) / self.temperature + step.gumbel(*own.items.shape)
        places = keys.masked_fill(~own.mask, -torch.inf).topk(min(self.n, width)).indices
        scores = None if own.scores is None else own.scores.gather(1, places)
        return Listed(own.items.gather(1, places), own.mask.gather(1, places), scores)


@dataclass(frozen=True, slots=True, kw_only=True)
class Discrepant(FromStudent):
    """n of the first `of` of one list, by how much later they come in the other (DCD: Lee & Kim, 2021)."""

    needs = frozenset({"top_k"})

    n: int = 40
    of: int = 100
    temperature: float = 10.0
    every: int = 5

    def __post_init__(self) -> None:
        name = type(self).__name__.lower()
        check_counts(name, n=self.n, of=self.of, every=self.every)
        check_positive(name, temperature=self.temperature)

    @property
    def student_list(self) -> int:
        return self.of


@dataclass(frozen=True, slots=True, kw_only=True)
class Underestimated(Discrepant):
    """n of the teacher's first `of`, p ∝ tanh(max(0, student's rank - teacher's) / temperature).

    They come in the teacher's order. The student's rank is known within its own first `of`; beyond that it comes next.
    """

    told = True

    def draw(self, step: Step) -> Listed:
        return discrepant(TeacherTop(k=self.of).draw(step), student_list(step, self.of), step, self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overestimated(Discrepant):
    """n of the student's first `of`, p ∝ tanh(max(0, teacher's rank - student's) / temperature)."""

    def draw(self, step: Step) -> Listed:
        return discrepant(student_list(step, self.of), TeacherTop(k=self.of).draw(step), step, self)


def discrepant(own: Listed, other: Listed, step: Step, settings: Discrepant) -> Listed:
    """Of the list `own`, by how much later its items come in `other`."""
    behind = ranks_in(other, own, step.n_items) - torch.arange(own.items.shape[1], device=own.items.device)
    weight = torch.tanh(behind.clamp(min=0) / settings.temperature).masked_fill(~own.mask, 0.0)
    keys = (weight.log() + step.gumbel(*weight.shape)).masked_fill(weight == 0, -torch.inf)
    places = keys.topk(min(settings.n, keys.shape[1]), sorted=False).indices.sort(1).values
    mask = (weight > 0).gather(1, places)
    scores = None if own.scores is None else own.scores.gather(1, places)
    return Listed(own.items.gather(1, places), mask, scores)


def student_list(step: Step, k: int) -> Listed:
    """The first k of the student's list (batch, k)."""
    assert step.student_top is not None
    items = step.student_top[step.users, :k].long()
    scores = None if step.top_scores is None else step.top_scores[step.users, :k]
    return Listed(items.clamp_min(0), items >= 0, scores)


def ranks_in(ranking: Listed, items: Listed, n_items: int) -> Tensor:
    """(batch, n) int64 the place, from 0, of each of `items` in `ranking`; its length where it does not stand there."""
    width = ranking.items.shape[1]
    place = torch.full((len(ranking.items), n_items + 1), width, dtype=torch.int16, device=ranking.items.device)
    at = ranking.items.masked_fill(~ranking.mask, n_items)
    ranks = torch.arange(width, dtype=torch.int16, device=at.device).expand_as(at)
    place.scatter_(1, at, ranks)
    return place.gather(1, items.items).long()
