"""What a user has used."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from recdistill.candidates.base import Candidates, Listed, Step, check_counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Own(Candidates):
    """n of the items that a user has used, without repetition, in no order; all of them where there are fewer."""

    n: int = 20

    def __post_init__(self) -> None:
        check_counts("own", n=self.n)

    def draw(self, step: Step) -> Listed:
        """Entries of the batch are put into a random order within each user, and the first n are taken."""
        positives, device = step.positives, step.users.device
        chance = step.chance(len(positives.items))
        order = (positives.rows + chance.double() * 0.999_999).argsort()
        places = positives.offsets[:-1, None] + torch.arange(self.n, device=device)
        mask = places < positives.offsets[1:, None]
        if not len(order):
            return Listed(torch.zeros_like(places), mask)
        return Listed(positives.items[order[places.clamp_max(len(order) - 1)]], mask)
