"""How well a student imitates its teacher for some people, whatever either is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recdistill.evaluation.agreement import overlap
from recdistill.retrieval.exact import top_k

if TYPE_CHECKING:
    from recdistill.data.interactions import Interactions
    from recdistill.serving.scorers import Scorer

TILE_FLOATS = 8_000_000
"""Scores of users × items are made in tiles of at most this many."""


def imitation(
    teacher: Scorer, student: Scorer, train: Interactions, rows: np.ndarray, *, temperature: float, k: int
) -> dict[str, float | int]:
    """Means over the users `rows` of `train`, by their histories there, over the items that they have not used.

    `overlap`: of the first k; `kl`: KL divergence in nats from the teacher's softmax, whose scores are divided by
    `temperature`, to the student's. People without a history, or who have used all, are left out; of nobody the means
    are 0.
    """
    csr = train.csr()
    lengths = np.diff(csr.indptr)[rows]
    rows = rows[(lengths > 0) & (lengths < train.n_items)]
    if not len(rows):
        return {"people": 0, "overlap": 0.0, "kl": 0.0}
    shared, divergence = [], []
    step = max(1, TILE_FLOATS // train.n_items)
    k = min(k, train.n_items)
    for start in range(0, len(rows), step):
        here = rows[start : start + step]
        lists = []
        for one in (teacher, student):
            lists.append(top_k(one, train.histories(here, ordered=one.ordered), here, k, train.histories(here))[0])
        shared.append(overlap(lists[0], lists[1], k))
        used = csr[here].nonzero()
        p = _log_softmax(teacher.score(train.histories(here, ordered=teacher.ordered), here) / temperature, used)
        q = _log_softmax(student.score(train.histories(here, ordered=student.ordered), here), used)
        with np.errstate(invalid="ignore"):
            divergence.append(np.where(np.isfinite(p), np.exp(p) * (p - q), 0.0).sum(1))
    return {
        "people": len(rows),
        "overlap": float(np.concatenate(shared).mean()),
        "kl": float(np.concatenate(divergence).mean()),
    }


def _log_softmax(scores: np.ndarray, used: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """float64 (users, n_items), -inf at the items that are used."""
    scores = scores.astype(np.float64)
    scores[used] = -np.inf
    scores -= scores.max(1, keepdims=True)
    shifted: np.ndarray = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    return shifted
