"""Several sizes in one table: the first numbers of every vector are trained as a model of their own."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import normalize

from recdistill.objectives.catalogue import CatalogueLoss
from recdistill.objectives.positives import Positives


def prefix(users: Tensor, items: Tensor, size: int, tau: float) -> tuple[Tensor, Tensor]:
    """The first `size` numbers of `users` (batch, d) and `items` (n, d), of length 1 / tau and 1 again."""
    return normalize(users[:, :size], dim=1) / tau, normalize(items[:, :size], dim=1)


class NestedLoss(nn.Module):
    """Mean of a loss over the whole vectors and their first d' numbers (Matryoshka; Kusupati et al., 2022).

    Every prefix is brought to length 1 again; temperature and biases are those of the whole.
    """

    def __init__(self, loss: CatalogueLoss, sizes: tuple[int, ...], *, tau: float) -> None:
        super().__init__()
        self.loss, self.sizes, self.tau = loss, sizes, tau

    def forward(self, users: Tensor, items: Tensor, bias: Tensor, positives: Positives, **more: Any) -> Tensor:
        """`users` (batch, d) of length 1 / tau, `items` (n, d) of length 1; the rest goes to the loss as it is."""
        total: Tensor = self.loss(users, items, bias, positives, **more)
        for size in self.sizes:
            total = total + self.loss(*prefix(users, items, size, self.tau), bias, positives, **more)
        return total / (1 + len(self.sizes))
