"""The best items for query vectors, exact or approximate at a measured recall: as many as are asked for and exist."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from weakref import WeakKeyDictionary

import numpy as np

from recdistill.errors import ConfigError, DataError
from recdistill.retrieval.exact import top_k
from recdistill.retrieval.faiss_index import FaissIndex
from recdistill.retrieval.items import Items, Queries, query_vectors
from recdistill.retrieval.kinds import AUTO, FLAT
from recdistill.retrieval.measured import Measured
from recdistill.retrieval.rows import products
from recdistill.retrieval.selection import best_of_pairs, fixed_order
from recdistill.retrieval.subset import Subset
from recdistill.serving.histories import Histories
from recdistill.tables.codecs import CodedTable

EXACT_SHARE = 0.1
"""Where no more of the items than this may come, reading all of these is sooner done than looking in the index for so
many more candidates."""
ORDERED = 4
"""Items beyond k that are scored in double precision, for those that rounding puts into another order."""


@dataclass(frozen=True)
class Settings:
    """How far an index looks, as it was measured to be enough."""

    effort: int | None = None
    """Lists or nodes looked at."""
    spread: int = 1
    """Candidates for each item asked for."""


class Retriever:
    """Threads may share one; `add` and `remove` change it between two searches, never within one."""

    def __init__(
        self,
        items: Items,
        index: FaissIndex | None = None,
        settings: Settings | None = None,
        *,
        kind: str = FLAT,
        measured: Measured | None = None,
        removed: np.ndarray | None = None,
        threads: int | None = None,
    ) -> None:
        self.kind, self.index, self.settings = kind, index, settings or Settings()
        self.measured, self.threads = measured, threads
        """What was found out when it was built; None where nothing was."""
        self._state = _State(items, _rows(removed, len(items)))
        self._lock = threading.Lock()

    @classmethod
    def build(
        cls,
        vectors: np.ndarray | CodedTable,
        *,
        bias: np.ndarray | None = None,
        kind: str = AUTO,
        queries: np.ndarray | None = None,
        k: int = 20,
        recall: float = 0.99,
        seed: int = 0,
        threads: int | None = None,
    ) -> Self:
        """Over item vectors (n_items, dimension), or over a stored table, which is searched as it is stored.

        `kind` is flat, sq8, ivf_flat, ivf_sq8, ivf_pq, hnsw, a factory string of FAISS, or auto: of these the one that
        answers soonest and holds `recall` at k for `queries` (some, dimension), of which a half sets the index and the
        other is the proof. Without queries they are made up from the items. `measured` says what came out. Raises
        ConfigError where no setting of a named kind holds the recall, DataError for vectors that are not finite.
        """
        from recdistill.retrieval.auto import built

        table = vectors if isinstance(vectors, CodedTable) else CodedTable.of(vectors)
        items = Items(item_table=table, item_bias=None if bias is None else np.asarray(bias, np.float32))
        asked = None if queries is None else query_vectors(queries, items.dimension)
        found = built(items, kind=kind, queries=asked, k=k, recall=recall, seed=seed, threads=threads)
        return cls(items, found.index, found.settings, kind=found.kind, measured=found.measured, threads=threads)

    def __len__(self) -> int:
        """How many items may come."""
        state = self._state
        return len(state.items) - len(state.removed)

    @property
    def items(self) -> Items:
        return self._state.items

    @property
    def removed(self) -> np.ndarray:
        """Rows that never come, sorted."""
        return self._state.removed

    @property
    def nbytes(self) -> int:
        """Bytes that the index adds to the table it searches."""
        return 0 if self.index is None else self.index.nbytes

    def subset(self, only: np.ndarray | Iterable[int]) -> Subset:
        """Rows, or a bool for each item, prepared once to be given as `only` to many searches."""
        return _subset(only, len(self.items))

    def search(
        self,
        queries: np.ndarray,
        k: int,
        *,
        exclude: Histories | None = None,
        only: Subset | np.ndarray | Iterable[int] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Item rows int64 (B, k) and scores float32 (B, k) of queries (B, dimension), best first, ties by the fixed
        order of `retrieval.exact`.

        None of `exclude` (one history for each query) is among them, nor any item that was removed; with `only` (rows,
        a bool for each item, or a `subset`) no other item. There are k wherever k items are left; else the row ends in
        -1 / -inf. Which items come may be approximate, their scores are exact.
        """
        state = self._state
        queries = query_vectors(queries, state.items.dimension)
        _check(state.items, queries, k, exclude)
        allowed = state.allowed(None if only is None else _subset(only, len(state.items)))
        share = 1.0 if allowed is None else len(allowed) / len(state.items)
        if self.index is None or share <= EXACT_SHARE:
            return top_k(state.items, Queries(queries), None, k, exclude, only=allowed)
        rows, scores = np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf, np.float32)
        for users in _alike(exclude, len(queries)):
            seen = None if exclude is None else exclude.take(users)
            rows[users], scores[users] = self._approximate(state, queries[users], k, seen, allowed, share)
        left = len(state.items) if allowed is None else len(allowed)
        short = np.flatnonzero(rows[:, -1] < 0)
        if exclude is not None and len(short):  # those who have seen so much that there are not k, or may not be
            short = short[_left(exclude.take(short), allowed, left) > (rows[short] >= 0).sum(axis=1)]
        elif left < k:
            short = short[(rows[short] >= 0).sum(axis=1) < left]
        if len(short):
            seen = None if exclude is None else exclude.take(short)
            rows[short], scores[short] = top_k(state.items, Queries(queries[short]), None, k, seen, only=allowed)
        return rows, scores

    def _approximate(
        self, state: _State, queries: np.ndarray, k: int, seen: Histories | None, allowed: Subset | None, share: float
    ) -> tuple[np.ndarray, np.ndarray]:
        assert self.index is not None
        longest = 0 if seen is None else int(seen.lengths.max(initial=0))
        wanted = k + longest
        count = int((self.settings.spread * k + longest + ORDERED) / share) + 1
        picked = self.index.candidates(queries, count, self._effort(share), self.threads)
        tail = np.arange(len(self.index), len(state.items))  # what was added since the index was built
        if len(tail):
            added, _ = top_k(
                state.items, Queries(queries), None, min(wanted, len(tail)), only=state.tail(len(self.index))
            )
            picked = np.concatenate([picked, added], axis=1)
        if allowed is not None:
            picked = np.where(allowed.penalty[picked] == 0, picked, -1)
        rough = products(state.items.item_table, queries, picked)
        if state.items.biases is not None:
            rough += state.items.biases[picked]  # -inf stays so
        kept = min(wanted + ORDERED, picked.shape[1])
        if kept < picked.shape[1]:
            chosen = np.argpartition(rough, picked.shape[1] - kept, axis=1)[:, picked.shape[1] - kept :]
            picked = np.take_along_axis(picked, chosen, axis=1)
        if seen is not None:
            picked = np.where(_among(seen, picked, len(state.items)), -1, picked)
        users, places = np.nonzero(picked >= 0)
        rows = picked[users, places]
        order = fixed_order(len(state.items))
        return best_of_pairs(users, rows, state.exact(queries, users, rows), len(queries), k, order)

    def _effort(self, share: float) -> int | None:
        """Further where some items may not come, as then the best lie deeper."""
        most, effort = self.index.effort_most if self.index else None, self.settings.effort
        return effort if effort is None or most is None else min(most, max(effort, round(effort / share**0.5)))

    def add(self, vectors: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
        """The rows (int64) of new items, which follow those that are there; vectors (some, dimension).

        They are read one by one beside the index until it is built again. Each call copies the table, so give many.
        """
        with self._lock:
            state = self._state
            items = state.items.with_more(np.asarray(vectors, np.float32), bias)
            self._state = _State(items, state.removed)
            return np.arange(len(state.items), len(items))

    def remove(self, rows: Iterable[int] | np.ndarray) -> None:
        """Items that never come again; rows keep their meaning."""
        with self._lock:
            state = self._state
            gone = _rows(rows, len(state.items))
            self._state = _State(state.items, np.union1d(state.removed, gone))

    def copy(self) -> Self:
        """Another over the same arrays; what is added to it or removed from it does not touch this one."""
        other = copy.copy(self)
        other._lock = threading.Lock()
        return other

    def save(self, folder: str | Path) -> Path:
        """Write the index, what was measured, and the vectors. Raises ArtifactError where the disk refuses."""
        from recdistill.retrieval.stored import save

        return save(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path, mmap: bool = True, *, items: Items | None = None) -> Self:
        """`mmap` leaves the index on disk until it is read; `items` are given where an artifact holds the vectors.
        Raises ArtifactError for a folder that `save` did not write."""
        from recdistill.retrieval.stored import load

        return load(cls, Path(folder), mmap=mmap, items=items)


class _State:
    """Items and who of them may come: replaced as a whole, so that a search sees the one or the other."""

    def __init__(self, items: Items, removed: np.ndarray) -> None:
        self.items, self.removed = items, removed
        present = np.setdiff1d(np.arange(len(items)), removed, assume_unique=True) if len(removed) else None
        self._present = None if present is None else Subset(present, len(items))
        self._made: WeakKeyDictionary[Subset, Subset] = WeakKeyDictionary()
        self._tail: Subset | None = None

    def allowed(self, only: Subset | None) -> Subset | None:
        if only is None or self._present is None:
            return self._present if only is None else only
        if only not in self._made:
            rows = np.setdiff1d(only.rows, self.removed, assume_unique=True)
            self._made[only] = Subset(rows, len(self.items))
        return self._made[only]

    def tail(self, start: int) -> Subset:
        if self._tail is None:
            self._tail = Subset(np.arange(start, len(self.items)), len(self.items))
        return self._tail

    def exact(self, queries: np.ndarray, users: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """float32 (pairs,), the same in any batch: as `retrieval.exact` has them."""
        from recdistill.retrieval.scores import scores_of

        return scores_of(self.items).ask(self.items, Queries(queries), None).exact(users, rows)


def _check(items: Items, queries: np.ndarray, k: int, exclude: Histories | None) -> None:
    if not 1 <= k <= len(items):
        raise ConfigError(f"k={k}: must lie between 1 and the catalogue's {len(items)} items.")
    if exclude is not None and len(exclude) != len(queries):
        raise DataError(f"exclude is of {len(exclude)} users for {len(queries)} queries; give one for each.")
    if exclude is not None and len(exclude.items) and exclude.items.max() >= len(items):
        raise DataError(f"exclude: item row {exclude.items.max()} is outside a catalogue of {len(items)} items.")


def _alike(exclude: Histories | None, batch: int) -> Iterator[np.ndarray]:
    """Positions of queries whose histories are about equally long: each asks for as many more as the longest."""
    if exclude is None:
        yield np.arange(batch)
        return
    sizes = np.ceil(np.log2(np.maximum(exclude.lengths, 16))).astype(int)
    for size in np.unique(sizes):
        yield np.flatnonzero(sizes == size)


def _among(histories: Histories, rows: np.ndarray, n_items: int) -> np.ndarray:
    """(B, m) bool: whether the row is in the user's history."""
    if not len(histories.items):
        return np.zeros(rows.shape, bool)
    keys = histories.users * n_items + histories.items
    asked = np.arange(len(rows))[:, None] * n_items + rows
    place = np.searchsorted(keys, asked).clip(max=len(keys) - 1)
    inside: np.ndarray = (keys[place] == asked) & (rows >= 0)
    return inside


def _left(exclude: Histories, allowed: Subset | None, total: int) -> np.ndarray:
    """(B,) how many items each user may still get."""
    inside = np.ones(len(exclude.items), bool) if allowed is None else allowed.penalty[exclude.items] == 0
    return total - np.bincount(exclude.users[inside], minlength=len(exclude))


def _subset(only: Subset | np.ndarray | Iterable[int], n_items: int) -> Subset:
    if isinstance(only, Subset):
        if only.n_items != n_items:
            raise DataError(f"only: prepared for {only.n_items} items, there are {n_items}. Prepare it again.")
        return only
    given = only if isinstance(only, np.ndarray) else np.asarray(list(only), np.int64)
    if given.dtype == bool:
        if given.shape != (n_items,):
            raise DataError(f"only: a mask must have the shape ({n_items},), found {given.shape}.")
        return Subset(np.flatnonzero(given), n_items)
    return Subset(_rows(given, n_items), n_items)


def _rows(rows: Iterable[int] | np.ndarray | None, n_items: int) -> np.ndarray:
    """Sorted and distinct."""
    given = np.asarray([] if rows is None else rows if isinstance(rows, np.ndarray) else list(rows))
    if given.size and (given.ndim != 1 or given.dtype.kind not in "iu"):
        raise DataError(f"item rows must be a list of whole numbers, found {given.dtype} of shape {given.shape}.")
    distinct = np.unique(given.astype(np.int64))
    if len(distinct) and (distinct[0] < 0 or distinct[-1] >= n_items):
        raise DataError(f"item rows must lie in 0..{n_items - 1}, found {distinct[0]}..{distinct[-1]}.")
    return distinct
