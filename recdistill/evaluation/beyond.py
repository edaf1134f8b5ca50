"""What the lists of all users do to the catalogue: metrics beyond accuracy, one number per model.

All of them read `recommended` (n_items,), how often each item of the catalogue stands in the users' top k, `popularity`
(n_items,), its train rows, and `n_users`, the train users.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from recdistill.registry import Registry

Ints = npt.NDArray[np.int64]
ListMetric = Callable[[Ints, Ints, int], float]


def recommended_counts(items: Ints, k: int, n_items: int) -> Ints:
    """How often each item stands in the top k of the lists (m, K); empty places (-1) do not count."""
    top = items[:, :k]
    return np.bincount(top[top >= 0], minlength=n_items).astype(np.int64)


def coverage(recommended: Ints, popularity: Ints, n_users: int) -> float:
    """Share of the catalogue that stands in at least one user's top k."""
    return float(np.count_nonzero(recommended) / len(recommended))


def gini(recommended: Ints, popularity: Ints, n_users: int) -> float:
    """Gini index of how often the items of the catalogue are recommended: 0 all alike, 1 - 1/n_items one item alone."""
    total, n = recommended.sum(), len(recommended)
    if total == 0:
        return 0.0
    place = np.arange(1, n + 1)
    return float(((2 * place - n - 1) * np.sort(recommended)).sum() / (n * total))


def novelty(recommended: Ints, popularity: Ints, n_users: int) -> float:
    """Mean self-information, -log2(train users of the item / train users), over all recommendations, in bits."""
    total = recommended.sum()
    information = -np.log2(np.maximum(popularity, 1) / n_users)
    return float((recommended * information).sum() / total) if total else 0.0


BEYOND: Registry[ListMetric] = Registry("list metric")
BEYOND.register("coverage", coverage)
BEYOND.register("gini", gini)
BEYOND.register("novelty", novelty)
