"""A sparse item-to-item map and a low-rank one side by side: the form of graph filtering on sparse logs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from recdistill.errors import DataError
from recdistill.serving.base import Scorer, check_shape
from recdistill.serving.histories import Histories, bag_sums
from recdistill.tables.codecs import DECODED_BYTES, TILE_BYTES, CodedTable

TABLE_BITS, QUERY_BITS = 20, 22
"""Of the fixed-point numbers of the low-rank part: their products and the sums of up to 2,048 of them are whole numbers
below 2^53, which double precision holds exactly, so that no order of adding changes a bit."""
MOST_DIMENSIONS = 2048


@dataclass(frozen=True, eq=False, kw_only=True)
class GraphFilterScorer(Scorer):
    """score_j = Σ_{i in history} (G_ij + alpha · w_i T_i·T_j), G sparse by rows, T a table, w its history weights.

    Without a history popularity is the score. The same bits for a user whatever the batch: G's rows are added in the
    order of the history, and T is rounded to a millionth of its largest entry.
    """

    form: ClassVar[str] = "graph_filter"
    table_fields: ClassVar[tuple[str, ...]] = ("item_table",)
    array_fields: ClassVar[tuple[str, ...]] = (
        "gram_indptr", "gram_indices", "gram_data", "history_weight", "popularity",
    )  # fmt: skip
    whole_fields: ClassVar[tuple[str, ...]] = ("gram_indptr", "gram_indices")

    gram_indptr: np.ndarray
    """int64 (n_items + 1,): where the entries of an item's row begin and end"""
    gram_indices: np.ndarray
    """int32 (entries,): the columns, each at most once in a row"""
    gram_data: np.ndarray
    """(entries,) the values"""
    item_table: CodedTable | None = None
    """T, (n_items, k)"""
    history_weight: np.ndarray | None = None
    """w, (n_items,); 1 where there is none"""
    popularity: np.ndarray | None = None
    alpha: float = 1.0

    def __post_init__(self) -> None:
        _check_rows(self.gram_indptr, self.gram_indices, self.gram_data)
        for name in ("history_weight", "popularity"):
            if (array := getattr(self, name)) is not None:
                check_shape(name, array.shape, (self.n_items,))
        if self.item_table is not None:
            check_shape("item_table", self.item_table.shape, (self.n_items, self.item_table.shape[1]))
            if self.item_table.shape[1] > MOST_DIMENSIONS:
                raise DataError(
                    f"item_table has {self.item_table.shape[1]} columns; a scorer of the form {self.form!r} "
                    f"takes {MOST_DIMENSIONS} at most."
                )

    @property
    def n_items(self) -> int:
        return len(self.gram_indptr) - 1

    @property
    def vectors(self) -> bool:
        return False

    @property
    def dimension(self) -> int:
        return self.n_items

    @property
    def parameters(self) -> int:
        """Numbers that were learned, without the places where they stand."""
        return super().parameters - self.gram_indptr.size - self.gram_indices.size

    def score(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        if len(histories.items) and histories.items.max() >= self.n_items:
            found = histories.items.max()
            raise DataError(f"histories: item row {found} is outside a catalogue of {self.n_items} items.")
        scores = self._sparse_sums(histories)
        if self.item_table is not None and self.alpha:
            self._add_low_rank(self.item_table, histories, scores)
        return self._with_popularity(scores, histories, user_rows)

    def shares(self, history: Histories, user_row: int, item: int) -> tuple[np.ndarray, float, float]:
        if self.popularity is not None and not len(history.items):
            return np.zeros(0), 0.0, float(np.float32(self.popularity[item]))
        parts = np.zeros(len(history.items))
        for place, used in enumerate(history.items):
            row = slice(self.gram_indptr[used], self.gram_indptr[used + 1])
            parts[place] = self.gram_data[row][self.gram_indices[row] == item].sum(dtype=np.float64)
        if self.item_table is not None:
            target = self.item_table.rows(np.array([item]))[0].astype(np.float64)
            low_rank = self.item_table.rows(history.items).astype(np.float64) @ target
            own = 1.0 if self.history_weight is None else self.history_weight[history.items].astype(np.float64)
            parts += self.alpha * own * low_rank
        return parts if history.weights is None else parts * history.weights, 0.0, 0.0

    def _sparse_sums(self, histories: Histories) -> np.ndarray:
        """Σ_history of G's rows, (batch, n_items) float32, added one after the other."""
        shape, sparse = (len(histories), self.n_items), sys.modules.get("scipy.sparse")
        if sparse is not None and len(histories) > 1 and histories.weights is None:
            # the same additions in the same order, four times as fast; a small process does without scipy
            ones, layout = np.ones(len(histories.items), np.float32), self._gram.indices.dtype
            rows = histories.items.astype(layout), histories.indptr.astype(layout)
            return (sparse.csr_matrix((ones, *rows), shape=shape, copy=False) @ self._gram).toarray()
        sums = np.zeros(shape, np.float32)
        for user, (start, stop) in enumerate(zip(histories.indptr[:-1], histories.indptr[1:], strict=True)):
            for place in range(start, stop):
                item = histories.items[place]
                row = slice(self.gram_indptr[item], self.gram_indptr[item + 1])
                values = self.gram_data[row].astype(np.float32)
                if histories.weights is not None:
                    values *= histories.weights[place]
                sums[user, self.gram_indices[row]] += values
        return sums

    def _add_low_rank(self, table: CodedTable, histories: Histories, scores: np.ndarray) -> None:
        queries = bag_sums(table, self.history_weight, histories).astype(np.float64)
        units = _unit(np.abs(queries).max(axis=1, keepdims=True, initial=0), QUERY_BITS)
        queries = np.rint(queries / units)
        factors = self.alpha * units * self._table_unit
        step = max(1, TILE_BYTES // (8 * max(len(queries), table.shape[1], 1)))
        for start in range(0, self.n_items, step):
            tile = slice(start, min(start + step, self.n_items))
            products = queries @ self._whole_numbers(table, tile).T
            products *= factors
            scores[:, tile] += products.astype(np.float32)

    def _whole_numbers(self, table: CodedTable, tile: slice) -> np.ndarray:
        """Rows of T as whole multiples of `_table_unit`, float64; kept where that takes little."""
        if 8 * table.shape[0] * table.shape[1] <= DECODED_BYTES:
            return self._all_whole_numbers[tile]
        return np.rint(table.tile(tile.start, tile.stop).astype(np.float64) / self._table_unit)

    @cached_property
    def _all_whole_numbers(self) -> np.ndarray:
        assert self.item_table is not None
        return np.rint(self.item_table.matrix().astype(np.float64) / self._table_unit)

    @cached_property
    def _table_unit(self) -> float:
        assert self.item_table is not None
        step = max(1, TILE_BYTES // (8 * max(1, self.item_table.shape[1])))
        tiles = (self.item_table.tile(start, start + step) for start in range(0, self.n_items, step))
        largest = max((float(np.abs(tile).max(initial=0)) for tile in tiles), default=0.0)
        return float(_unit(np.array(largest), TABLE_BITS))

    @cached_property
    def _gram(self) -> Any:
        """G as scipy has it."""
        values = self.gram_data.astype(np.float32, copy=False)
        shape = self.n_items, self.n_items
        return sys.modules["scipy.sparse"].csr_matrix(
            (values, self.gram_indices, self.gram_indptr), shape=shape, copy=False
        )


def _unit(largest: np.ndarray, bits: int) -> np.ndarray:
    """The power of two of which `largest` is fewer than 2^bits; any where it is 0."""
    _, exponent = np.frexp(largest)
    return np.ldexp(1.0, exponent - bits)


def _check_rows(indptr: np.ndarray, indices: np.ndarray, data: np.ndarray) -> None:
    check_shape("gram_data", data.shape, indices.shape)
    n_items = len(indptr) - 1
    if indptr.dtype != np.int64 or indices.dtype != np.int32:
        raise DataError(f"gram_indptr must be int64 and gram_indices int32, found {indptr.dtype} and {indices.dtype}.")
    if n_items < 0 or indptr[0] != 0 or indptr[-1] != len(indices) or (np.diff(indptr) < 0).any():
        raise DataError(f"gram_indptr must rise from 0 to {len(indices)}, the number of entries.")
    if len(indices) and (indices.min() < 0 or indices.max() >= n_items):
        raise DataError(f"gram_indices must lie in 0..{n_items - 1}, found {indices.min()}..{indices.max()}.")
