"""A score is a sum over the history of an item-to-item matrix: the form of EASE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from recdistill.serving.base import Scorer, check_shape
from recdistill.serving.histories import Histories, bag_sums
from recdistill.tables.codecs import CodedTable


@dataclass(frozen=True, eq=False, kw_only=True)
class ItemScorer(Scorer):
    """score = Σ_history W_i, with W_i the row of the item that was used; without a history, popularity."""

    form: ClassVar[str] = "item"
    table_fields: ClassVar[tuple[str, ...]] = ("item_to_item",)
    array_fields: ClassVar[tuple[str, ...]] = ("popularity",)

    item_to_item: CodedTable
    """W, (n_items, n_items)"""
    popularity: np.ndarray | None = None

    def __post_init__(self) -> None:
        check_shape("item_to_item", self.item_to_item.shape, (self.n_items, self.n_items))
        if self.popularity is not None:
            check_shape("popularity", self.popularity.shape, (self.n_items,))

    @property
    def n_items(self) -> int:
        return len(self.item_to_item)

    @property
    def vectors(self) -> bool:
        return False

    @property
    def dimension(self) -> int:
        return self.n_items

    def shares(self, history: Histories, user_row: int, item: int) -> tuple[np.ndarray, float, float]:
        if self.popularity is not None and not len(history.items):
            return np.zeros(0), 0.0, float(np.float32(self.popularity[item]))
        parts = np.array([self.item_to_item.rows(np.array([row]))[0, item] for row in history.items], np.float64)
        return parts if history.weights is None else parts * history.weights, 0.0, 0.0

    def score(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        return self._with_popularity(bag_sums(self.item_to_item, None, histories), histories, user_rows)
