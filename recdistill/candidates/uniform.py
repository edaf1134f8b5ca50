"""Items that a user has not used, each as likely as any other."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from recdistill.objectives.positives import Positives


class Negatives(NamedTuple):
    """One item for each positive."""

    items: Tensor
    """(entries,) item rows; 0 where the user has used everything"""
    drawn: Tensor
    """(entries,) bool: whether there was something to draw"""


def uniform_negatives(positives: Positives, n_items: int, generator: torch.Generator) -> Negatives:
    """A fresh negative for each positive, uniform over the items that are none of its user's positives.

    Exact, in one draw: r uniform in 0..(n_items - n), n the user's positives, is raised by the number of positives that
    lie at or below the r-th item that the user has not used. A user's positives must be sorted and distinct.
    """
    rows, items = positives.rows, positives.items
    within = torch.arange(len(items), device=items.device) - positives.offsets[rows]
    unused_below = rows * (n_items + 1) + items - within  # ascending: the unused items below each positive, by user
    unused = n_items - positives.counts[rows]
    chance = torch.rand(len(items), dtype=torch.float64, device=items.device, generator=generator)
    rank = (chance * unused).long()
    used_below = torch.searchsorted(unused_below, rows * (n_items + 1) + rank, right=True) - positives.offsets[rows]
    return Negatives(torch.where(unused > 0, rank + used_below, 0), unused > 0)
