"""The codecs mixed and dims in training: popular rows have more bits, or more dimensions, than the others."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from recdistill.tables.codecs import CodedTable, grid
from recdistill.tables.codecs.marks import heads_of, marked
from recdistill.tables.projection import directions, made_by, seen_by
from recdistill.tables.straight_through import straight_through
from recdistill.tables.trained_grid import decoded, packed, stored
from recdistill.tables.trained_shared import SharedCodec


class MixedGrid(nn.Module):
    """Two grids, each with one step for each dimension that follows its own rows."""

    heads: Tensor

    def __init__(self, codec: str, share: int, head: int, tail: int, counts: Tensor) -> None:
        """`share` percent of the rows in `head` bits, the others in `tail` bits; `counts` (n,) says which."""
        super().__init__()
        self.codec, self.head, self.tail = codec, head, tail
        self.register_buffer("heads", _heads(counts, share))

    def forward(self, rows: Tensor, whole: Tensor, items: Tensor | None = None) -> Tensor:
        """What `rows` (m, d), those of `items` (m,) or all, are served as; the gradient goes straight through."""
        heads = self.heads if items is None else self.heads[items]
        first, second = self._steps(whole.detach())
        bits = torch.where(heads, self.head, self.tail)[:, None]
        return straight_through(rows, decoded(rows.detach(), torch.where(heads[:, None], first, second), bits))

    @torch.no_grad()
    def export(self, whole: Tensor) -> CodedTable:
        """The codes that `forward` decodes, as the serving half stores them."""
        first, second = self._steps(whole)
        return CodedTable(self.codec, {
            "heads": marked(self.heads.cpu().numpy()),
            "head_codes": packed(whole[self.heads], first, self.head),
            "tail_codes": packed(whole[~self.heads], second, self.tail),
            "head_scales": stored(first),
            "tail_scales": stored(second),
        })  # fmt: skip

    def _steps(self, whole: Tensor) -> tuple[Tensor, Tensor]:
        """(d,) each, float32 that half floats hold; 0 where there are no such rows."""
        kinds = torch.stack((self.heads, ~self.heads)).to(whole.dtype)
        means = (kinds @ whole.square()) / kinds.sum(1, keepdim=True).clamp(min=1)
        first, second = (
            (grid.STEPS[bits] * mean.sqrt()).half().float()
            for mean, bits in zip(means, (self.head, self.tail), strict=True)
        )
        return first, second


class MixedDimension(SharedCodec):
    """Popular rows by the codec `inner`; of the others a few numbers by it, which one projection makes rows of."""

    heads: Tensor
    projection: Tensor

    def __init__(self, codec: str, share: int, few: int, inner: Any, rows: Tensor, counts: Tensor) -> None:
        """`share` percent of the rows have all dimensions, the others `few`; `rows` (n, d) are what the table starts
        as, `counts` (n,) says which are popular."""
        super().__init__(codec)
        self.few, self.inner = min(few, rows.shape[1]), inner
        self.register_buffer("heads", _heads(counts, share))
        self.register_buffer("projection", directions(rows[~self.heads], self.few))

    def begin(self, rows: Tensor) -> None:
        self.renew(rows)

    def renew(self, whole: Tensor) -> None:
        self.projection.copy_(directions(whole[~self.heads], self.few))

    def decoded(self, rows: Tensor, whole: Tensor, items: Tensor | None) -> Tensor:
        heads = self.heads if items is None else self.heads[items]
        first, second = self._parts(whole, self.heads)
        own, few = (first, second) if items is None else self._parts(rows, heads)
        served = torch.empty_like(rows)
        served[heads] = self.inner(own, first)
        served[~heads] = made_by(self.projection, self.inner(few, second))
        return served

    @torch.no_grad()
    def export(self, whole: Tensor) -> CodedTable:
        arrays = {"heads": marked(self.heads.cpu().numpy()), "projection": stored(self.projection)}
        for part, rows in zip(("head", "tail"), self._parts(whole, self.heads), strict=True):
            arrays |= {f"{part}_{name}": array for name, array in self.inner.export(rows).arrays.items()}
        return CodedTable(self.codec, arrays)

    def _parts(self, rows: Tensor, heads: Tensor) -> tuple[Tensor, Tensor]:
        """Rows that have all dimensions, and the few numbers of the others."""
        return rows[heads], seen_by(self.projection, rows[~heads])


def _heads(counts: Tensor, share: int) -> Tensor:
    """As the serving half picks them."""
    return torch.from_numpy(heads_of(counts.cpu().numpy(), share)).to(counts.device)
