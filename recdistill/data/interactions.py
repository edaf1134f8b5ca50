"""What models are fitted on and measured against: encoded rows, and the held-out part of a split."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix

from recdistill.cores import cores
from recdistill.data.vocab import Vocab, id_array
from recdistill.errors import DataError

if TYPE_CHECKING:
    from recdistill.features import Features
    from recdistill.serving.histories import Histories

PIECE = 1 << 16
"""Rows worked on together, so that what is made of them stays in the processor's cache."""


LARGE, MOST_PARTS = 1 << 20, 8
"""Keys that are worth a second thread, and how many threads are."""
USERS_AT_ONCE = 1 << 10
"""Whose rows are turned together; memory that is used for the first time costs more than the work on it."""


@dataclass(frozen=True, eq=False)
class Interactions:
    """A validated, encoded log: each (user, item) once, sorted by it, so that the order of the file plays no part."""

    users: Vocab
    items: Vocab
    user_rows: np.ndarray
    """int64 (n_rows,)"""
    item_rows: np.ndarray
    """int64 (n_rows,)"""
    times: np.ndarray | None = None
    """Seconds, int64, or float64 where the log has fractions."""
    values: np.ndarray | None = None
    """float32; no model is obliged to use them: every row is positive."""
    notes: tuple[str, ...] = ()
    """What was taken, dropped and counted on the way here, for people."""
    source: str = ""
    item_features: Features | None = None
    """What is known of items beside their use; no part of the hash, since no model is obliged to use them."""
    user_features: Features | None = None

    def __post_init__(self) -> None:
        for name in ("item_rows", "times", "values"):
            column = getattr(self, name)
            if column is not None and len(column) != self.n_rows:
                raise DataError(f"interactions: {name} has {len(column)} rows, user_rows {self.n_rows}.")
        for name, rows, size in (("user", self.user_rows, self.n_users), ("item", self.item_rows, self.n_items)):
            if self.n_rows and not 0 <= rows.min() <= rows.max() < size:
                raise DataError(f"interactions: {name} rows go from {rows.min()} to {rows.max()}; there are {size}.")
        if not (np.diff(pair_keys(self.user_rows, self.item_rows, self.n_items)) > 0).all():
            raise DataError("interactions: rows must be sorted by (user, item), each once. Use Interactions.from_rows.")

    def __repr__(self) -> str:
        beside = ("times", "values", "item_features", "user_features")
        told = ", ".join(name.replace("_", " ") for name in beside if getattr(self, name) is not None)
        size = f"{self.n_rows:,} rows; {self.n_users:,} users x {self.n_items:,} items"
        return f"Interactions({size}{f'; with {told}' if told else ''})"

    @classmethod
    def from_rows(
        cls,
        users: Vocab,
        items: Vocab,
        user_rows: np.ndarray,
        item_rows: np.ndarray,
        *,
        times: np.ndarray | None = None,
        values: np.ndarray | None = None,
        notes: tuple[str, ...] = (),
        source: str = "",
    ) -> Interactions:
        """From rows in any order; a repeated (user, item) is kept once, the last by time or place."""
        order = sorted_order(user_rows, item_rows, len(items), times)
        kept = order[last_of_each(pair_keys(user_rows, item_rows, len(items))[order])]
        if len(kept) < len(user_rows):
            notes = (*notes, f"{len(user_rows) - len(kept)} repeated (user, item) rows: the last of each is kept")
        rows = user_rows[kept].astype(np.int64), item_rows[kept].astype(np.int64)
        when, worth = (None if column is None else column[kept] for column in (times, values))
        return cls(users, items, *rows, when, worth, notes, source)

    @classmethod
    def from_ids(
        cls, user_ids: Iterable[Any], item_ids: Iterable[Any], times: Iterable[float] | None = None
    ) -> Interactions:
        """From external ids in memory; the vocabularies are in sorted order of id."""
        (users, user_rows), (items, item_rows) = _encode(user_ids), _encode(item_ids)
        when = None if times is None else np.asarray(times)
        return cls.from_rows(users, items, user_rows, item_rows, times=when, source="ids in memory")

    @property
    def n_users(self) -> int:
        return len(self.users)

    @property
    def n_items(self) -> int:
        return len(self.items)

    @property
    def n_rows(self) -> int:
        return len(self.user_rows)

    def of_users(self, user_rows: np.ndarray) -> Interactions:
        """What some users (rows, ascending) have used; all items stay."""
        places = np.full(self.n_users, -1, dtype=np.int64)
        places[user_rows] = np.arange(len(user_rows))
        kept = np.flatnonzero(places[self.user_rows] >= 0)
        return replace(
            self,
            users=self.users.subset(user_rows),
            user_rows=places[self.user_rows[kept]],
            item_rows=self.item_rows[kept],
            times=None if self.times is None else self.times[kept],
            values=None if self.values is None else self.values[kept],
        )

    def csr(self) -> csr_matrix:
        """Binary float32 (n_users, n_items), indices sorted; the same object at each call."""
        return self._csr

    def histories(self, user_rows: np.ndarray | None = None, *, ordered: bool = False) -> Histories:
        """What each of some users (default: all) has used; of nobody, a row of -1, nothing. `ordered`: with the items'
        places, where times are known."""
        from recdistill.serving.histories import Histories

        csr = self.csr()
        indptr = np.append(csr.indptr, csr.indptr[-1]).astype(np.int64)  # last, where -1 points, nobody
        found = Histories(indptr, csr.indices, None, self.places() if ordered else None)
        return found.take(slice(self.n_users) if user_rows is None else user_rows)

    def places(self) -> np.ndarray | None:
        """int32 (n_rows,), the place of each row from the end of its user's rows by time, 0 for the last; None without
        times. Of equal times the items' order is fixed, that of a mixing of their ids."""
        return self._places

    def sha256(self) -> str:
        """Hash of vocabularies and rows; neither the file's name nor the order of its rows enters."""
        return self._sha256

    @cached_property
    def _csr(self) -> csr_matrix:
        return binary_csr(self.user_rows, self.item_rows, (self.n_users, self.n_items))

    @cached_property
    def _places(self) -> np.ndarray | None:
        if self.times is None:
            return None
        from recdistill.data.order import by_user_and_time

        order = by_user_and_time(self.user_rows, self.times, self.item_rows, self.items)
        ends = np.cumsum(np.bincount(self.user_rows, minlength=self.n_users))
        places = np.empty(self.n_rows, np.int32)
        places[order] = ends[self.user_rows] - 1 - np.arange(self.n_rows)
        return places

    @cached_property
    def _sha256(self) -> str:
        digest = hashlib.sha256((self.users.sha256() + self.items.sha256()).encode())
        for name in ("user_rows", "item_rows", "times", "values"):
            column = getattr(self, name)
            if column is not None:
                digest.update(f"{name} {column.dtype.str}".encode())
                digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Unseen:
    """What people turned out to want of items that train does not know."""

    items: Vocab
    relevant: csr_matrix
    """(m, len(items))"""

    def __repr__(self) -> str:
        return f"Unseen({self.relevant.nnz:,} relevant rows of {len(self.items):,} items)"


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What the users of a valid or test part turned out to want: known users by row, then cold ones by id."""

    user_ids: np.ndarray
    """External ids (m,), int64 or object holding str."""
    user_rows: np.ndarray
    """int64 (m,) rows of train, -1 for a user who is not there."""
    relevant: csr_matrix
    """(m, n_items), the relevant items that train knows."""
    relevant_count: np.ndarray
    """int64 (m,); items that train does not know are counted too."""
    history: csr_matrix | None = None
    """(m, n_items), what these people are made of where train does not hold it; None: their rows of train."""
    relevant_times: np.ndarray | None = None
    """When each entry of `relevant` came, in its order, as `Interactions.times`; None: not known."""
    history_times: np.ndarray | None = None
    """The same of `history`."""
    unseen: Unseen | None = None
    """The relevant items that train does not know; None: which they are was not kept, or there are none."""

    def __post_init__(self) -> None:
        sizes = {len(self.user_ids), len(self.user_rows), self.relevant.shape[0], len(self.relevant_count)}
        if len(sizes) > 1:
            raise DataError(f"held-out part: its columns have different lengths, {sorted(sizes)}.")
        if self.history is not None and self.history.shape != self.relevant.shape:
            shapes = f"{self.history.shape}, the relevant items {self.relevant.shape}"
            raise DataError(f"held-out part: the histories have the shape {shapes}; give one of each for each user.")
        for name, matrix in (("relevant", self.relevant), ("history", self.history)):
            times, entries = getattr(self, f"{name}_times"), 0 if matrix is None else matrix.nnz
            if times is not None and len(times) != entries:
                raise DataError(f"held-out part: {len(times)} {name}_times for {entries} entries; give one for each.")
        known = np.diff(self.relevant.indptr)
        if (known > self.relevant_count).any():
            raise DataError("held-out part: a user has more known relevant items than relevant items.")
        if self.unseen is not None and (known + np.diff(self.unseen.relevant.indptr) != self.relevant_count).any():
            raise DataError("held-out part: the known and the unseen relevant items are not those that are counted.")

    def __len__(self) -> int:
        return len(self.user_ids)

    def __repr__(self) -> str:
        new = int((self.user_rows < 0).sum())
        people = f"{len(self):,} users{f', {new:,} of them not in train' if new else ''}"
        wanted = f"{int(self.relevant_count.sum()):,} relevant rows"
        return f"HeldOut({people}; {wanted} among {self.relevant.shape[1]:,} items of train)"

    def take(self, index: np.ndarray) -> HeldOut:
        """Some of the people, in any order, with all that is known of them."""
        return HeldOut(
            self.user_ids[index],
            self.user_rows[index],
            self.relevant[index],
            self.relevant_count[index],
            None if self.history is None else self.history[index],
            _times_at(self.relevant, self.relevant_times, index),
            _times_at(self.history, self.history_times, index),
            None if self.unseen is None else Unseen(self.unseen.items, self.unseen.relevant[index]),
        )


def _times_at(matrix: csr_matrix | None, times: np.ndarray | None, index: np.ndarray) -> np.ndarray | None:
    """Of chosen rows of a matrix the times of their entries."""
    if matrix is None or times is None:
        return None
    entries = csr_matrix((np.arange(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)[index].data
    found: np.ndarray = times[entries]
    return found


def pair_keys(user_rows: np.ndarray, item_rows: np.ndarray, n_items: int) -> np.ndarray:
    """One int64 for each (user, item), in their order."""
    return user_rows.astype(np.int64) * max(n_items, 1) + item_rows


def sorted_order(user_rows: np.ndarray, item_rows: np.ndarray, n_items: int, times: np.ndarray | None) -> np.ndarray:
    """The order by (user, item, time, place); the dear sort by time is done for repeated pairs only."""
    keys = pair_keys(user_rows, item_rows, n_items)
    order = stable_order(keys)
    if times is None:
        return order
    keys = keys[order]
    same = keys[1:] == keys[:-1]
    if same.any():
        repeated = np.flatnonzero(np.append(same, False) | np.append(False, same))
        rows = order[repeated]
        order[repeated] = rows[np.lexsort((times[rows], keys[repeated]))]
    return order


def stable_order(keys: np.ndarray) -> np.ndarray:
    """int64 places of `keys` (at least 0) in ascending order, equal ones by place.

    Key and place share one integer where both fit: plain numbers are sorted several times faster than places by key.
    """
    bits = max(len(keys) - 1, 0).bit_length()
    if len(keys) == 0 or int(keys.max()).bit_length() + bits > 63:
        return np.argsort(keys, kind="stable")
    packed = keys << bits
    packed |= np.arange(len(keys))
    packed.sort()
    packed &= (1 << bits) - 1
    return packed


def pair_csr(user_rows: np.ndarray, item_rows: np.ndarray, shape: tuple[int, int]) -> csr_matrix:
    """Binary float32 matrix of pairs (int32) in any order, each counted once.

    Pairs are sorted as plain numbers, the narrowest that hold them.
    """
    n_users, n_items = shape
    kind: Any = np.uint32 if n_users * n_items < 2**32 else np.uint64
    keys = np.empty(len(user_rows), dtype=kind)
    for start in range(0, len(keys), PIECE):
        piece = keys[start : start + PIECE]
        piece[:] = user_rows[start : start + PIECE]
        piece *= kind(n_items)
        piece += item_rows[start : start + PIECE].astype(kind)
    _sort(keys)
    new = first_of_each(keys)
    if not new.all():
        keys = keys[new]
    starts = np.arange(n_users, dtype=kind) * kind(n_items)
    ends = np.append(np.searchsorted(keys, starts), len(keys))
    for first in range(0, n_users, USERS_AT_ONCE):
        last = min(first + USERS_AT_ONCE, n_users)
        keys[ends[first] : ends[last]] -= np.repeat(starts[first:last], np.diff(ends[first : last + 1]))
    indptr = ends.astype(np.int32 if len(keys) < 2**31 else np.int64)
    return _binary(keys.view(np.int32) if kind is np.uint32 else keys.astype(np.int32), indptr, shape)


def _sort(keys: np.ndarray) -> None:
    """In place, on every core: parted first, in a sixteenth of the time that sorting takes, then each part sorted."""
    n_parts = min(cores(), MOST_PARTS)
    if n_parts == 1 or len(keys) < LARGE:
        keys.sort()
        return
    ends = [len(keys) * part // n_parts for part in range(1, n_parts)]
    keys.partition(ends)
    with ThreadPoolExecutor(n_parts) as threads:
        list(threads.map(np.ndarray.sort, np.split(keys, ends)))


def last_of_each(keys: np.ndarray) -> np.ndarray:
    """Mask of the last row of each run of equal `keys` (sorted)."""
    return np.append(keys[1:] != keys[:-1], True) if len(keys) else np.zeros(0, dtype=bool)


def first_of_each(keys: np.ndarray) -> np.ndarray:
    """Mask of the first row of each run of equal `keys` (sorted)."""
    return np.append(True, keys[1:] != keys[:-1]) if len(keys) else np.zeros(0, dtype=bool)


def binary_csr(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> csr_matrix:
    """float32 ones at pairs that are sorted by (row, column) and distinct."""
    indptr = np.zeros(shape[0] + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=shape[0]), out=indptr[1:])
    return _binary(columns, indptr, shape)


def _binary(indices: np.ndarray, indptr: np.ndarray, shape: tuple[int, int]) -> csr_matrix:
    matrix = csr_matrix((np.ones(len(indices), dtype=np.float32), indices, indptr), shape=shape, copy=False)
    matrix.has_sorted_indices = matrix.has_canonical_format = True
    return matrix


def _encode(ids: Iterable[Any]) -> tuple[Vocab, np.ndarray]:
    """The sorted vocabulary of a column in memory, and its rows."""
    distinct, rows = np.unique(id_array(ids), return_inverse=True)
    return Vocab(distinct), rows.astype(np.int64)
