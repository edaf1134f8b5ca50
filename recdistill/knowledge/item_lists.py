"""The teacher's best users of every item: the same scores, read by columns."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from recdistill.errors import ConfigError

if TYPE_CHECKING:
    from recdistill.data.interactions import Interactions
    from recdistill.knowledge.store import Knowledge

TILE_FLOATS = 8_000_000
"""Scores of items × users are made in tiles of at most this many, 32 MB."""


def with_item_lists(known: Knowledge, train: Interactions, k: int = 40) -> Knowledge:
    """`known` with the best `k` users of every item (cut to the users), those who have used it left out.

    Needs all_scores, since lists of users say little about an item that few of them name. Raises KnowledgeError where
    there are none, ConfigError for k below 1.
    """
    if k < 1:
        raise ConfigError(f"item lists: k = {k}: give at least 1.")
    known.check(train)
    known.require({"all_scores"}, "a list of every item's best users")
    return replace(known, item_lists=best_users(known, train, min(k, train.n_users)))


def best_users(known: Knowledge, train: Interactions, k: int) -> np.ndarray:
    """(n_items, k) int32 user rows, best first, -1 after the end."""
    by_item = train.csr().T.tocsr()
    lists = np.full((train.n_items, k), -1, np.int32)
    step = max(1, TILE_FLOATS // max(1, train.n_users))
    for start in range(0, train.n_items, step):
        items = np.arange(start, min(start + step, train.n_items))
        scores = _scores(known, items)  # (tile, n_users)
        own = by_item[items]
        scores[np.repeat(np.arange(len(items)), np.diff(own.indptr)), own.indices] = -np.inf
        scores[:, ~known.users_known] = -np.inf
        best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        found = np.take_along_axis(scores, best, 1)
        order = np.argsort(-found, axis=1, kind="stable")
        best, found = np.take_along_axis(best, order, 1), np.take_along_axis(found, order, 1)
        lists[items] = np.where(np.isfinite(found), best, -1)
    return lists


def _scores(known: Knowledge, items: np.ndarray) -> np.ndarray:
    if known.logits is not None:
        return known.logits[:, items].T.astype(np.float32)
    assert known.user_vectors is not None
    assert known.item_vectors is not None
    return known.item_vectors[items] @ known.user_vectors.T  # an item's bias is the same for all users
