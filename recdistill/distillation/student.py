"""What a model must give to be taught."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag

from recdistill.training.batches import Batch


class Student(Protocol):
    """A torch module whose forward of a batch gives users (batch, d), items (n_items, d) and biases (n_items,).

    logit = user · item + bias. Where the batch's users are others, only the users change.
    """

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]: ...


Batches = Callable[[np.ndarray], Batch]
"""The batch of any user rows, with their whole histories."""
DENSE_BELOW = 32
"""Items per candidate below which all scores are computed and the wanted ones picked."""


class Vectors(NamedTuple):
    """What a student made of a batch."""

    users: Tensor
    items: Tensor
    bias: Tensor


class StudentScores:
    """The student's logits of a batch, of any candidates; those of the whole catalogue are computed once."""

    def __init__(self, vectors: Vectors) -> None:
        self.vectors = vectors
        self._whole: Tensor | None = None

    def whole(self) -> Tensor:
        """(batch, n_items)"""
        if self._whole is None:
            users, items, bias = self.vectors
            self._whole = torch.addmm(bias, users, items.T)
        return self._whole

    def at(self, rows: Tensor) -> Tensor:
        """(batch, n) of the item rows (batch, n)."""
        users, items, bias = self.vectors
        if self._whole is not None or len(items) < DENSE_BELOW * rows.shape[1]:
            return self.whole().gather(1, rows)
        return _ScoresAt.apply(users, items, rows) + bias[rows]

    def now(self, rows: Tensor) -> Tensor:
        """The same, as a constant."""
        return self.at(rows).detach()


class _ScoresAt(torch.autograd.Function):
    """u·v of chosen pairs; the gradients are sums over bags, so that no (batch, n, d) array is kept."""

    @staticmethod
    def forward(ctx: Any, users: Tensor, items: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(users, items, rows)
        return torch.bmm(items[rows], users[:, :, None])[:, :, 0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        users, items, rows = ctx.saved_tensors
        d_users = embedding_bag(rows, items, mode="sum", per_sample_weights=grad.contiguous())
        order = rows.flatten().argsort()
        counts = torch.bincount(rows.flatten(), minlength=len(items))
        starts = counts.cumsum(0) - counts
        owners = torch.div(order, rows.shape[1], rounding_mode="floor")
        d_items = embedding_bag(owners, users, starts, mode="sum", per_sample_weights=grad.flatten()[order])
        return d_users, d_items, None
