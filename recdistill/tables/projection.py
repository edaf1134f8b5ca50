"""Rows that are made of few numbers each by one projection that all share."""

from __future__ import annotations

import torch
from torch import Tensor


def directions(rows: Tensor, few: int) -> Tensor:
    """(few, d) float32 that half floats hold: orthonormal, those along which `rows` (n, d) are longest."""
    squares = rows.double().T @ rows.double()
    found = torch.linalg.eigh(squares)[1].flip(1)[:, :few].T
    return found.half().float().contiguous()


def seen_by(projection: Tensor, rows: Tensor) -> Tensor:
    """(m, few) float32: the numbers whose projection lies nearest to `rows` (m, d)."""
    return (rows.double() @ torch.linalg.pinv(projection.double())).float()


def made_by(projection: Tensor, numbers: Tensor) -> Tensor:
    """(m, d) of numbers (m, few), summed in the order in which the serving half does."""
    rows = numbers.new_zeros(len(numbers), projection.shape[1])
    for column, direction in zip(numbers.T, projection, strict=True):
        rows += column[:, None] * direction
    return rows
