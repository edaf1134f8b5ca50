"""Objectives of vectors: those of the batch's users, and of a sample of items."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from recdistill.candidates.source import Source, typical_length
from recdistill.distillation.feeds import Feed, Taken, asked_of, called
from recdistill.objectives.base import Objective

ENTITIES = 512
"""Of each side in a step, each once; all where there are fewer."""
EXPERTS = 10
"""Beyond as many an objective is shown fewer entities, so that a step costs what it costs with these."""


class VectorFeed(Feed):
    """Each side on its own, with an objective for each, mean of both; or both together in one matrix.

    Vectors of either model are brought to a root-mean-square length of 1 by one number for each side, a constant.
    """

    def __init__(self, objectives: Sequence[Objective], source: Source) -> None:
        """Two objectives, of users and of items; one, of both together."""
        self.objectives, self.source = list(objectives), source
        self.asked = asked_of(objectives[0])

    def loss(self, taken: Taken) -> Tensor:
        step, vectors = taken.step, taken.scores.vectors
        teacher_users, teacher_items = self.source.vectors()
        limit = ENTITIES * EXPERTS // max(EXPERTS, self.objectives[0].noise)
        people, things = sampled(len(step.users), limit, taken), sampled(len(vectors.items), limit, taken)
        users, items = unit(vectors.users[people]), unit(vectors.items[things])
        wanted_users, wanted_items = teacher_users[step.users[people]], teacher_items[things]
        if len(self.objectives) == 1:
            together, wanted = torch.cat([users, items]), torch.cat([wanted_users, wanted_items])
            return self._call(self.objectives[0], together, wanted, taken, None)
        of_users, of_items = self.objectives
        weight = None if taken.weight is None else taken.weight[people]
        one = self._call(of_users, users, wanted_users, taken, weight)
        return 0.5 * (one + self._call(of_items, items, wanted_items, taken, None))

    def _call(
        self, objective: Objective, student: Tensor, teacher: Tensor, taken: Taken, weight: Tensor | None
    ) -> Tensor:
        arguments = {"student": student, "teacher": teacher}
        noise = objective.noise
        if "gumbel" in self.asked and noise:
            arguments["gumbel"] = taken.step.gumbel(len(student), noise)
        if "weight" in self.asked and weight is not None:
            arguments["weight"] = weight
        return called(objective, arguments)


def sampled(count: int, limit: int, taken: Taken) -> Tensor:
    """Rows (n,), ascending: `limit` of `count`, each once."""
    if count <= limit:
        return torch.arange(count, device=taken.step.users.device)
    drawn = torch.randperm(count, generator=taken.step.generator)[:limit]
    return drawn.sort().values.to(taken.step.users.device)


def unit(vectors: Tensor) -> Tensor:
    """Of a root-mean-square length of 1; the factor is a constant."""
    return vectors / typical_length(vectors.detach())
