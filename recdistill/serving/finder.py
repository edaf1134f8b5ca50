"""The best rows for histories of rows: by an index where there is one, else out of the whole catalogue."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from recdistill.retrieval.exact import check_k, top_k
from recdistill.retrieval.scores import Products, scores_of
from recdistill.retrieval.selection import best_of_pairs, fixed_order
from recdistill.retrieval.subset import Subset
from recdistill.serving.base import Scorer
from recdistill.serving.histories import Histories


class Retriever(Protocol):
    """An index of the item vectors, in the order of the items."""

    kind: str

    def __len__(self) -> int:
        """How many items may come."""

    def search(
        self, queries: np.ndarray, k: int, *, exclude: Histories | None = None, only: Subset | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Item rows int64 and scores float32 (batch, k) of queries (batch, dimension); -1 where there are no more."""


class Finder:
    """What an index finds comes with the scores, and in the order, of the exact search."""

    def __init__(self, scorer: Scorer, retriever: Retriever | None) -> None:
        self.scorer, self.retriever = scorer, retriever

    def best(
        self, histories: Histories, user_rows: np.ndarray | None, k: int, exclude: Histories | None, only: Subset | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Item rows int64 and scores float32 (batch, k), -1 and -inf where no more are left.

        People of whom nothing is known have no vector to ask an index by: they get what is popular.
        """
        if self.retriever is None or not self.scorer.vectors:
            return self._looked_for(histories, user_rows, k, exclude, only)
        strangers = self.scorer.unknown(histories, user_rows)
        if not strangers.any():
            return self._retrieved(histories, user_rows, k, exclude, only)
        rows, scores = np.full((len(histories), k), -1, np.int64), np.full((len(histories), k), -np.inf, np.float32)
        for some, way in ((np.flatnonzero(strangers), self._looked_for), (np.flatnonzero(~strangers), self._retrieved)):
            if len(some):
                own = None if user_rows is None else user_rows[some]
                seen = None if exclude is None else exclude.take(some)
                rows[some], scores[some] = way(histories.take(some), own, k, seen, only)
        return rows, scores

    def _looked_for(
        self, histories: Histories, user_rows: np.ndarray | None, k: int, exclude: Histories | None, only: Subset | None
    ) -> tuple[np.ndarray, np.ndarray]:
        return top_k(self.scorer, histories, user_rows, k, exclude, only=only)

    def _retrieved(
        self, histories: Histories, user_rows: np.ndarray | None, k: int, exclude: Histories | None, only: Subset | None
    ) -> tuple[np.ndarray, np.ndarray]:
        check_k(k, self.scorer.n_items)
        assert self.retriever is not None
        source = scores_of(self.scorer)
        assert isinstance(source, Products)
        asked = source.ask(self.scorer, histories, user_rows)
        found, _ = self.retriever.search(asked.queries, k, exclude=exclude, only=only)
        users, places = np.nonzero(found >= 0)
        rows = found[users, places]
        order = fixed_order(self.scorer.n_items)
        return best_of_pairs(users, rows, asked.exact(users, rows), len(histories), k, order)
