"""Objectives of one positive against its negatives: every entry of a list of positives is a row."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from recdistill.candidates.base import Candidates
from recdistill.candidates.source import Source
from recdistill.distillation.feeds import Feed, Taken, called
from recdistill.objectives.base import Objective


class SampledFeed(Feed):
    """Positives and negatives of each user; a positive that does not count weighs nothing."""

    def __init__(self, objective: Objective, shown: Mapping[str | tuple[str, ...], Candidates], source: Source) -> None:
        self.objective = objective
        self.positives, self.negatives = (shown[name].checked(source) for name in ("positives", "negatives"))

    def student_list(self) -> tuple[int, int]:
        return self.negatives.student_list, self.negatives.refresh

    def loss(self, taken: Taken) -> Tensor:
        step = taken.step
        own, others = self.positives.draw(step), self.negatives.draw(step)
        rows, columns = own.items.shape
        spread = (rows, columns, others.items.shape[1])
        weight = own.mask.float() / own.mask.sum(1, keepdim=True).clamp(min=1)
        if taken.weight is not None:
            weight = weight * taken.weight[:, None]
        arguments = {
            "student_positive": taken.scores.at(own.items).flatten(),
            "student_negative": wide(taken.scores.at(others.items), spread),
            "negative_mask": wide(others.mask, spread),
            "weight": weight.flatten(),
        }
        if others.log_q is not None:
            # how often an item is expected among all draws: the sum over those that count is then one over the unused
            arguments["log_q_negative"] = wide(others.log_q + math.log(spread[2]), spread)
        return called(self.objective, arguments)


def wide(values: Tensor, spread: tuple[int, int, int]) -> Tensor:
    """(batch, n) once for every positive: (batch · positives, n)."""
    return values[:, None].expand(spread).flatten(0, 1)
