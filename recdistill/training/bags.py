"""Histories as bags of rows of a table: sums on ragged arrays, both ways through `embedding_bag`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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

    def sums(self, rows: Tensor) -> Tensor:
        """The product of this matrix and `rows`."""
        return embedding_bag(self.columns, rows, self.offsets[:-1], mode="sum", per_sample_weights=self.values)


@dataclass(frozen=True, slots=True)
class Bags:
    """What each item weighs in each user's bag, by users and, for the gradient, by items."""

    by_user: Ragged
    by_item: Ragged

    @classmethod
    def of(cls, matrix: csr_matrix, device: torch.device) -> Bags:
        return cls(Ragged.of(matrix, device), Ragged.of(matrix.T.tocsr(), device))


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
