"""Two tables: one for what is recommended, one for what a history is made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, normalize


class FullTables(nn.Module):
    """Item rows are brought to length 1; the length of a history row is the item's weight in a history."""

    def __init__(self, items: Tensor, history: Tensor) -> None:
        super().__init__()
        self.items = nn.Parameter(items.clone())
        self.history = nn.Parameter(history.clone())

    def item_rows(self) -> Tensor:
        """(n_items, d), of length 1."""
        return normalize(self.items, dim=1)

    def history_rows(self) -> Tensor:
        """(n_items, d), summed over a history."""
        return self.history

    def among(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of histories and rows of items, of these items alone; the gradients are of these rows alone, too."""
        return embedding(items, self.history, sparse=True), normalize(embedding(items, self.items, sparse=True), dim=1)

    @torch.no_grad()
    def export(self) -> dict[str, Tensor]:
        """What the serving half stores: unit rows, and history rows."""
        return {"item_table": self.item_rows(), "history_table": self.history_rows()}
