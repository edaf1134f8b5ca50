"""What a user has used."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recdistill.candidates.base import Candidates, Listed, Step, check_counts
from recdistill.objectives.positives import Positives


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
        mask = torch.arange(self.n, device=device) < positives.counts[:, None]
        if not len(chance):
            return Listed(torch.zeros_like(mask, dtype=torch.int64), mask)
        early = self._early(chance, positives)
        kept = early.nonzero()[:, 0]
        rows = positives.rows[kept]
        counts = torch.bincount(rows, minlength=len(positives.counts))
        if (counts < positives.counts.clamp(max=self.n)).any():  # by chance, too few of a user were early
            kept, rows, counts = torch.arange(len(chance), device=device), positives.rows, positives.counts
        order = kept[(rows + chance[kept].double() * 0.999_999).argsort()]
        places = (counts.cumsum(0) - counts)[:, None] + torch.arange(self.n, device=device)
        return Listed(positives.items[order[places.clamp_max(len(order) - 1)]], mask)

    def _early(self, chance: Tensor, positives: Positives) -> Tensor:
        """Which entries can be among a user's first n: to sort these alone is a third of the work."""
        enough = (self.n + 6.0 * self.n**0.5 + 6.0) / positives.counts.clamp(min=1)
        return chance < enough[positives.rows]
