"""Ranking metrics per user: pure, vectorised, definition first.

All of them read `hits` (m, K) bool, whether the item at each rank is relevant, best rank first, and `relevant` (m,),
how many relevant items a user has, at least one, those unknown to training included. An empty place (-1) of a list is
never a hit. `k <= K`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recdistill.registry import Registry

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
RankingMetric = Callable[[Bools, Ints, int], Floats]


def hits_of(items: Ints, relevant: sp.csr_matrix) -> Bools:
    """Whether each recommended item row (m, K) is one of the user's relevant items; -1 is never a hit."""
    n_users, n_items = relevant.shape
    keys = np.sort(pair_keys(relevant))
    asked = np.arange(n_users, dtype=np.int64)[:, None] * n_items + items
    return contains(keys, asked) & (items >= 0)


def pair_keys(matrix: sp.csr_matrix) -> Ints:
    """Each stored (row, column) as one number, row * columns + column."""
    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    return rows * matrix.shape[1] + matrix.indices.astype(np.int64)


def contains(sorted_keys: Ints, asked: Ints) -> Bools:
    if len(sorted_keys) == 0:
        return np.zeros(asked.shape, dtype=bool)
    at = np.searchsorted(sorted_keys, asked).clip(max=len(sorted_keys) - 1)
    return sorted_keys[at] == asked


def recall(hits: Bools, relevant: Ints, k: int) -> Floats:
    """hits in the top k / |relevant|."""
    return hits[:, :k].sum(axis=1) / relevant


def precision(hits: Bools, relevant: Ints, k: int) -> Floats:
    """hits in the top k / k, also where fewer than k items could be recommended."""
    return hits[:, :k].sum(axis=1) / k


def f1(hits: Bools, relevant: Ints, k: int) -> Floats:
    """Harmonic mean of precision@k and recall@k = 2 hits / (k + |relevant|); 0 without hits."""
    return 2.0 * hits[:, :k].sum(axis=1) / (k + relevant)


def hit(hits: Bools, relevant: Ints, k: int) -> Floats:
    """1 where a relevant item stands in the top k, else 0."""
    return np.asarray(hits[:, :k].any(axis=1), dtype=np.float64)


def ndcg(hits: Bools, relevant: Ints, k: int) -> Floats:
    """Σ over hits of 1 / log2(rank + 1), divided by the same sum of an ideal list with min(k, |relevant|) hits."""
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discount)[np.minimum(relevant, k) - 1]
    return (hits[:, :k] * discount).sum(axis=1) / ideal


def mrr(hits: Bools, relevant: Ints, k: int) -> Floats:
    """1 / rank of the first relevant item, 0 where none stands in the top k."""
    top = hits[:, :k]
    return top.any(axis=1) / (top.argmax(axis=1) + 1.0)


def average_precision(hits: Bools, relevant: Ints, k: int) -> Floats:
    """`map`: Σ over hits of precision at the hit's rank, divided by min(k, |relevant|)."""
    top = hits[:, :k]
    precision_at = np.cumsum(top, axis=1) / np.arange(1, k + 1)
    return (precision_at * top).sum(axis=1) / np.minimum(relevant, k)


def auc(scores: np.ndarray, relevant: sp.csr_matrix, relevant_count: Ints, excluded: sp.csr_matrix) -> Floats:
    """Share of the pairs (relevant item, other candidate) in which the relevant one scores higher; a tie is half.

    Candidates are all items but the excluded ones; no cut-off. A relevant item that cannot be recommended (unknown to
    training, or excluded) loses all its pairs. .5 where a user has no other candidate.
    """
    from scipy.stats import rankdata

    barred = np.zeros(scores.shape, dtype=bool)
    barred.ravel()[pair_keys(excluded)] = True
    wanted = np.zeros(scores.shape, dtype=bool)
    wanted.ravel()[pair_keys(relevant)] = True
    wanted &= ~barred
    n_barred, n_wanted = barred.sum(axis=1), wanted.sum(axis=1)
    others = scores.shape[1] - n_barred - n_wanted
    ranks = rankdata(np.where(barred, -np.inf, scores), axis=1) - n_barred[:, None]
    won = (ranks * wanted).sum(axis=1) - n_wanted * (n_wanted + 1) / 2
    return np.where(others > 0, won / (relevant_count * np.maximum(others, 1)), 0.5)


RANKING: Registry[RankingMetric] = Registry("ranking metric")
RANKING.register("recall", recall)
RANKING.register("ndcg", ndcg)
RANKING.register("precision", precision)
RANKING.register("hit", hit)
RANKING.register("mrr", mrr)
RANKING.register("map", average_precision)
RANKING.register("f1", f1)
