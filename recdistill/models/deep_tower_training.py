"""The torch half of the deep tower: the two-tower's, with a network between a user's bag and the items."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, normalize

from recdistill.models.towers import Towers
from recdistill.serving.deep_bag import DeepBagScorer
from recdistill.serving.perceptron import Perceptron
from recdistill.training.batches import Batch

PACE = 0.1
"""Weights are held so much larger than they count. Adam moves every number equally far: at the rate that rows of tables
want, a layer of some hundred inputs would be thrown about."""


class Residual(nn.Module):
    """x + f(√d · x), f a perceptron whose last layer starts at 0: what begins as x learns how to leave it."""

    def __init__(self, dim: int, hidden: tuple[int, ...], generator: torch.Generator) -> None:
        super().__init__()
        widths = (dim, *hidden, dim)
        shapes = list(zip(widths[1:], widths, strict=False))
        first = [torch.randn(shape, generator=generator) * (2 / shape[1]) ** 0.5 / PACE for shape in shapes[:-1]]
        self.weights = nn.ParameterList([*first, torch.zeros(shapes[-1])])
        self.biases = nn.ParameterList([torch.zeros(width) for width in widths[1:]])

    def forward(self, x: Tensor) -> Tensor:
        """(batch, d) rows of length 1."""
        rows = x * x.shape[1] ** 0.5
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            rows = (torch.relu(rows) if number else rows) @ (PACE * weight).T + PACE * bias
        return x + rows

    def export(self) -> Perceptron:
        """f, for the serving half."""
        layers = zip(self.weights, self.biases, strict=True)
        return Perceptron.of(*((_counted(weight), _counted(bias)) for weight, bias in layers))


class DeepTowers(Towers):
    """User = the two-tower's, of length 1, through a `Residual`; item = a row."""

    def __init__(self, items: Tensor, users: Tensor | None, *, hidden: tuple[int, ...], seed: int, **more: Any) -> None:
        super().__init__(items, users, **more)
        self.network = Residual(items.shape[1], hidden, torch.Generator().manual_seed(seed))

    def forward(self, batch: Batch, kept: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        if batch.shown is not None:
            history, items = self.tables.among(batch.shown.items)
            return self._through(batch, history, sparse=True), items, self.bias[batch.shown.items]
        said = None if self.item_side is None else self.item_side.rows()
        return self._through(batch, self._history(said), sparse=False), *self._items(said, kept)

    def _through(self, batch: Batch, history: Tensor, *, sparse: bool) -> Tensor:
        """Users (batch, d) of length 1 / τ."""
        users = self._bag(history, batch)
        if self.users is not None:
            users = users + embedding(batch.users, self.users, sparse=sparse)
            if self.user_side is not None:
                users = users + self.user_side.rows(batch.users)
        return normalize(self.network(normalize(users, dim=1)), dim=1) / self.tau

    @torch.no_grad()
    def scorer(self) -> DeepBagScorer:
        return DeepBagScorer.around(super().scorer(), self.network.export())


def _counted(weight: Tensor) -> np.ndarray:
    return (PACE * weight.detach()).float().cpu().numpy()
