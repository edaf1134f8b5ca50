"""Scores of a few users and all items: fast with a known error, or exact for chosen pairs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from recdistill.serving.base import Scorer
from recdistill.serving.histories import Histories
from recdistill.tables.codecs import TILE_BYTES, CodedTable

ROUNDING = 2.0**-24
EXACT_BYTES = 4_000_000


class Scores(Protocol):
    def fill(self, out: np.ndarray, histories: Histories, user_rows: np.ndarray | None) -> np.ndarray:
        """Write the scores (batch, n_items) of these users to `out`; a bound of each user's rounding error (batch,)."""

    def exact(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """float32 scores of `items` (m, some) for `users` (m,) of the last `fill`: the same in any batch."""


def scores_of(scorer: Scorer) -> Scores:
    table = getattr(scorer, "item_table", None)
    return Products(scorer, table) if scorer.vectors and table is not None else Given(scorer)


class Given:
    """A scorer without vectors: what it says is exact."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self._last = np.zeros((0, 0), np.float32)

    def fill(self, out: np.ndarray, histories: Histories, user_rows: np.ndarray | None) -> np.ndarray:
        out[:] = self.scorer.score(histories, user_rows)
        self._last = out
        return np.zeros(len(out))

    def exact(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return self._last[users[:, None], items]


class Products:
    """A scorer with vectors: a matrix product, tile by tile where the decoded item table would be large.

    People of whom nothing is known get the scorer's popularity in its place, where it has one.
    """

    def __init__(self, scorer: Scorer, table: CodedTable) -> None:
        self.scorer, self.table = scorer, table
        n_items, dimension = table.shape
        bias = getattr(scorer, "item_bias", None)
        self.bias = None if bias is None else bias.astype(np.float32)
        self.popularity = None if scorer.popularity is None else scorer.popularity.astype(np.float32)
        small = table.codec == "fp32" or n_items * dimension * 4 <= TILE_BYTES
        self._decoded = table.matrix() if small else None
        self._rows = n_items if small else max(1, TILE_BYTES // (4 * dimension))
        largest_bias = 0.0 if bias is None else float(np.abs(bias).max(initial=0))
        # |product - exact| ≤ error_per_length · |u| + error: the usual bound of a sum of d products
        self._error_per_length = ROUNDING * (dimension + 8) * table.longest_row
        self._error = ROUNDING * 8 * largest_bias
        self._queries = np.zeros((0, dimension), np.float32)
        self._unknown = np.zeros(0, bool)

    def fill(self, out: np.ndarray, histories: Histories, user_rows: np.ndarray | None) -> np.ndarray:
        self._queries = self.scorer.queries(histories, user_rows)
        for start, tile in self._tiles():
            part = out[:, start : start + len(tile)]
            if len(out) == 1:  # no threads to wait for: 0.1 ms, where a busy processor made a product take 8 ms
                np.einsum("nd,d->n", tile, self._queries[0], out=part[0])
            else:
                np.matmul(self._queries, tile.T, out=part)
        if self.bias is not None:
            out += self.bias
        if self.popularity is not None:
            self._unknown = self.scorer.unknown(histories, user_rows)
            out[self._unknown] = self.popularity
        lengths = np.linalg.norm(self._queries.astype(np.float64), axis=1)
        # for people who get popularity, whose queries are zero, nothing is rounded
        return np.where(lengths == 0, 0.0, self._error_per_length * lengths + self._error)

    def exact(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        scores = np.empty(items.shape, np.float32)
        step = max(1, EXACT_BYTES // (8 * max(1, self.table.shape[1]) * max(1, items.shape[1])))
        for start in range(0, len(users), step):
            part = slice(start, start + step)
            rows = self._item_rows(items[part]).astype(np.float64)
            queries = self._queries[users[part]].astype(np.float64)
            sums = np.einsum("mkd,md->mk", rows, queries)
            scores[part] = sums if self.bias is None else sums + self.bias[items[part]]
        if self.popularity is not None:
            by_popularity = self._unknown[users]
            scores[by_popularity] = self.popularity[items[by_popularity]]
        return scores

    def _item_rows(self, items: np.ndarray) -> np.ndarray:
        return self.table.rows(items) if self._decoded is None else self._decoded[items]

    def _tiles(self) -> Iterator[tuple[int, np.ndarray]]:
        for start in range(0, len(self.table), self._rows):
            if self._decoded is None:
                yield start, self.table.tile(start, min(start + self._rows, len(self.table)))
            else:
                yield start, self._decoded
