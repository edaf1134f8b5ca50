"""Several teachers as one: their beliefs mixed, or their ranks, the same for everyone or by how each does on a user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from recdistill.errors import ConfigError, KnowledgeError
from recdistill.evaluation.ranking import hits_of, ndcg
from recdistill.knowledge.extract import LOGITS_BYTES, LOWEST, is_own
from recdistill.knowledge.store import Knowledge

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions

By = Literal["scores", "ranks"]
RANK_OFFSET = 60.0
"""Of reciprocal ranks (Cormack et al., 2009): how little the first place is above the second."""
CUT = 20
PRIOR = 1.0
"""Users on whose account a teacher is believed what it is worth on average, when its worth for one user is judged."""
TILE_ROWS = 256


def combined(
    sources: Sequence[Knowledge],
    train: Interactions,
    *,
    by: By = "scores",
    weights: Sequence[float] | None = None,
    valid: HeldOut | None = None,
    top_k: int | None = None,
) -> Knowledge:
    """One knowledge of several teachers, of the same log.

    `scores`: Σ weight · belief, an item that a list does not hold having an even part of its tail. `ranks`: Σ weight /
    (60 + rank). With `valid` a user's weights are besides by NDCG@20 of each teacher's unseen list on the user's valid
    items, drawn towards the teacher's mean. Where all sources tell all scores and the log is small, so does the result.
    Raises KnowledgeError where there are fewer than two, or one is of another log.
    """
    if len(sources) < 2:
        raise KnowledgeError(f"combined: {len(sources)} sources; give two or more.")
    if by not in ("scores", "ranks"):
        raise ConfigError(f"combined: by = {by!r}: give scores or ranks.")
    shares = np.ones(len(sources)) if weights is None else np.asarray(weights, np.float64)
    if shares.shape != (len(sources),) or not (shares >= 0).all() or not shares.sum() > 0:
        raise ConfigError(f"combined: weights = {weights}: give one for each of {len(sources)}, 0 or above, not all 0.")
    for known in sources:
        known.check(train)
    each = _user_weights(sources, train, shares / shares.sum(), valid)  # (n_users, sources)
    whole = by == "scores" and all("all_scores" in known.gives for known in sources)
    whole = whole and 2 * train.n_users * train.n_items <= LOGITS_BYTES
    k = min(top_k or max(known.top_items.shape[1] for known in sources), train.n_items)
    items, scores = np.full((train.n_users, k), -1), np.zeros((train.n_users, k), np.float32)
    tail = np.zeros(train.n_users)
    kept = np.empty((train.n_users, train.n_items), np.float16) if whole else None
    for start in range(0, train.n_users, TILE_ROWS):
        rows = np.arange(start, min(start + TILE_ROWS, train.n_users))
        value = _mixed(sources, rows, each[rows], by, train.n_items)
        best = np.argsort(-value, axis=1, kind="stable")[:, :k]
        found = np.take_along_axis(value, best, 1)
        held = (found > 0) & (each[rows].sum(1) > 0)[:, None]
        items[rows] = np.where(held, best, -1)
        scores[rows] = np.where(held, np.log(np.maximum(found, 1e-30)), 0.0)
        tail[rows] = np.clip(1.0 - np.where(held, found, 0.0).sum(1), 0.0, 1.0) * held.any(1)
        if kept is not None:
            logits = np.log(np.maximum(value, 1e-30))
            kept[rows] = np.maximum(logits - logits.max(1, keepdims=True), LOWEST)
    return Knowledge(
        top_items=items,
        top_scores=scores,
        top_own=is_own(train.csr(), items),
        tail_mass=tail.astype(np.float32),
        n_items=train.n_items,
        log_sha256=train.sha256(),
        teacher={
            "kind": "combined", "settings": {"by": by, "weights": shares.tolist(), "by_user": valid is not None},
            "sources": [known.teacher for known in sources],
        },
        logits=kept,
    )  # fmt: skip


def _mixed(sources: Sequence[Knowledge], rows: np.ndarray, weights: np.ndarray, by: By, n_items: int) -> np.ndarray:
    """(rows, n_items) what sums to one over the items of a user, by one or the other rule."""
    total = np.zeros((len(rows), n_items))
    for place, known in enumerate(sources):
        of = _reciprocal(known, rows, n_items) if by == "ranks" else _belief(known, rows, n_items)
        total += weights[:, place, None] * of
    sums = total.sum(1, keepdims=True)
    return total / np.where(sums > 0, sums, 1.0)


def _belief(known: Knowledge, rows: np.ndarray, n_items: int) -> np.ndarray:
    """The softmax over all items; of lists, the tail's mass even over what is not listed."""
    if known.logits is not None:
        return _softmax(known.logits[rows].astype(np.float64))
    if known.user_vectors is not None and known.item_vectors is not None:
        bias = 0.0 if known.item_bias is None else known.item_bias
        return _softmax((known.user_vectors[rows] @ known.item_vectors.T + bias).astype(np.float64))
    items, listed = known.top_items[rows], known.top_items[rows] >= 0
    p = _softmax(np.where(listed, known.top_scores[rows].astype(np.float64), -np.inf)) * listed
    tail = known.tail_mass[rows].astype(np.float64) * listed.any(1)
    belief = np.repeat((tail / np.maximum(n_items - listed.sum(1), 1))[:, None], n_items, 1)
    at = np.broadcast_to(np.arange(len(rows))[:, None], items.shape)
    belief[at[listed], items[listed]] = (p * (1.0 - tail)[:, None])[listed]
    return belief


