"""An ensemble as one model of vectors: what a student needs to learn from its scores of all items."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from recdistill.serving.base import Scorer
from recdistill.serving.ensemble import EnsembleScorer
from recdistill.serving.histories import Histories, bag_sums
from recdistill.serving.low_rank import LowRankScorer
from recdistill.tables.codecs import TILE_BYTES


class Vectors(NamedTuple):
    users: np.ndarray
    """float32 (batch, columns)"""
    items: np.ndarray
    """float32 (n_items, columns)"""


def has_vectors(scorer: Scorer) -> bool:
    """Whether `vectors_of` can be asked."""
    return (
        isinstance(scorer, EnsembleScorer)
        and scorer.by == "score"
        and all(member.vectors or isinstance(member, LowRankScorer) for member in scorer.members)
    )


def vectors_of(ensemble: EnsembleScorer, histories: Histories, user_rows: np.ndarray | None = None) -> Vectors:
    """Vectors such that a user's scores are user · item and a number of the user, which no softmax sees.

    A mean of standardised scores is a sum of the members' scores with factors of the user: the members' vectors stand
    beside each other, a bias is one more column. Of each block the typical factor goes to the items, so that columns
    are as long as they count. EASE of low rank has no vectors for the items of a history itself: their scores are
    those that it would give if an item spoke for itself.
    """
    factors = _factors(ensemble, histories, user_rows)
    users, items = [], []
    for member, factor in zip(ensemble.members, factors.T, strict=True):
        typical = np.float32(factor.mean() or 1)
        for of_users, of_items in _blocks(member, histories, user_rows):
            users.append(of_users * (factor / typical)[:, None])
            items.append(of_items * typical)
    return Vectors(np.concatenate(users, axis=1), np.concatenate(items, axis=1))


def _factors(ensemble: EnsembleScorer, histories: Histories, user_rows: np.ndarray | None) -> np.ndarray:
    """(batch, members), from the scores of a few users at a time."""
    step = max(1, TILE_BYTES // (8 * ensemble.n_items))
    parts = [slice(start, start + step) for start in range(0, len(histories), step)]
    rows = [None if user_rows is None else user_rows[part] for part in parts]
    return np.concatenate([ensemble.factors(histories.take(part), of) for part, of in zip(parts, rows, strict=True)])


def _blocks(member: Scorer, histories: Histories, user_rows: np.ndarray | None) -> list[Vectors]:
    if isinstance(member, LowRankScorer):
        weighted = member.item_table.matrix() * member.item_weight[:, None]
        return [Vectors(bag_sums(member.item_table, None, histories), weighted)]
    blocks = [Vectors(member.user_vectors(histories, user_rows), member.item_vectors())]
    if member.item_bias is not None:
        bias = member.item_bias.astype(np.float32)[:, None]
        blocks.append(Vectors(np.ones((len(histories), 1), np.float32), bias))
    return blocks
