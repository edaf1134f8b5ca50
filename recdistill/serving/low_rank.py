"""An item-to-item matrix of low rank with an empty diagonal: the form of EASE for large catalogues."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from recdistill.serving.base import Scorer, check_shape
from recdistill.serving.histories import Histories, bag_sums
from recdistill.serving.products import RoundedTable
from recdistill.tables.codecs import TILE_BYTES, CodedTable


@dataclass(frozen=True, eq=False, kw_only=True)
class LowRankScorer(Scorer):
    """score_j = Σ_{i in history, i ≠ j} A_i·A_j w_j; without a history, popularity.

    That an item says nothing of itself is why a score is no product of two vectors: an item of the history is missing
    from its own sum.
    """

    form: ClassVar[str] = "low_rank"
    table_fields: ClassVar[tuple[str, ...]] = ("item_table",)
    array_fields: ClassVar[tuple[str, ...]] = ("item_weight", "popularity")
    whole_fields: ClassVar[tuple[str, ...]] = ("item_weight",)  # spans more than a half float holds

    item_table: CodedTable
    """A"""
    item_weight: np.ndarray
    """w, (n_items,) float32"""
    popularity: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name, array in self._arrays().items():
            check_shape(name, array.shape, (self.n_items,))

    @property
    def n_items(self) -> int:
        return len(self.item_table)

    @property
    def vectors(self) -> bool:
        return False

    @property
    def dimension(self) -> int:
        return self.item_table.shape[1]

    def shares(self, history: Histories, user_row: int, item: int) -> tuple[np.ndarray, float, float]:
        if self.popularity is not None and not len(history.items):
            return np.zeros(0), 0.0, float(np.float32(self.popularity[item]))
        target = self.item_table.rows(np.array([item]))[0].astype(np.float64) * self.item_weight[item]
        parts = np.where(history.items == item, 0.0, self.item_table.rows(history.items) @ target)
        return parts if history.weights is None else parts * history.weights, 0.0, 0.0

    def score(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        """The same bits for a user whatever the batch."""
        scores = self._rounded.times(bag_sums(self.item_table, None, histories))
        own = self._lengths[histories.items]
        scores[histories.users, histories.items] -= own if histories.weights is None else own * histories.weights
        scores *= self.item_weight
        return self._with_popularity(scores, histories, user_rows)

    @cached_property
    def _rounded(self) -> RoundedTable:
        return RoundedTable(self.item_table)

    @cached_property
    def _lengths(self) -> np.ndarray:
        """(n_items,) float32: A_j·A_j"""
        lengths = np.empty(self.n_items, np.float32)
        step = max(1, TILE_BYTES // (8 * max(1, self.dimension)))
        for start in range(0, self.n_items, step):
            tile = self.item_table.tile(start, min(start + step, self.n_items))
            lengths[start : start + len(tile)] = np.einsum("nd,nd->n", tile, tile)
        return lengths
