"""Ranks drawn from a geometric law that ends where the list ends."""

from __future__ import annotations

import torch
from torch import Tensor


def ranks_drawn(chance: Tensor, lengths: Tensor, temperature: float) -> Tensor:
    """Ranks from 0 with p ∝ e^{-rank/temperature} below `lengths`, by inverting the sum; 0 where that is 0.

    chance: uniform in [0, 1); both broadcast together.
    """
    count = lengths.clamp(min=1)
    whole = -torch.expm1(-count / temperature)
    rank = -temperature * torch.log1p(-chance * whole)
    return torch.minimum(rank.long(), count - 1)
