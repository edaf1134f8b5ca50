"""A tied table that is pruned while it is trained through its codes, and served as it is stored."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, normalize

from recdistill.tables.codec_names import BITS
from recdistill.tables.codecs import CodedTable
from recdistill.tables.coded import codec_of
from recdistill.tables.pruning import PRUNINGS, KeptGrid, Pruning


class PrunedTied(nn.Module):
    """As `CodedTied`, with 0 for what is gone: before the codes, whose steps follow what is left, and after them."""

    def __init__(self, history: Tensor, codec: str, *, by: str, share: float, learned: bool = False) -> None:
        """`share` of what `by` names will be gone: values, rows, dimensions."""
        super().__init__()
        self.rows = nn.Parameter(history.clone())
        self.name = codec
        self.pruning: Pruning = PRUNINGS[by](history, share)
        unit = normalize(history, dim=1)
        follows = by == "values" and codec in BITS and not learned
        self.codec: Any = KeptGrid(codec, BITS[codec]) if follows else codec_of(codec, unit, learned=learned)

    def item_rows(self) -> Tensor:
        """(n_items, d), as served but for dimensions that are gone, which are 0; about of length 1."""
        unit = self._unit(self.rows)
        return self.pruning.cut(self.codec(unit, self.pruning.seen(unit)))

    def history_rows(self) -> Tensor:
        """(n_items, d), summed over a history."""
        return self.item_rows() * self._weights()

    def among(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of histories and rows of items, of these items alone; the gradients are of these rows alone, too."""
        own = self.pruning.cut_among(embedding(items, self.rows, sparse=True), items)
        whole = self.pruning.seen(self._unit(self.rows.detach()))
        rows = self.pruning.cut_among(self.codec(normalize(own, dim=1), whole), items)
        return rows * own.norm(dim=1, keepdim=True), rows

    def prune(self) -> None:
        """One step of the schedule."""
        self.pruning.step(self.rows)

    @torch.no_grad()
    def export(self) -> dict[str, Tensor | CodedTable]:
        """What the serving half stores: codes of what is left, and each item's weight in a history."""
        table = self.pruning.export(self.codec, self.name, self._unit(self.rows))
        return {"item_table": table, "history_weight": self._weights()[:, 0]}

    def _unit(self, rows: Tensor) -> Tensor:
        return normalize(self.pruning.cut(rows), dim=1)

    def _weights(self) -> Tensor:
        """(n_items, 1)"""
        return self.pruning.cut(self.rows).norm(dim=1, keepdim=True)
