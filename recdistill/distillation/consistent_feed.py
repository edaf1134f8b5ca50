"""Objectives of the users' vectors and of those of a few items that each user is shown."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from recdistill.candidates.base import Candidates
from recdistill.candidates.source import Source
from recdistill.distillation.feeds import Feed, Taken, called
from recdistill.distillation.vector_feed import unit
from recdistill.objectives.base import Objective


class ConsistentFeed(Feed):
    """Users of the batch, the items of their samples each once, and the samples as places among these."""

    def __init__(self, objective: Objective, shown: Mapping[str | tuple[str, ...], Candidates], source: Source) -> None:
        self.objective, self.source = objective, source
        self.samples = shown["samples"].checked(source)

    def student_list(self) -> tuple[int, int]:
        return self.samples.student_list, self.samples.refresh

    def loss(self, taken: Taken) -> Tensor:
        step, vectors = taken.step, taken.scores.vectors
        teacher_users, teacher_items = self.source.vectors()
        listed = self.samples.draw(step)
        rows, places = listed.items.unique(return_inverse=True)
        arguments = {
            "student_user": unit(vectors.users),
            "student_item": unit(vectors.items[rows]),
            "teacher_user": teacher_users[step.users],
            "teacher_item": teacher_items[rows],
            "samples": places,
            "sample_mask": listed.mask,
        }
        return called(self.objective, arguments)
