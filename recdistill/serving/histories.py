"""Who used what, as the serving half sees it: rows of items per user, and their weighted sums."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from recdistill.errors import DataError
from recdistill.tables.codecs import TILE_BYTES, CodedTable


@dataclass(frozen=True, eq=False)
class Histories:
    """Item rows of a batch of users in CSR layout, sorted and unique per user."""

    indptr: np.ndarray
    """int64 (batch + 1,)"""
    items: np.ndarray
    """int64 or int32 item rows"""

    def __post_init__(self) -> None:
        steps = np.diff(self.indptr)
        if len(self.indptr) == 0 or self.indptr[0] != 0 or self.indptr[-1] != len(self.items) or (steps < 0).any():
            raise DataError(f"histories: indptr must rise from 0 to {len(self.items)}, the number of items.")
        if len(self.items) and self.items.min() < 0:
            raise DataError(f"histories: item rows start at 0, found {self.items.min()}. Drop unknown items first.")

    @classmethod
    def from_csr(cls, matrix: Any) -> Histories:
        """From a scipy CSR matrix (batch, n_items); its values are not looked at."""
        if not matrix.has_sorted_indices:
            matrix = matrix.sorted_indices()
        return cls(matrix.indptr.astype(np.int64), matrix.indices)

    @classmethod
    def from_lists(cls, lists: Sequence[Iterable[int]]) -> Histories:
        """From one list of item rows per user, in any order; a repeated item counts once."""
        rows = [np.asarray(items if isinstance(items, np.ndarray) else list(items), np.int64) for items in lists]
        users = np.repeat(np.arange(len(rows)), [len(items) for items in rows])
        return cls.from_pairs(users, np.concatenate(rows) if rows else np.zeros(0, np.int64), len(rows))

    @classmethod
    def from_pairs(cls, users: np.ndarray, items: np.ndarray, batch: int) -> Histories:
        """From pairs of a user's position in the batch and an item row, in any order; a repeated pair counts once."""
        order = np.lexsort((items, users))
        users, items = users[order], items[order]
        first = np.ones(len(users), bool)
        first[1:] = (users[1:] != users[:-1]) | (items[1:] != items[:-1])
        users, items = users[first], items[first]
        indptr = np.zeros(batch + 1, np.int64)
        np.cumsum(np.bincount(users, minlength=batch), out=indptr[1:])
        return cls(indptr, items)

    @classmethod
    def empty(cls, batch: int) -> Histories:
        return cls(np.zeros(batch + 1, np.int64), np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def take(self, index: slice | np.ndarray) -> Histories:
        """The histories of some of the users: consecutive ones, or chosen rows in any order."""
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step == 1:
                indptr = self.indptr[start : max(start, stop) + 1]
                return Histories(indptr - indptr[0], self.items[indptr[0] : indptr[-1]])
        chosen = np.arange(len(self))[index]
        lengths = self.lengths[chosen]
        indptr = np.zeros(len(chosen) + 1, np.int64)
        np.cumsum(lengths, out=indptr[1:])
        within = np.arange(indptr[-1]) - np.repeat(indptr[:-1], lengths)
        return Histories(indptr, self.items[np.repeat(self.indptr[:-1][chosen], lengths) + within])

    @cached_property
    def lengths(self) -> np.ndarray:
        return np.diff(self.indptr)

    @cached_property
    def users(self) -> np.ndarray:
        """The user's position in the batch, once per item: with `items` the coordinates of every entry."""
        return np.repeat(np.arange(len(self)), self.lengths)


def bag_sums(table: CodedTable, weights: np.ndarray | None, histories: Histories) -> np.ndarray:
    """Σ_history weight_i · table_i of every user, (batch, columns) float32.

    A user's rows are added one after the other in the order of the history, whatever the batch, so that the same
    history gives the same bits alone and among others.
    """
    n_rows, columns = table.shape
    if len(histories.items) and histories.items.max() >= n_rows:
        raise DataError(f"histories: item row {histories.items.max()} is outside a catalogue of {n_rows} items.")
    decoded = None
    if table.codec == "fp32" and weights is None:
        decoded = table.matrix()
    elif len(histories.items) > n_rows and n_rows * columns * 4 <= TILE_BYTES:  # cheaper to decode all rows once
        decoded = _weighted(table.matrix(), weights, slice(None))
    sparse = sys.modules.get("scipy.sparse")
    if decoded is not None and sparse is not None and len(histories) > 1:
        # the same additions in the same order, three times as fast; a small process does without scipy
        ones = np.ones(len(histories.items), np.float32)
        bags = sparse.csr_matrix((ones, histories.items, histories.indptr), shape=(len(histories), n_rows), copy=False)
        return np.asarray(bags @ decoded)

    def rows(items: np.ndarray) -> np.ndarray:
        return _weighted(table.rows(items), weights, items) if decoded is None else decoded[items]

    sums = np.zeros((len(histories), columns), np.float32)
    batch = max(1, TILE_BYTES // max(1, 8 * columns))
    for start in range(0, len(histories), batch):
        _add_bags(rows, histories.take(slice(start, start + batch)), sums[start : start + batch])
    return sums


def _add_bags(rows: Any, histories: Histories, sums: np.ndarray) -> None:
    """Two walks with the same additions: user by user, or, for many users, position by position through all histories
    (16 times faster than `np.add.reduceat` on 6,022 users with 132 items each)."""
    lengths = histories.lengths
    longest = lengths.max(initial=0)
    if sums.shape[1] > 1 and longest > len(histories):
        for user in np.flatnonzero(lengths):
            items = histories.items[histories.indptr[user] : histories.indptr[user + 1]]
            np.add.reduce(rows(items), axis=0, out=sums[user])
        return
    order = np.argsort(-lengths, kind="stable")
    starts = histories.indptr[:-1][order]
    totals = np.zeros_like(sums)
    active = np.searchsorted(-lengths[order], -np.arange(longest), side="left")  # users with more than p items
    for position, users in enumerate(active):
        totals[:users] += rows(histories.items[starts[:users] + position])
    sums[order] = totals


def _weighted(rows: np.ndarray, weights: np.ndarray | None, index: Any) -> np.ndarray:
    return rows if weights is None else rows * weights[index].astype(np.float32)[:, None]
