"""One model measured on held-out users: full ranking, and the evidence per user under every mean."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recdistill.data.interactions import HeldOut
from recdistill.data.splits import Split
from recdistill.errors import ConfigError
from recdistill.evaluation.beyond import BEYOND, recommended_counts
from recdistill.evaluation.metrics import AUC, DEFAULT_METRICS, parse_metrics
from recdistill.evaluation.ranking import RANKING, auc, hits_of
from recdistill.retrieval.exact import top_k
from recdistill.serving.scorers import Histories, Scorer

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SCORES_AT_ONCE = 1 << 22
"""Scores held in memory for `auc`, which alone needs more than the top of the list."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Lists and metrics of one model; the arrays are in the order of the held-out users."""

    users: np.ndarray
    """External ids (m,) of the users with relevant items."""
    held_index: Ints
    """Their places (m,) in the held-out part."""
    items: Ints
    """Item rows (m, K), best first; -1 at the end where nothing else may be recommended."""
    per_user: dict[str, Floats]
    """Values (m,) of every metric that is a mean over users."""
    over_lists: dict[str, float]
    """Coverage, Gini, novelty: one value for all lists together."""
    users_left_out: int
    """Held-out users without relevant items."""

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Means over users, then what is measured over all lists; the order of users changes not even the rounding."""
        return {name: math.fsum(values) / len(values) for name, values in self.per_user.items()} | self.over_lists

    @cached_property
    def standard_errors(self) -> dict[str, float]:
        """Of the means over users; empty for a single user."""
        m = len(self.users)
        if m < 2:
            return {}
        return {name: float(values.std(ddof=1) / math.sqrt(m)) for name, values in self.per_user.items()}


def evaluate_scorer(
    scorer: Scorer,
    split: Split,
    held: HeldOut | None = None,
    *,
    metrics: Iterable[str] = DEFAULT_METRICS,
    k: int | None = None,
    batch: int = 1024,
) -> Evaluation:
    """Rank all items for the users of `held` (default: the test part) and measure.

    `k`: length of the lists that are kept, at least the largest cut-off (default: that one, or 20 for none).
    Refuses unknown metrics and a k above the catalogue (ConfigError).
    """
    held = split.test if held is None else held
    n_items = split.train.n_items
    wanted = parse_metrics(metrics, n_items=n_items)
    largest = max(metric.k for metric in wanted) or min(20, n_items)
    depth = largest if k is None else k
    if not largest <= depth <= n_items:
        raise ConfigError(f"k={depth}: lists must hold between {largest} (the largest cut-off) and {n_items} items.")

    kept = np.flatnonzero(held.relevant_count)
    if len(kept) == 0:
        raise ConfigError("nothing to measure: no held-out user has a relevant item. Hold out rows of some users.")
    relevant, relevant_count, user_rows = held.relevant[kept], held.relevant_count[kept], held.user_rows[kept]
    bags, excluded = split.bags(held, ordered=scorer.ordered).take(kept), split.excluded(held)[kept]

    items, _ = top_k(scorer, bags, user_rows, depth, Histories.from_csr(excluded), batch=batch)
    hits = hits_of(items, relevant)
    popularity = np.bincount(split.train.item_rows, minlength=n_items)
    per_user: dict[str, Floats] = {}
    over_lists: dict[str, float] = {}
    for metric in wanted:
        if metric.over_lists:
            counts = recommended_counts(items, metric.k, n_items)
            over_lists[str(metric)] = BEYOND[metric.name](counts, popularity, split.train.n_users)
        elif metric.name == AUC:
            per_user[str(metric)] = _auc(scorer, bags, user_rows, relevant, relevant_count, excluded)
        else:
            per_user[str(metric)] = RANKING[metric.name](hits, relevant_count, metric.k)
    return Evaluation(held.user_ids[kept], kept, items, per_user, over_lists, len(held) - len(kept))


def _auc(
    scorer: Scorer,
    histories: Histories,
    user_rows: Ints,
    relevant: sp.csr_matrix,
    count: Ints,
    excluded: sp.csr_matrix,
) -> Floats:
    """Batch by batch, since it looks at the score of every item."""
    size = max(1, SCORES_AT_ONCE // relevant.shape[1])
    parts = []
    for start in range(0, len(count), size):
        part = slice(start, start + size)
        scores = scorer.score(histories.take(part), user_rows[part])
        parts.append(auc(scores, relevant[part], count[part], excluded[part]))
    return np.concatenate(parts)
