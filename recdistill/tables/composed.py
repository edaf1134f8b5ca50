"""A tied table whose rows are sums of rows of two small tables, trained as it is stored (`codecs.summed`)."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, normalize

from recdistill.tables.codecs import CODECS, CodedTable
from recdistill.tables.codecs.summed import SummedCodec
from recdistill.tables.straight_through import straight_through
from recdistill.tables.trained_grid import stored


class ComposedTied(nn.Module):
    """Items are the sums, as long as they come out; in a history each counts with a weight of its own."""

    at_first: Tensor
    at_second: Tensor

    def __init__(self, history: Tensor, codec: str) -> None:
        """`history` (n, d) is what the table starts near."""
        super().__init__()
        self.codec = codec
        for name, places in zip(("at_first", "at_second"), self._coder.places(np.arange(len(history))), strict=True):
            self.register_buffer(name, torch.from_numpy(places))
        first, second = (history.new_zeros(size, history.shape[1]) for size in self._coder.sizes(len(history)))
        self.first, self.second = nn.Parameter(first), nn.Parameter(second)
        self.weights = nn.Parameter(history.new_zeros(len(history), 1))
        self.take(history)

    @property
    def _coder(self) -> SummedCodec:
        return cast(SummedCodec, CODECS[self.codec])

    @torch.no_grad()
    def take(self, rows: Tensor) -> None:
        """(n, d), what training starts near, with rows about of length 1: their sums alone are shorter by far."""
        unit = normalize(rows, dim=1).cpu().numpy()
        arrays = self._coder.encode(unit)
        first, second = (torch.from_numpy(arrays[name].astype(np.float32)) for name in self._coder.names)
        self.first.copy_(first)
        self.second.copy_(second)
        length = self.item_rows().square().sum(1).mean().sqrt()
        for one in (self.first, self.second):
            one.div_(length.clamp(min=1e-6))
        self.weights.copy_(rows.norm(dim=1, keepdim=True))

    def item_rows(self) -> Tensor:
        """(n, d), as served."""
        return _halved(self.first)[self.at_first] + _halved(self.second)[self.at_second]

    def history_rows(self) -> Tensor:
        """(n, d), summed over a history."""
        return self.item_rows() * self.weights

    def among(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of histories and rows of items, of these items alone; the gradients are of these rows alone, too."""
        first = embedding(self.at_first[items], self.first, sparse=True)
        second = embedding(self.at_second[items], self.second, sparse=True)
        rows = _halved(first) + _halved(second)
        return rows * embedding(items, self.weights, sparse=True), rows

    @torch.no_grad()
    def export(self) -> dict[str, Tensor | CodedTable]:
        """What the serving half stores: the small tables, and each item's weight in a history."""
        tables = (stored(_halved(one)) for one in (self.first, self.second))
        arrays = dict(zip(self._coder.names, tables, strict=True))
        table = CodedTable(self.codec, {**arrays, "rows": np.array([len(self.weights)], np.int64)})
        return {"item_table": table, "history_weight": self.weights[:, 0]}


def _halved(rows: Tensor) -> Tensor:
    """As half floats hold them; the gradient goes straight through."""
    return straight_through(rows, rows.detach().half().float())
