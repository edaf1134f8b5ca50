"""What an item of a history weighs by its place in it."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

ALONE = 16
"""Places from the end that have a weight of their own; farther ones share it with their neighbours."""
FARTHEST = 256
"""Where places stop to differ."""
STEPS_AN_OCTAVE = 4


class PlaceWeights(nn.Module):
    """One number for each of the last places, and for a few stretches before them: all 1 at the start.

    Numbers are the exponential of what is learned, so that they stay above 0.
    """

    def __init__(self) -> None:
        super().__init__()
        steps = STEPS_AN_OCTAVE * math.log2(FARTHEST / ALONE)
        self.logs = nn.Parameter(torch.zeros(ALONE + math.ceil(steps)))
        self.register_buffer("stretch", torch.from_numpy(_stretches()), persistent=False)

    def forward(self, places: Tensor) -> Tensor:
        """places: int64 from the end, 0 for the last. Weights of the same shape."""
        assert isinstance(self.stretch, Tensor)
        return self.logs.exp()[self.stretch[places.clamp(max=FARTHEST - 1)]]

    @torch.no_grad()
    def export(self) -> Tensor:
        """(256,) by place; the last stands for all before it."""
        return self(torch.arange(FARTHEST, device=self.logs.device))

    @torch.no_grad()
    def take(self, weights: Tensor) -> None:
        """What `export` gave: (256,) above 0, by place."""
        assert isinstance(self.stretch, Tensor)
        self.logs[self.stretch] = weights.log().to(self.logs)


def _stretches() -> np.ndarray:
    """int64 (256,) the number that each place has in `logs`."""
    places = np.arange(FARTHEST)
    octaves = np.log2(np.maximum(places, ALONE) / ALONE)
    return np.where(places < ALONE, places, ALONE + np.floor(STEPS_AN_OCTAVE * octaves)).astype(np.int64)
