"""The codec svd in training: rows within the few directions along which the table is longest."""

from __future__ import annotations

import torch
from torch import Tensor

from recdistill.tables.codecs import CodedTable
from recdistill.tables.projection import directions, made_by, seen_by
from recdistill.tables.trained_grid import stored
from recdistill.tables.trained_shared import SharedCodec


class LowRank(SharedCodec):
    """v̂ = V Vᵀ v, V the first `rank` right singular vectors of the table; both factors as fp16."""

    right: Tensor

    def __init__(self, codec: str, rank: int, rows: Tensor) -> None:
        """`rows` (n, d) are what the table starts as."""
        super().__init__(codec)
        self.rank = min(rank, *rows.shape)
        self.register_buffer("right", directions(rows, self.rank))

    def begin(self, rows: Tensor) -> None:
        self.renew(rows)

    def renew(self, whole: Tensor) -> None:
        self.right.copy_(directions(whole, self.rank))

    def decoded(self, rows: Tensor, whole: Tensor, items: Tensor | None) -> Tensor:
        return made_by(self.right, self._left(rows))

    @torch.no_grad()
    def export(self, whole: Tensor) -> CodedTable:
        return CodedTable(self.codec, {"left": stored(self._left(whole)), "right": stored(self.right)})

    def _left(self, rows: Tensor) -> Tensor:
        return seen_by(self.right, rows).half().float()
