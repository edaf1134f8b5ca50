"""Tables that are trained through their codes: training ranks by what will be served."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, normalize

from recdistill.tables.codecs import CodedTable
from recdistill.tables.learned_grid import LearnedGrid
from recdistill.tables.trained import LEARNED, TrainedCodec, trained_codec
from recdistill.tables.trained_shared import SharedCodec


def codec_of(name: str, rows: Tensor, *, learned: bool, counts: Tensor | None = None) -> TrainedCodec:
    """The codec of this name for a table that starts as `rows` (n, d); `learned`: with a learned step; `counts` (n,):
    how often rows were used."""
    return LEARNED[name](rows) if learned else trained_codec(name, rows, counts)


class CodedTied(nn.Module):
    """One table for both sides, as `TiedTable`: an item is its row brought to length 1, then coded and decoded, and
    served as it is stored; in a history it counts with the length of the row, the item's weight."""

    def __init__(self, history: Tensor, codec: str, *, learned: bool = False, counts: Tensor | None = None) -> None:
        super().__init__()
        self.rows = nn.Parameter(history.clone())
        self.codec: Any = codec_of(codec, normalize(history, dim=1), learned=learned, counts=counts)

    def item_rows(self) -> Tensor:
        """(n_items, d), as served: about of length 1."""
        unit = normalize(self.rows, dim=1)
        rows: Tensor = self.codec(unit, unit)
        return rows

    def history_rows(self) -> Tensor:
        """(n_items, d), summed over a history."""
        return self.item_rows() * self.rows.norm(dim=1, keepdim=True)

    @torch.no_grad()
    def take(self, rows: Tensor) -> None:
        """(n_items, d), what training starts from in place of what it was made with."""
        self.rows.copy_(rows)
        if isinstance(self.codec, LearnedGrid | SharedCodec):
            self.codec.begin(normalize(rows, dim=1))

    def among(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of histories and rows of items, of these items alone; the gradients are of these rows alone, too."""
        own = embedding(items, self.rows, sparse=True)
        rows = self.codec(normalize(own, dim=1), normalize(self.rows.detach(), dim=1), items)
        return rows * own.norm(dim=1, keepdim=True), rows

    @torch.no_grad()
    def export(self) -> dict[str, Tensor | CodedTable]:
        """What the serving half stores: codes, and each item's weight in a history."""
        return {"item_table": self.codec.export(normalize(self.rows, dim=1)), "history_weight": self.rows.norm(dim=1)}


class CodedFull(nn.Module):
    """Two tables, each through codes of its own, as `FullTables`: the length of a history row is the item's weight."""

    def __init__(
        self, items: Tensor, history: Tensor, codec: str, *, learned: bool = False, counts: Tensor | None = None
    ) -> None:
        super().__init__()
        self.items = nn.Parameter(items.clone())
        self.history = nn.Parameter(history.clone())
        self.codec: Any = codec_of(codec, normalize(items, dim=1), learned=learned, counts=counts)
        self.history_codec: Any = codec_of(codec, history, learned=learned, counts=counts)

    def item_rows(self) -> Tensor:
        """(n_items, d), as served: about of length 1."""
        unit = normalize(self.items, dim=1)
        rows: Tensor = self.codec(unit, unit)
        return rows

    def history_rows(self) -> Tensor:
        """(n_items, d), summed over a history."""
        rows: Tensor = self.history_codec(self.history, self.history)
        return rows

    def among(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of histories and rows of items, of these items alone; the gradients are of these rows alone, too."""
        history = self.history_codec(embedding(items, self.history, sparse=True), self.history, items)
        own = normalize(embedding(items, self.items, sparse=True), dim=1)
        return history, self.codec(own, normalize(self.items.detach(), dim=1), items)

    @torch.no_grad()
    def export(self) -> dict[str, Tensor | CodedTable]:
        """What the serving half stores."""
        return {
            "item_table": self.codec.export(normalize(self.items, dim=1)),
            "history_table": self.history_codec.export(self.history),
        }
