"""Ask a teacher about every user of a training log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recdistill.data.given import check_train
from recdistill.data.known import known_histories
from recdistill.errors import KnowledgeError
from recdistill.knowledge.store import Knowledge
from recdistill.models.base import known_of
from recdistill.retrieval.exact import top_k as exact_top_k
from recdistill.serving.scorers import Histories

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.models.base import Ranker
    from recdistill.serving.scorers import Scorer

TILE_FLOATS = 8_000_000
"""Scores of users × items are made in tiles of at most this many, 32 MB."""
LOWEST = np.float32(np.finfo(np.float16).min)
LOGITS_BYTES = 100_000_000
"""All scores of a teacher without vectors are kept where half floats of them fit in this."""


def extract(
    teacher: Ranker,
    train: Interactions,
    *,
    top_k: int = 200,
    temperature: float | None = None,
    valid: HeldOut | None = None,
) -> Knowledge:
    """Lists of `top_k` (cut to the catalogue) with logits, and vectors where the teacher has them; of one without
    vectors the logits of all items, where these take at most `LOGITS_BYTES`.

    `temperature` divides the scores so that their softmax is a belief. None: 1 for teachers trained by a softmax, else
    fitted to the likelihood of the users' `valid` items, or 1 where there are none.
    """
    check_train(train, "knowledge")
    scorer = teacher.scorer
    if scorer.n_items != train.n_items:
        raise KnowledgeError(
            f"the teacher ranks {scorer.n_items} items, this log has {train.n_items}; give the log it was fitted on"
        )
    if temperature is None:
        temperature = 1.0
        if valid is not None and not teacher.softmax_scores:
            temperature = fit_temperature(scorer, train, valid)
    histories = train.histories(ordered=scorer.ordered)
    rows = np.arange(train.n_users)
    k = min(top_k, train.n_items)
    items, scores = exact_top_k(scorer, histories, rows, k, None)
    logits = (scores / temperature).astype(np.float32)
    if not np.isfinite(logits).all():
        raise KnowledgeError("the teacher's scores are not all finite; it has not learned anything that can be taught")
    whole = not scorer.vectors and 2 * train.n_users * train.n_items <= LOGITS_BYTES
    kept = np.empty((train.n_users, train.n_items), np.float16) if whole else None
    log_z = log_normalisers(scorer, histories, temperature, kept)
    inside = np.exp(logits.astype(np.float64) - log_z[:, None]).sum(1)
    user_vectors = item_vectors = item_bias = None
    if scorer.vectors:
        user_vectors = (scorer.user_vectors(histories, rows) / temperature).astype(np.float32)
        item_vectors = scorer.item_vectors()
        bias = scorer.item_bias
        item_bias = None if bias is None else (np.asarray(bias, np.float32) / temperature).astype(np.float32)
    return Knowledge(
        top_items=items,
        top_scores=logits,
        top_own=is_own(train.csr(), items),
        tail_mass=np.clip(1.0 - inside, 0.0, 1.0).astype(np.float32)
        if k < train.n_items
        else np.zeros(len(rows), np.float32),
        n_items=train.n_items,
        log_sha256=train.sha256(),
        teacher={"kind": teacher.kind, "settings": teacher.settings(), "temperature": float(temperature)},
        user_vectors=user_vectors,
        item_vectors=item_vectors,
        item_bias=item_bias,
        logits=kept,
    )


def is_own(train: csr_matrix, items: np.ndarray) -> np.ndarray:
    """(n_users, K) bool: whether `items[u, k]` is one of user u's train items; False for -1."""
    n_users, n_items = train.shape
    own = np.repeat(np.arange(n_users, dtype=np.int64), np.diff(train.indptr)) * n_items + train.indices
    asked = np.arange(n_users, dtype=np.int64)[:, None] * n_items + items
    place = np.minimum(np.searchsorted(own, asked), max(len(own) - 1, 0))
    return (own[place] == asked) & (items >= 0)


def _tiles(histories: Histories, n_items: int) -> list[slice]:
    step = max(1, TILE_FLOATS // max(n_items, 1))
    return [slice(start, start + step) for start in range(0, len(histories), step)]


def log_normalisers(
    scorer: Scorer, histories: Histories, temperature: float, kept: np.ndarray | None = None
) -> np.ndarray:
    """log Σ exp(score / temperature) over the catalogue, for each user; the logits less their largest go to `kept`."""
    result = np.empty(len(histories))
    for tile in _tiles(histories, scorer.n_items):
        rows = np.arange(len(histories))[tile]
        logits = scorer.score(histories.take(rows), rows) / np.float32(temperature)
        top = logits.max(1, keepdims=True)
        logits -= top
        if kept is not None:
            kept[tile] = np.maximum(logits, LOWEST)
        result[tile] = top[:, 0] + np.log(np.exp(logits).sum(1, dtype=np.float64))
    return result


def fit_temperature(scorer: Scorer, train: Interactions, valid: HeldOut, *, max_users: int = 2_000) -> float:
    """The temperature at which the softmax over a user's unseen items gives the valid items the highest likelihood.

    Searched over 2^-10 … 2^6 times the typical spread of a user's scores, finer around the best; at most `max_users`
    valid users with a history, the first ones. Calibration of a softmax by one number: Guo et al., 2017.
    """
    bags = known_of(valid, train)
    known = np.flatnonzero((np.diff(bags.indptr) > 0) & (np.diff(valid.relevant.indptr) > 0))[:max_users]
    if not len(known):
        return 1.0
    rows, bags = valid.user_rows[known], bags[known]
    histories = known_histories(valid, train, ordered=scorer.ordered).take(known)
    samples: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for tile in _tiles(histories, scorer.n_items):
        here = np.arange(len(rows))[tile]
        scores = scorer.score(histories.take(here), rows[here]).astype(np.float64)
        scores[bags[here].nonzero()] = -np.inf
        relevant = valid.relevant[known[here]]
        user, item = relevant.nonzero()
        samples.append((scores, user, item))
    spread = float(np.median(np.concatenate([_spread(scores) for scores, _, _ in samples])))
    if not spread > 0:
        return 1.0

    def loss(temperature: float) -> float:
        total, count = 0.0, 0
        for scores, user, item in samples:
            logits = scores / temperature
            top = logits.max(1)
            log_z = top + np.log(np.exp(logits - top[:, None]).sum(1))
            picked = logits[user, item]
            finite = np.isfinite(picked)
            total += float((log_z[user] - picked)[finite].sum())
            count += int(finite.sum())
        return total / max(count, 1)

    best = min((spread * 2.0**power for power in range(-10, 7)), key=loss)
    return min((best * 2.0 ** (step / 4) for step in range(-3, 4)), key=loss)


def _spread(scores: np.ndarray) -> np.ndarray:
    """Standard deviation of each user's finite scores."""
    finite = np.isfinite(scores)
    count = np.maximum(finite.sum(1), 1)
    clean = np.where(finite, scores, 0.0)
    mean = clean.sum(1) / count
    return np.sqrt(np.where(finite, (clean - mean[:, None]) ** 2, 0.0).sum(1) / count)
