"""Scores of a few users and all items: fast with a known error, or exact for chosen pairs."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol
from weakref import WeakKeyDictionary

import numpy as np

from recdistill.retrieval.selection import fixed_order
from recdistill.retrieval.single import Single, times_one
from recdistill.serving.base import Scorer
from recdistill.serving.histories import Histories
from recdistill.tables.codecs import CodedTable, Vector

ROUNDING = 2.0**-24
EXACT_BYTES = 4_000_000
DENSE = 65_536
"""Items up to which whole rows of scores are looked at; beyond, tiles of `WIDE` items."""
WIDE = 8192
SINGLE_BYTES = 16_000_000
"""Of a float32 item table that is laid out once more for one person at a time."""


class Asked(Protocol):
    """Scores of one batch of users."""

    error: np.ndarray
    """(batch,) how far what `fill` gives may lie from the truth"""

    def fill(self, out: np.ndarray, users: slice, start: int, stop: int) -> None:
        """Write the scores of some of the users and the items from `start` to `stop` to `out`."""

    def exact(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """float32 scores (pairs,) of users and items: the same alone and in any batch."""

    def roughly(self, user: int, items: np.ndarray) -> np.ndarray:
        """float32 scores (items,) of one user, within `error`."""


class Scores(Protocol):
    """Scores of a catalogue, or of some of its items: then an item's number is its place among these."""

    n_items: int
    width: int
    """Of how many items `fill` is to be asked at once."""

    def ask(self, scorer: Scorer, histories: Histories, user_rows: np.ndarray | None) -> Asked: ...


def scores_of(scorer: Scorer) -> Scores:
    """The scores of the whole catalogue; what they need beside the scorer is made once and goes with it."""
    found = _kept.get(scorer)
    if found is None:
        found = _kept[scorer] = scores_among(scorer, None)
    return found


def scores_among(scorer: Scorer, rows: np.ndarray | None) -> Scores:
    """The scores of some item rows, sorted."""
    return Products(scorer, rows) if scorer.vectors and hasattr(scorer, "item_table") else Given(scorer, rows)


_kept: WeakKeyDictionary[Scorer, Scores] = WeakKeyDictionary()


class Given:
    """Of a scorer without vectors: what it says is exact."""

    def __init__(self, scorer: Scorer, rows: np.ndarray | None) -> None:
        self.rows = rows
        self.n_items = self.width = scorer.n_items if rows is None else len(rows)

    def ask(self, scorer: Scorer, histories: Histories, user_rows: np.ndarray | None) -> Asked:
        return _GivenTo(self, scorer, histories, user_rows)


class _GivenTo:
    def __init__(self, source: Given, scorer: Scorer, histories: Histories, user_rows: np.ndarray | None) -> None:
        self.source, self.scorer, self.histories, self.user_rows = source, scorer, histories, user_rows
        self.error = np.zeros(len(histories))
        self._last, self._first = np.zeros((0, 0), np.float32), 0

    def fill(self, out: np.ndarray, users: slice, start: int, stop: int) -> None:
        rows = None if self.user_rows is None else self.user_rows[users]
        scores = self.scorer.score(self.histories.take(users), rows)
        self._last = scores if self.source.rows is None else scores[:, self.source.rows]
        self._first = users.start
        out[:] = self._last

    def exact(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Of users of the last `fill` alone."""
        return self._last[users - self._first, items]

    def roughly(self, user: int, items: np.ndarray) -> np.ndarray:
        return self._last[user - self._first, items]


class Products:
    """Of a scorer with vectors: matrix products, tile by tile where the decoded item table would be large.

    People of whom nothing is known get the scorer's popularity in its place, where it has one.
    """

    def __init__(self, scorer: Scorer, rows: np.ndarray | None) -> None:
        table: CodedTable = scorer.item_table  # type: ignore[attr-defined]
        self.table = table if rows is None else CodedTable("fp32", {"values": table.rows(rows)})
        self.n_items, dimension = self.table.shape
        _ = self.table.decoded  # from now on its rows are read from there
        self.width = self.n_items if self.n_items <= DENSE else WIDE
        self.bias, self.popularity = _floats(scorer.item_bias, rows), _floats(scorer.popularity, rows)
        largest_bias = 0.0 if self.bias is None else float(np.abs(self.bias).max(initial=0))
        # |product - exact| ≤ error_per_length · |u| + error: the usual bound of a sum of d products
        self.error_per_length = ROUNDING * (dimension + 8) * self.table.longest_row
        self.error = ROUNDING * 8 * largest_bias
        self.order = fixed_order(scorer.n_items).place if rows is None else fixed_order(scorer.n_items).place[rows]
        self.rows = rows

    @cached_property
    def single(self) -> Single | None:
        """For one person at a time, where the catalogue is small enough for a copy of it."""
        decoded = self.table.decoded
        if decoded is None or decoded.nbytes > SINGLE_BYTES or self.width < self.n_items:
            return None
        return Single(decoded, self.bias, self.popularity, self.order, self.rows, self.error_per_length, self.error)

    def ask(self, scorer: Scorer, histories: Histories, user_rows: np.ndarray | None) -> ProductsWith:
        queries = scorer.queries(histories, user_rows)
        unknown = None if self.popularity is None else scorer.unknown(histories, user_rows)
        return ProductsWith(self, queries, unknown)


class ProductsWith:
    """Products with the queries (batch, dimension) of some users; `unknown` are those who get popularity."""

    def __init__(self, source: Products, queries: np.ndarray, unknown: np.ndarray | None) -> None:
        self.source, self.queries, self.unknown = source, queries, unknown
        lengths = np.linalg.norm(queries.astype(np.float64), axis=1)
        # for people who get popularity, whose queries are zero, nothing is rounded
        self.error = np.where(lengths == 0, 0.0, source.error_per_length * lengths + source.error)

    def fill(self, out: np.ndarray, users: slice, start: int, stop: int) -> None:
        tile = self.source.table.tile(start, stop)
        queries = self.queries[users]
        if len(queries) == 1:
            times_one(tile, queries[0], out[0])
        else:
            np.matmul(queries, tile.T, out=out)
        if self.source.bias is not None:
            out += self.source.bias[start:stop]
        if self.unknown is not None and self.unknown[users].any():
            assert self.source.popularity is not None
            out[self.unknown[users]] = self.source.popularity[start:stop]

    def exact(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        scores = np.empty(len(users), np.float32)
        source = self.source
        step = max(1, EXACT_BYTES // (16 * max(1, source.table.shape[1])))
        for start in range(0, len(users), step):
            part = slice(start, start + step)
            rows = source.table.rows(items[part]).astype(np.float64)
            sums = np.einsum("pd,pd->p", rows, self.queries[users[part]].astype(np.float64))
            scores[part] = sums if source.bias is None else sums + source.bias[items[part]]
        if self.unknown is not None:
            strangers = self.unknown[users]
            if strangers.any():
                assert source.popularity is not None
                scores[strangers] = source.popularity[items[strangers]]
        return scores

    def roughly(self, user: int, items: np.ndarray) -> np.ndarray:
        source = self.source
        if self.unknown is not None and self.unknown[user]:
            assert source.popularity is not None
            return source.popularity[items]
        scores = np.empty(len(items), np.float32)
        times_one(source.table.rows(items), self.queries[user], scores)
        return scores if source.bias is None else scores + source.bias[items]


def _floats(values: Vector | None, rows: np.ndarray | None) -> np.ndarray | None:
    if values is None:
        return None
    return (values if rows is None else values[rows]).astype(np.float32)
