"""Is somebody's model a bag of the history? Found by asking it, and by nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recdistill.serving.histories import Histories
from recdistill.serving.scorers import BagScorer
from recdistill.tables.codecs import CodedTable

if TYPE_CHECKING:
    from recdistill.data.interactions import Interactions
    from recdistill.models.own_scorer import OwnScorer

POWERS = (0.0, 0.5, 1.0)
"""Of the history's length, by which a bag is divided: a sum, a root, a mean."""
ASKED = 512
"""Users whose histories have to come out right."""
SAME = 1e-4
"""Of the longest vector."""


def as_bag(live: OwnScorer, train: Interactions, popularity: np.ndarray) -> BagScorer | None:
    """u = Σ_history H_i / n^power, or brought to one length; None where the model is something else.

    H are its answers to histories of one item; where it brings them to one length, their own follow from pairs.
    """
    items, bias = live.item_vectors(), live.item_bias
    alone = _asked(live, np.arange(train.n_items)[:, None])
    if _differ(_vectors(live, Histories.empty(1)), np.zeros((1, alone.shape[1])), alone):
        return None
    used = np.flatnonzero(np.diff(train.csr().indptr))
    rows = used[np.linspace(0, len(used) - 1, min(ASKED, len(used))).astype(int)]
    histories = train.histories(rows)
    want = _vectors(live, histories)
    shape: dict[str, Any] = {"item_table": CodedTable.of(items), "item_bias": bias, "popularity": popularity}
    for power in POWERS:
        history = None if np.array_equal(alone, items) else CodedTable.of(alone)
        bag = BagScorer(**shape, history_table=history, history_power=power)
        if not _differ(bag.user_vectors(histories), want, want):
            return bag
    length = float(np.linalg.norm(alone, axis=1).mean())
    if not np.allclose(np.linalg.norm(alone, axis=1), length, rtol=1e-4):
        return None
    table = _lengths(live, train, alone / length)[:, None] * alone
    if not np.isfinite(table).all():
        return None
    bag = BagScorer(**shape, history_table=CodedTable.of(table.astype(np.float32)), normalize=True, scale=length)
    return None if _differ(bag.user_vectors(histories) * length, want, want) else bag


def _lengths(live: OwnScorer, train: Interactions, alone: np.ndarray) -> np.ndarray:
    """(n_items,) length of every row in that of a reference, of a model that brings its bags to one length; `alone` are
    directions.

    With e the reference's direction and f the other's, the pair's vector is along e + a·f: a follows from its parts
    along e and at right angles to it. Two references, since a row may lie along one of them.
    """
    popular = np.argsort(-np.bincount(train.item_rows, minlength=train.n_items), kind="stable")
    first, near = int(popular[0]), np.abs(alone @ alone[popular[0]])
    second = int(near.argmin())
    found = _against(live, alone, first)
    if second != first:
        other = _against(live, alone, second) * found[second]
        found = np.where(near < 0.9, found, other)  # the first is found best where it lies across
        found[first] = 1.0
    return found


def _against(live: OwnScorer, alone: np.ndarray, reference: int) -> np.ndarray:
    items = np.arange(len(alone))
    pairs = _asked(live, np.stack([items, np.full_like(items, reference)], axis=1)).astype(np.float64)  # any length
    e, f = alone[reference].astype(np.float64), alone.astype(np.float64)
    cosine = f @ e
    across = f - cosine[:, None] * e
    sine = np.linalg.norm(across, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        along, right = pairs @ e, (pairs * across).sum(1) / sine
        lengths = right / (along * sine - right * cosine)
    lengths[reference] = 1.0
    return lengths


def _asked(live: OwnScorer, items: np.ndarray) -> np.ndarray:
    """(len(items), d) of histories of these item rows, as many for each."""
    ordered = [np.unique(row) for row in items] if items.shape[1] > 1 else list(items)
    return _vectors(live, Histories.from_lists(ordered))


def _vectors(live: OwnScorer, histories: Histories) -> np.ndarray:
    """Of nobody in particular; a model that is told users, and does not listen, as anybody's."""
    return live.user_vectors(histories, np.full(len(histories), 0 if live.own.user_id else -1))


def _differ(a: np.ndarray, b: np.ndarray, scale: np.ndarray) -> bool:
    longest = max(float(np.linalg.norm(scale, axis=1).max(initial=0.0)), 1e-12)
    return bool(np.abs(a - b).max(initial=0.0) > SAME * longest)
