"""Where a score comes from: the share of each item of the history, exact, adding up to the score."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from recdistill.retrieval.scores import scores_of
from recdistill.serving.base import Scorer
from recdistill.serving.histories import Histories


class Share(NamedTuple):
    item_id: Any
    share: float


class Explanation(NamedTuple):
    """score = the sum of the shares + user + bias, to the last bit of `math.fsum`."""

    item_id: Any
    score: float
    """What `recommend` gives for the item."""
    shares: tuple[Share, ...]
    """Of the items of the history that are known, the largest first."""
    user: float
    """Of the person's own row, where the model has users."""
    bias: float
    """What the item has for everybody; for people of whom nothing is known, its popularity."""


class Parts(NamedTuple):
    shares: np.ndarray
    """float64, one for each item of the history"""
    user: float
    bias: float
    score: float


def explain(scorer: Scorer, history: Histories, user_row: int, item: int) -> Parts:
    """The score of one item row for one person, and its parts.

    A score is a float32 number; what it was rounded by goes to the largest part, and what then is left of the sum's own
    rounding, some 1e-17, to the smallest.
    """
    rows = np.array([user_row])
    asked = scores_of(scorer).ask(scorer, history, rows)
    if not scorer.vectors:
        asked.fill(np.empty((1, scorer.n_items), np.float32), slice(0, 1), 0, scorer.n_items)
    score = float(asked.exact(np.zeros(1, np.int64), np.array([item]))[0])
    shares, user, bias = scorer.shares(history, user_row, item)
    parts = np.array([*shares, user, bias])
    sizes = np.abs(parts)
    smallest = int(np.where(sizes > 0, sizes, np.inf).argmin())
    for part in (int(sizes.argmax()), smallest, smallest):
        parts[part] += score - math.fsum(parts)
    return Parts(parts[:-2], float(parts[-2]), float(parts[-1]), score)
