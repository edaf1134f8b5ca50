"""A teacher at several points of its own training, from easy to hard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from recdistill.errors import KnowledgeError

if TYPE_CHECKING:
    from recdistill.knowledge.store import Knowledge


def with_trajectory(last: Knowledge, earlier: Sequence[Knowledge], k: int | None = None) -> Knowledge:
    """`last` with the lists of `earlier` teachers before its own, `k` items of each without what a user has used.

    `earlier` are extracted from the same teacher after fewer epochs, or from weaker ones, the easiest first. Raises
    KnowledgeError where there is none, or one is of another log.
    """
    if not earlier:
        raise KnowledgeError("a trajectory needs knowledge of an earlier teacher; extract it after fewer epochs.")
    for place, known in enumerate(earlier):
        if known.log_sha256 != last.log_sha256:
            raise KnowledgeError(
                f"trajectory: knowledge {place} is of another log; extract all from the same train part"
            )
    every = [*earlier, last]
    width = min(known.top_items.shape[1] for known in every)
    return replace(last, trajectory=np.stack([_unseen(known, min(k or width, width)) for known in every]))


def _unseen(known: Knowledge, k: int) -> np.ndarray:
    """(n_users, k) int32 the list without what a user has used, -1 after its end."""
    counted = (known.top_items >= 0) & ~known.top_own
    order = np.argsort(~counted, axis=1, kind="stable")[:, :k]
    items = np.take_along_axis(known.top_items, order, 1)
    return np.where(np.take_along_axis(counted, order, 1), items, -1).astype(np.int32)
