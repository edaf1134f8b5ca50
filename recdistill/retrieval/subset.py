"""Some of a catalogue's items, prepared once to be the only ones that may come."""

from __future__ import annotations

from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np

from recdistill.errors import DataError
from recdistill.retrieval.scores import Scores, scores_among
from recdistill.serving.base import Scorer

SHARE = 4
"""Fewer than one in so many items are scored alone; of more all are scored, and the others are made to lose."""
COPIED_BYTES = 64_000_000
"""Of the vectors that are copied for that."""


class Subset:
    """Item rows, sorted and distinct; threads may share one."""

    def __init__(self, rows: np.ndarray, n_items: int) -> None:
        """Raises DataError for rows outside the catalogue or out of order."""
        self.rows = np.asarray(rows, np.int64)
        if len(self.rows) and (self.rows[0] < 0 or self.rows[-1] >= n_items or (np.diff(self.rows) <= 0).any()):
            raise DataError(f"only: item rows must rise within 0..{n_items - 1}. Sort them, and give each once.")
        self.n_items = n_items
        self._scores: WeakKeyDictionary[Scorer, Scores] = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def penalty(self) -> np.ndarray:
        """float32 (n_items,): 0 for those that may come, -inf for others."""
        values = np.full(self.n_items, -np.inf, np.float32)
        values[self.rows] = 0
        return values

    def scores(self, scorer: Scorer) -> Scores | None:
        """The scores of these items alone, where they are few."""
        if len(self) * SHARE > self.n_items or len(self) * scorer.dimension * 4 > COPIED_BYTES:
            return None
        found = self._scores.get(scorer)
        if found is None:
            found = self._scores[scorer] = scores_among(scorer, self.rows)
        return found


def is_among(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """bool (values,): which of them are in `among`, which is sorted."""
    if not len(among):
        return np.zeros(len(values), bool)
    place = np.searchsorted(among, values)
    return among[np.minimum(place, len(among) - 1)] == values
