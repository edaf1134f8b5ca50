"""Histories as bags of rows of a table: sums on ragged arrays, both ways through `embedding_bag`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag


@dataclass(frozen=True, slots=True)
class Ragged:
    """A sparse matrix by rows: entries of row r are at offsets[r]:offsets[r + 1]."""

    offsets: Tensor
    columns: Tensor
    values: Tensor

    @classmethod
    def of(cls, matrix: csr_matrix, device: torch.device) -> Ragged:
        offsets, columns = torch.from_numpy(matrix.indptr), torch.from_numpy(matrix.indices)
        return cls(offsets.long().to(device), columns.long().to(device), torch.from_numpy(matrix.data).to(device))

    def sums(self, rows: Tensor, values: Tensor | None = None) -> Tensor:
        """The product of this matrix and `rows`; `values` (entries,) stand for its own."""
        values = self.values if values is None else values
        return embedding_bag(self.columns, rows, self.offsets[:-1], mode="sum", per_sample_weights=values)

    def rows(self) -> Tensor:
        """(entries,) the row of each entry."""
        numbers = torch.arange(len(self.offsets) - 1, device=self.offsets.device)
        return torch.repeat_interleave(numbers, self.offsets.diff())


@dataclass(frozen=True, slots=True)
class Bags:
    """What each item weighs in each user's bag, by users and, for the gradient, by items."""

    by_user: Ragged
    by_item: Ragged
    turned: Tensor | None = None
    """(entries,) where each entry by item stands among those by user; only of bags that are weighed anew"""

    @classmethod
    def of(cls, matrix: csr_matrix, device: torch.device) -> Bags:
        return cls(Ragged.of(matrix, device), Ragged.of(matrix.T.tocsr(), device))

    @classmethod
    def weighable(cls, matrix: csr_matrix, device: torch.device) -> Bags:
        """As `weighed_bag_sum` takes them."""
        numbered = csr_matrix((np.arange(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)
        turned = numbered.T.tocsr()
        by_item = csr_matrix((matrix.data[turned.data], turned.indices, turned.indptr), shape=turned.shape)
        return cls(Ragged.of(matrix, device), Ragged.of(by_item, device), torch.from_numpy(turned.data).to(device))


def bag_sum(table: Tensor, bags: Bags) -> Tensor:
    """Σ over a user's items of weight · row: (batch, d)."""
    return _BagSum.apply(table, bags)


class _BagSum(torch.autograd.Function):
    """The gradient is the same sum over the transposed bags, which keeps it fast and repeatable."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, bags: Bags) -> Tensor:
        ctx.bags = bags
        return bags.by_user.sums(table)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return ctx.bags.by_item.sums(grad.contiguous()), None


def weighed_bag_sum(table: Tensor, weights: Tensor, bags: Bags) -> Tensor:
    """Σ over a user's items of weight · own weight · row: (batch, d); `weights` (entries,) are learned, too."""
    return _WeighedBagSum.apply(table, weights, bags)


AT_ONCE = 1 << 14
"""Entries whose rows are multiplied together."""


class _WeighedBagSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, weights: Tensor, bags: Bags) -> Tensor:
        values = bags.by_user.values * weights
        ctx.bags = bags
        ctx.save_for_backward(table, values)
        return bags.by_user.sums(table, values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        bags, grad = ctx.bags, grad.contiguous()
        table, values = ctx.saved_tensors
        rows, columns = bags.by_user.rows(), bags.by_user.columns
        products = torch.empty_like(values)
        for start in range(0, len(values), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            torch.sum(grad[rows[part]] * table[columns[part]], dim=1, out=products[part])
        return bags.by_item.sums(grad, values[bags.turned]), products * bags.by_user.values, None
