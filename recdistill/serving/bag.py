"""A user is a bag of items: the form of two-tower models, of singular vectors and, with a bias alone, of popularity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from recdistill.errors import DataError
from recdistill.serving.base import Scorer, check_rows, check_shape
from recdistill.serving.histories import Histories, bag_sums
from recdistill.tables.codecs import CodedTable


@dataclass(frozen=True, eq=False, kw_only=True)
class BagScorer(Scorer):
    """u = Σ_history weight_i · H_i / n^power + user row; score = scale · u·V_i + bias_i.

    With no history and no user row popularity is the score; without it u is zero, and the bias decides.
    """

    form: ClassVar[str] = "bag"
    table_fields: ClassVar[tuple[str, ...]] = ("item_table", "history_table", "user_table")
    array_fields: ClassVar[tuple[str, ...]] = ("history_weight", "item_bias", "popularity")

    item_table: CodedTable | None = None
    """V; None where the bias alone ranks."""
    history_table: CodedTable | None = None
    """H; None where it is tied: V is read in its place, in memory once."""
    user_table: CodedTable | None = None
    history_weight: np.ndarray | None = None
    item_bias: np.ndarray | None = None
    popularity: np.ndarray | None = None
    normalize: bool = False
    """Whether u is brought to length 1."""
    history_power: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.item_table is None:
            others = (self.history_table, self.user_table, self.popularity)
            if self.item_bias is None or any(other is not None for other in others):
                raise DataError("a bag scorer needs an item table, or a bias and no table at all.")
            check_shape("item_bias", self.item_bias.shape, (self.n_items,))
            return
        n_items, dimension = self.item_table.shape
        if self.history_table is not None:
            check_shape("history_table", self.history_table.shape, (n_items, dimension))
        if self.user_table is not None:
            check_shape("user_table", self.user_table.shape, (len(self.user_table), dimension))
        for name, array in self._arrays().items():
            check_shape(name, array.shape, (n_items,))

    @property
    def n_items(self) -> int:
        if self.item_table is not None:
            return len(self.item_table)
        return 0 if self.item_bias is None else len(self.item_bias)

    @property
    def vectors(self) -> bool:
        return self.item_table is not None

    @property
    def dimension(self) -> int:
        return 0 if self.item_table is None else self.item_table.shape[1]

    def user_vectors(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        """(batch, dimension) float32; the same bits for a user whatever the batch."""
        bags = self.item_table if self.history_table is None else self.history_table
        if bags is None:
            return np.zeros((len(histories), 0), np.float32)
        users = bag_sums(bags, self.history_weight, histories)
        if self.history_power:
            users /= (np.maximum(histories.lengths, 1) ** self.history_power).astype(np.float32)[:, None]
        if self.user_table is not None and user_rows is not None:
            user_rows = check_rows(user_rows, self.user_table, len(histories))
            known = np.flatnonzero(user_rows >= 0)
            users[known] += self.user_table.rows(user_rows[known])
        if self.normalize:
            length = np.sqrt(np.square(users).sum(axis=1, keepdims=True))
            users /= np.where(length == 0, np.float32(1), length)
        return users

    def queries(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        return self.user_vectors(histories, user_rows) * np.float32(self.scale)

    def item_vectors(self) -> np.ndarray:
        if self.item_table is None:
            return np.zeros((self.n_items, 0), np.float32)
        items = self.item_table.matrix()
        return items if self.scale == 1.0 else items * np.float32(self.scale)

    def score(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        scores = np.zeros((len(histories), self.n_items), np.float32)
        if self.item_table is not None:
            np.matmul(self.queries(histories, user_rows), self.item_table.matrix().T, out=scores)
        if self.item_bias is not None:
            scores += self.item_bias.astype(np.float32)
        return self._with_popularity(scores, histories, user_rows)
