"""Who used what, as the serving half sees it: rows of items per user, and their weighted sums."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from recdistill.errors import DataError
from recdistill.tables.codecs import TILE_BYTES, CodedTable, Vector

FEW = 16
"""Users who are added one by one rather than together: for fewer the steps cost more than the sums."""


@dataclass(frozen=True, eq=False)
class Histories:
    """Item rows of a batch of users in CSR layout, sorted and unique per user."""

    indptr: np.ndarray
    """int64 (batch + 1,)"""
    items: np.ndarray
    """int64 or int32 item rows"""
    weights: np.ndarray | None = None
    """float32, how much each item counts; 1 where there are none"""
    places: np.ndarray | None = None
    """int32, the place of each item from the end of its user's own order: 0 is the most recent; None: not known"""

    def __post_init__(self) -> None:
        steps = np.diff(self.indptr)
        if len(self.indptr) == 0 or self.indptr[0] != 0 or self.indptr[-1] != len(self.items) or (steps < 0).any():
            raise DataError(f"histories: indptr must rise from 0 to {len(self.items)}, the number of items.")
        if len(self.items) and self.items.min() < 0:
            raise DataError(f"histories: item rows start at 0, found {self.items.min()}. Drop unknown items first.")
        for name, column in (("weights", self.weights), ("places", self.places)):
            if column is not None and len(column) != len(self.items):
                raise DataError(f"histories: {len(column)} {name} for {len(self.items)} items; give one for each.")

    @classmethod
    def from_csr(cls, matrix: Any) -> Histories:
        """From a scipy CSR matrix (batch, n_items); its values are not looked at, and no order is known."""
        if not matrix.has_sorted_indices:
            matrix = matrix.sorted_indices()
        return cls(matrix.indptr.astype(np.int64), matrix.indices)

    @classmethod
    def from_lists(cls, lists: Sequence[Iterable[int]]) -> Histories:
        """From one list of item rows per user, the oldest first; a repeated item counts once, where it came last."""
        rows = [np.asarray(items if isinstance(items, np.ndarray) else list(items), np.int64) for items in lists]
        users = np.repeat(np.arange(len(rows)), [len(items) for items in rows])
        flat = np.concatenate(rows) if rows else np.zeros(0, np.int64)
        return cls.from_pairs(users, flat, len(rows), ordered=True)

    @classmethod
    def from_pairs(
        cls,
        users: np.ndarray,
        items: np.ndarray,
        batch: int,
        weights: np.ndarray | None = None,
        *,
        ordered: bool = False,
    ) -> Histories:
        """From pairs of a user's position in the batch and an item row; a repeated pair counts once, with the last of
        its weights. `ordered`: each user's pairs come the oldest first, which gives every item its place."""
        if not len(users):
            none = np.zeros(0, np.int32) if ordered else None
            return cls(np.zeros(batch + 1, np.int64), np.zeros(0, np.int64), weights, none)
        if items.min() < 0:
            raise DataError(f"histories: item rows start at 0, found {items.min()}. Drop unknown items first.")
        above = int(items.max()) + 1
        keys = users.astype(np.int64) * above + items
        order = None if weights is None and not ordered else np.argsort(keys, kind="stable")
        keys = np.sort(keys) if order is None else keys[order]
        kept = np.ones(len(keys), bool)
        kept[:-1] = keys[1:] != keys[:-1]
        users, items = np.divmod(keys[kept], above)
        indptr = np.zeros(batch + 1, np.int64)
        np.cumsum(np.bincount(users, minlength=batch), out=indptr[1:])
        last = None if order is None else order[kept]
        return cls(
            indptr,
            items,
            None if weights is None else weights[last].astype(np.float32),
            places_from_end(indptr, last) if ordered and last is not None else None,
        )

    @classmethod
    def empty(cls, batch: int) -> Histories:
        """Of people who did nothing; their order is known."""
        return cls(np.zeros(batch + 1, np.int64), np.zeros(0, np.int64), None, np.zeros(0, np.int32))

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def take(self, index: slice | np.ndarray) -> Histories:
        """The histories of some of the users: consecutive ones, or chosen rows in any order."""
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step == 1:
                indptr = self.indptr[start : max(start, stop) + 1]
                return self._at(slice(indptr[0], indptr[-1]), indptr - indptr[0])
        chosen = np.arange(len(self))[index]
        lengths = self.lengths[chosen]
        indptr = np.zeros(len(chosen) + 1, np.int64)
        np.cumsum(lengths, out=indptr[1:])
        within = np.arange(indptr[-1]) - np.repeat(indptr[:-1], lengths)
        return self._at(np.repeat(self.indptr[:-1][chosen], lengths) + within, indptr)

    def where(self, kept: np.ndarray) -> Histories:
        """With the items that a mask (items,) keeps; their order stays, and places are counted anew."""
        indptr = np.zeros(len(self) + 1, np.int64)
        np.cumsum(np.bincount(self.users[kept], minlength=len(self)), out=indptr[1:])
        left = self._at(kept, indptr)
        return left if left.places is None else replace(left, places=places_from_end(indptr, -left.places))

    def _at(self, entries: slice | np.ndarray, indptr: np.ndarray) -> Histories:
        weights, places = (None if column is None else column[entries] for column in (self.weights, self.places))
        return Histories(indptr, self.items[entries], weights, places)

    @cached_property
    def lengths(self) -> np.ndarray:
        return np.diff(self.indptr)

    @cached_property
    def totals(self) -> np.ndarray:
        """float64 (batch,) the sum of each user's weights, added in the order of the history."""
        if self.weights is None:
            return self.lengths.astype(np.float64)
        return np.bincount(self.users, self.weights, minlength=len(self))

    @cached_property
    def users(self) -> np.ndarray:
        """The user's position in the batch, once per item: with `items` the coordinates of every entry."""
        return np.repeat(np.arange(len(self)), self.lengths)


