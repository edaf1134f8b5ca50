"""One table for both sides: a history is made of the rows that are recommended."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, normalize


class TiedTable(nn.Module):
    """Items are its rows brought to length 1; in a history a row counts with its length, the item's weight."""

    def __init__(self, history: Tensor) -> None:
        super().__init__()
        self.rows = nn.Parameter(history.clone())

    def item_rows(self) -> Tensor:
        """(n_items, d), of length 1."""
        return normalize(self.rows, dim=1)

    def history_rows(self) -> Tensor:
        """(n_items, d), summed over a history."""
        return self.rows

    def among(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of histories and rows of items, of these items alone; the gradients are of these rows alone, too."""
        rows = embedding(items, self.rows, sparse=True)
        return rows, normalize(rows, dim=1)

    @torch.no_grad()
    def export(self) -> dict[str, Tensor]:
        """What the serving half stores: unit rows, and each item's weight in a history."""
        return {"item_table": self.item_rows(), "history_weight": self.rows.norm(dim=1)}
