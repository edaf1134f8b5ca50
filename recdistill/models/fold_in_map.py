"""People without a row: the linear map of a history that comes nearest to what training users learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recdistill.models.popularity import log_counts
from recdistill.serving.scorers import LinearFoldInScorer
from recdistill.tables.codecs import CodedTable

if TYPE_CHECKING:
    from recdistill.data.interactions import Interactions

HISTORY_POWER = 1.0
"""A history is the mean of its items' vectors."""
RIDGE = 1e-6
"""Of the mean eigenvalue: keeps the system solvable where histories do not span all dimensions."""
TILE_USERS = 16_384


def with_fold_in(
    users: np.ndarray, items: np.ndarray, used: np.ndarray, train: Interactions, *, normalize: bool, scale: float
) -> LinearFoldInScorer:
    """The scorer of float32 tables (n_users, d) and (n_items, d) that were learned from `train`: score = scale · u·v.

    `used` (n_items, d) are the vectors that a history is made of. Who stands in no training row has learned nothing,
    and gets the mean row.
    """
    degree = np.bincount(train.user_rows, minlength=train.n_users)
    if not degree.all():
        users = np.where(degree[:, None] > 0, users, users[degree > 0].mean(axis=0))
    history = used @ nearest_map(users, used, train).astype(np.float32)
    return LinearFoldInScorer(
        item_table=CodedTable.of(items), history_table=CodedTable.of(history), user_table=CodedTable.of(users),
        popularity=log_counts(train), normalize=normalize, history_power=HISTORY_POWER, scale=scale,
    )  # fmt: skip


def nearest_map(users: np.ndarray, used: np.ndarray, train: Interactions) -> np.ndarray:
    """M, float64 (d, d): the least squares solution of mean of the history's vectors · M = the user's row."""
    dim, csr = used.shape[1], train.csr()
    squares, products = np.zeros((dim, dim)), np.zeros((dim, dim))
    for start in range(0, len(users), TILE_USERS):
        rows = csr[start : start + TILE_USERS]
        length = np.maximum(np.diff(rows.indptr), 1) ** HISTORY_POWER
        means = (rows @ used).astype(np.float64) / length[:, None]
        squares += means.T @ means
        products += means.T @ users[start : start + TILE_USERS]
    ridge = RIDGE * max(float(np.trace(squares)) / dim, 1e-12)
    return np.linalg.solve(squares + ridge * np.eye(dim), products)
