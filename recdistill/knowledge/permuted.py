"""A teacher that knows nothing of these users: what it says of others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from recdistill.knowledge.extract import is_own

if TYPE_CHECKING:
    import numpy as np

    from recdistill.data.interactions import Interactions
    from recdistill.knowledge.store import Knowledge


def permuted(known: Knowledge, train: Interactions, generator: np.random.Generator) -> Knowledge:
    """`known` with its users shuffled: a student must gain nothing from it but what is the same for all users."""
    known.check(train)
    order = generator.permutation(known.n_users)
    items = known.top_items[order]
    lists, trajectory = known.item_lists, known.trajectory
    if lists is not None:
        place = order.argsort()
        lists = (place[lists] * (lists >= 0) - (lists < 0)).astype(lists.dtype)
    return replace(
        known,
        top_items=items,
        top_scores=known.top_scores[order],
        top_own=is_own(train.csr(), items),
        tail_mass=known.tail_mass[order],
        user_vectors=None if known.user_vectors is None else known.user_vectors[order],
        logits=None if known.logits is None else known.logits[order],
        item_lists=lists,
        trajectory=None if trajectory is None else trajectory[:, order],
        teacher={**known.teacher, "permuted": True},
    )