def _reciprocal(known: Knowledge, rows: np.ndarray, n_items: int) -> np.ndarray:
    items = known.top_items[rows]
    listed = items >= 0
    value = np.zeros((len(rows), n_items))
    ranks = np.broadcast_to(1.0 / (RANK_OFFSET + 1.0 + np.arange(items.shape[1])), items.shape)
    at = np.broadcast_to(np.arange(len(rows))[:, None], items.shape)
    value[at[listed], items[listed]] = ranks[listed]
    return value


def _softmax(logits: np.ndarray) -> np.ndarray:
    best = logits.max(1, keepdims=True)
    p = np.exp(logits - np.where(np.isfinite(best), best, 0.0))
    sums = p.sum(1, keepdims=True)
    return p / np.where(sums > 0, sums, 1.0)


def _user_weights(
    sources: Sequence[Knowledge], train: Interactions, shares: np.ndarray, valid: HeldOut | None
) -> np.ndarray:
    """(n_users, sources), each row of sum 1 over the teachers that say something of the user; 0 where none does."""
    weights = np.stack([known.users_known for known in sources], 1) * shares
    if valid is not None:
        counted = np.flatnonzero((valid.user_rows >= 0) & (valid.relevant_count > 0))
        rows = valid.user_rows[counted]
        worth = np.stack([_worth(known, valid, counted, rows) for known in sources], 1)
        mean = np.maximum(worth.mean(0), 1e-6) if len(worth) else np.ones(len(sources))
        judged = np.tile(mean, (train.n_users, 1))
        judged[rows] = (worth + PRIOR * mean) / (1.0 + PRIOR)
        weights = weights * judged
    sums = weights.sum(1, keepdims=True)
    result: np.ndarray = weights / np.where(sums > 0, sums, 1.0)
    return result


def _worth(known: Knowledge, valid: HeldOut, counted: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(users,) NDCG@20 of the unseen list on the valid items."""
    items, unseen = known.top_items[rows], (known.top_items[rows] >= 0) & ~known.top_own[rows]
    k = min(CUT, items.shape[1])
    order = np.argsort(~unseen, axis=1, kind="stable")[:, :k]
    top = np.where(np.take_along_axis(unseen, order, 1), np.take_along_axis(items, order, 1), -1)
    return np.asarray(ndcg(hits_of(top, valid.relevant[counted]), valid.relevant_count[counted], k))
