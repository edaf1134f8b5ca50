"""A stored vector for people seen in training, a learned linear map of the history for everyone else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from recdistill.serving.bag import BagScorer
from recdistill.serving.base import Scorer, check_rows
from recdistill.serving.histories import Histories


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearFoldInScorer(BagScorer):
    """As a bag scorer, but a user's row stands in the place of the bag, not beside it.

    u = the user's row, or Σ_history weight_i · H_i / n^power for who has none; score = scale · u·V_i + bias_i.
    """

    form: ClassVar[str] = "linear_fold_in"

    def user_vectors(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        """(batch, dimension) float32; the same bits for a user whatever the batch."""
        if self.user_table is None or user_rows is None:
            return super().user_vectors(histories)
        user_rows = check_rows(user_rows, self.user_table, len(histories))
        users = np.empty((len(histories), self.dimension), np.float32)
        known, strangers = np.flatnonzero(user_rows >= 0), np.flatnonzero(user_rows < 0)
        users[strangers] = super().user_vectors(histories.take(strangers))
        rows = self.user_table.rows(user_rows[known])
        if self.normalize:
            length = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
            rows = rows / np.where(length == 0, np.float32(1), length)
        users[known] = rows
        return users

    def query_of(self, items: np.ndarray, user_row: int = -1) -> np.ndarray:
        if user_row < 0:
            return super().query_of(items)
        return Scorer.query_of(self, items, user_row)

    def shares(self, history: Histories, user_row: int, item: int) -> tuple[np.ndarray, float, float]:
        if self.user_table is None or self.item_table is None or user_row < 0:
            return super().shares(history, -1, item)
        user = self.queries(Histories.empty(1), np.array([user_row]))[0].astype(np.float64)
        target = self.item_table.rows(np.array([item]))[0].astype(np.float64)
        bias = 0.0 if self.item_bias is None else float(self.item_bias[item])
        return np.zeros(len(history.items)), float(user @ target), bias