def places_from_end(indptr: np.ndarray, when: np.ndarray) -> np.ndarray:
    """int32 (entries,): each entry's place from the end of its own row, in CSR layout, by `when`: distinct integers
    within a row that rise with time."""
    lengths = np.diff(indptr)
    order = np.lexsort((when, np.repeat(np.arange(len(lengths)), lengths)))
    places = np.empty(len(when), np.int32)
    places[order] = np.repeat(indptr[1:] - 1, lengths) - np.arange(len(when))
    return places


def bag_sums(
    table: CodedTable, weights: Vector | None, histories: Histories, decoded: np.ndarray | None = None
) -> np.ndarray:
    """Σ_history weight_i · table_i of every user, (batch, columns) float32; the histories' own weights multiply these.

    A user's rows are added one after the other in the order of the history, whatever the batch, so that the same
    history gives the same bits alone and among others. `decoded` is the table times its weights, where that is kept.
    """
    n_rows, columns = table.shape
    if len(histories.items) and histories.items.max() >= n_rows:
        raise DataError(f"histories: item row {histories.items.max()} is outside a catalogue of {n_rows} items.")
    if decoded is None and table.codec == "fp32" and weights is None:
        decoded = table.matrix()
    elif decoded is None and len(histories.items) > n_rows and n_rows * columns * 4 <= TILE_BYTES:
        decoded = weighted(table.matrix(), weights)  # cheaper to decode all rows once
    sparse = sys.modules.get("scipy.sparse")
    if decoded is not None and sparse is not None and len(histories) > 1 and histories.weights is None:
        # the same additions in the same order, three times as fast; a small process does without scipy
        ones = np.ones(len(histories.items), np.float32)
        bags = sparse.csr_matrix((ones, histories.items, histories.indptr), shape=(len(histories), n_rows), copy=False)
        return np.asarray(bags @ decoded)

    def rows(places: np.ndarray | slice) -> np.ndarray:
        items = histories.items[places]
        if decoded is None:
            found = weighted(table.rows(items), None if weights is None else weights[items])
        else:
            found = decoded.take(items, axis=0)
        return found if histories.weights is None else found * histories.weights[places][:, None]

    sums = np.zeros((len(histories), columns), np.float32)
    batch = max(1, TILE_BYTES // max(1, 8 * columns))
    for start in range(0, len(histories), batch):
        _add_bags(rows, histories.indptr[start : start + batch + 1], sums[start : start + batch])
    return sums


def _add_bags(rows: Callable[[np.ndarray | slice], np.ndarray], indptr: np.ndarray, sums: np.ndarray) -> None:
    """Position by position through all histories while many reach so far, then one long history after the other.

    Both add the same numbers in the same order. (`np.add.reduceat` takes 16 times as long on 6,022 users with 132
    items each.)
    """
    lengths = np.diff(indptr)
    together = 1 if sums.shape[1] == 1 else FEW  # a sum along one column would be taken pairwise
    steps = np.sort(lengths)[-together] if len(lengths) >= together else 0
    order = np.argsort(-lengths, kind="stable")
    starts = indptr[:-1][order]
    totals = np.zeros_like(sums)
    active = np.searchsorted(-lengths[order], -np.arange(steps), side="left")  # users with more than p items
    for position, users in enumerate(active):
        totals[:users] += rows(starts[:users] + position)
    for place in range(int(np.searchsorted(-lengths[order], -steps, side="left"))):
        rest = rows(slice(starts[place] + steps, starts[place] + lengths[order[place]]))
        if steps:
            rest = np.concatenate([totals[place : place + 1], rest])
        np.add.reduce(rest, axis=0, out=totals[place])
    sums[order] = totals


def weighted(rows: np.ndarray, weights: Vector | None) -> np.ndarray:
    """Rows (n, columns) times float32 weights (n,); the rows themselves where there are none."""
    return rows if weights is None else rows * weights.astype(np.float32)[:, None]
