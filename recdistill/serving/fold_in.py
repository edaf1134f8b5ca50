"""A stored vector for people seen in training, a least-squares fold-in for everyone else: the form of iALS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from recdistill.serving.base import Scorer, check_rows, check_shape
from recdistill.serving.histories import Histories
from recdistill.tables.codecs import CodedTable


@dataclass(frozen=True, eq=False, kw_only=True)
class FoldInScorer(Scorer):
    """score = u·V_i; u is the user's row, or solves (G + λI + (alpha - 1) Σ_history v v') u = alpha Σ_history v.

    (Hu, Koren and Volinsky, 2008: confidence alpha for what was used, 1 for the rest.) Where the history has weights
    they multiply alpha. Without a history and a row u is zero, and popularity is the score.
    """

    form: ClassVar[str] = "fold_in"
    table_fields: ClassVar[tuple[str, ...]] = ("item_table", "user_table")
    array_fields: ClassVar[tuple[str, ...]] = ("gram", "popularity")
    whole_fields: ClassVar[tuple[str, ...]] = ("gram",)  # a solve magnifies its errors

    item_table: CodedTable
    user_table: CodedTable | None = None
    gram: np.ndarray
    """G = V'V, (dimension, dimension) float32, of the item vectors as they were trained"""
    popularity: np.ndarray | None = None
    regularization: float
    """λ"""
    alpha: float = 1.0

    def __post_init__(self) -> None:
        check_shape("gram", self.gram.shape, (self.dimension, self.dimension))
        if self.popularity is not None:
            check_shape("popularity", self.popularity.shape, (self.n_items,))
        if self.user_table is not None:
            check_shape("user_table", self.user_table.shape, (len(self.user_table), self.dimension))

    @property
    def n_items(self) -> int:
        return len(self.item_table)

    @property
    def vectors(self) -> bool:
        return True

    @property
    def dimension(self) -> int:
        return self.item_table.shape[1]

    @property
    def parameters(self) -> int:
        """Numbers that were learned; the gram matrix follows from them."""
        return super().parameters - self.gram.size

    def user_vectors(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        users = np.zeros((len(histories), self.dimension), np.float32)
        unknown = np.ones(len(histories), bool)
        if self.user_table is not None and user_rows is not None:
            user_rows = check_rows(user_rows, self.user_table, len(histories))
            unknown = user_rows < 0
            users[~unknown] = self.user_table.rows(user_rows[~unknown])
        for user in np.flatnonzero(unknown & (histories.lengths > 0)):
            users[user] = self._solve(histories.take(slice(user, user + 1)))
        return users

    def shares(self, history: Histories, user_row: int, item: int) -> tuple[np.ndarray, float, float]:
        """u is linear in what was used once the confidences are given: item j's part is alpha · v_j' A^-1 v."""
        target = self.item_table.rows(np.array([item]))[0].astype(np.float64)
        if self.user_table is not None and user_row >= 0:
            user = self.user_table.rows(np.array([user_row]))[0].astype(np.float64)
            return np.zeros(len(history.items)), float(user @ target), 0.0
        if not len(history.items):
            return np.zeros(0), 0.0, 0.0 if self.popularity is None else float(np.float32(self.popularity[item]))
        matrix, used, confidence = self._system(history)
        return confidence * (used @ np.linalg.solve(matrix, target)), 0.0, 0.0

    def _solve(self, history: Histories) -> np.ndarray:
        matrix, used, confidence = self._system(history)
        summed = confidence * used.sum(axis=0) if history.weights is None else confidence @ used
        return np.linalg.solve(matrix, summed)

    def _system(self, history: Histories) -> tuple[np.ndarray, np.ndarray, float | np.ndarray]:
        """The left side, the vectors that were used, and their confidences."""
        regular = self.gram.astype(np.float64) + self.regularization * np.eye(self.dimension)
        used = self.item_table.rows(history.items).astype(np.float64)
        if history.weights is None:
            return regular + (self.alpha - 1) * used.T @ used, used, self.alpha
        confidence = self.alpha * history.weights.astype(np.float64)
        return regular + (used.T * (confidence - 1)) @ used, used, confidence

    def item_vectors(self) -> np.ndarray:
        return self.item_table.matrix()

    def score(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        scores: np.ndarray = self.user_vectors(histories, user_rows) @ self.item_table.matrix().T
        return self._with_popularity(scores, histories, user_rows)
