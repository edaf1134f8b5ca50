"""Exact top-k over the whole catalogue, without ever holding users x items.

Scores are computed for a few users at a time by one matrix product, and the best are looked for in the maxima of blocks
of items: the k-th largest maximum is a floor that the k best all reach, and few others do. Of a large catalogue only
these maxima are kept, and the scores of the blocks that reach the floor are computed once more.

What comes first depends on nothing but the user and the item: a matrix product rounds differently in batches of
different sizes, so whatever lies above the floor less its error is scored again one by one in double precision.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from recdistill.cores import cores
from recdistill.errors import ConfigError, DataError
from recdistill.retrieval.scores import Asked, Products, Scores, scores_of
from recdistill.retrieval.selection import best_of_pairs, fixed_order, floor_of_kth, order_of
from recdistill.retrieval.single import LEAST, Single
from recdistill.retrieval.subset import Subset, is_among
from recdistill.retrieval.threads import share_out
from recdistill.serving.base import Scorer
from recdistill.serving.histories import Histories

SCORES_BYTES = 4_000_000
"""Of each thread's tile of scores; larger ones fall out of the processor's caches."""
ONE_THREAD = 200_000
"""Scores that are computed sooner than threads are started."""
BLOCK = 32
"""Items of which a large catalogue's scan keeps the largest score."""


def top_k(
    scorer: Scorer,
    histories: Histories,
    user_rows: np.ndarray | None,
    k: int,
    exclude: Histories | None = None,
    *,
    only: Subset | np.ndarray | None = None,
    tie_order: np.ndarray | None = None,
    batch: int = 1024,
) -> tuple[np.ndarray, np.ndarray]:
    """Item rows int64 (B, k) and scores float32 (B, k) of every user, best first, none of `exclude` among them.

    `only` are the item rows that may come, sorted or prepared as a `Subset`. Ties are broken by a fixed pseudo-random
    order of items, or by `tie_order`, a rank per item (lower first). Where fewer than k items remain the row ends in
    -1 / -inf: drop these, answers are never padded.
    """
    _check(scorer, histories, user_rows, k, exclude)
    subset = only if only is None or isinstance(only, Subset) else Subset(only, scorer.n_items)
    search = _Search(scorer, k, subset, tie_order)
    if len(histories) == 1 and tie_order is None and isinstance(search.source, Products):
        single = search.source.single
        if single is not None:
            return _alone(scorer, single, search, histories, user_rows, exclude)
    items = np.full((len(histories), k), -1, np.int64)
    found = np.full((len(histories), k), -np.inf, np.float32)
    step = max(1, min(batch, max(-(-len(histories) // cores()), ONE_THREAD // scorer.n_items)))

    def fill(starts: Iterable[int]) -> None:
        for start in starts:
            part = slice(start, min(start + step, len(histories)))
            seen = None if exclude is None else exclude.take(part)
            users = None if user_rows is None else user_rows[part]
            items[part], found[part] = search(histories.take(part), users, seen)

    share_out(range(0, len(histories), step), fill)
    return items, found


class _Search:
    """The k best among the items of one source of scores, for one batch of users after the other."""

    def __init__(self, scorer: Scorer, k: int, subset: Subset | None, tie_order: np.ndarray | None) -> None:
        self.scorer, self.k = scorer, k
        among = None if subset is None else subset.scores(scorer)
        self.source: Scores = scores_of(scorer) if among is None else among
        self.rows = None if subset is None or among is None else subset.rows
        """The items of the source where it does not hold all."""
        self.penalty = None if subset is None or among is not None else subset.penalty
        """Added to every score."""
        self.order = fixed_order(scorer.n_items) if tie_order is None else order_of(tie_order)

    def __call__(
        self, histories: Histories, user_rows: np.ndarray | None, seen: Histories | None
    ) -> tuple[np.ndarray, np.ndarray]:
        asked = self.source.ask(self.scorer, histories, user_rows)
        if seen is not None and self.rows is not None:
            seen = _among(seen, self.rows)
        items = np.full((len(histories), self.k), -1, np.int64)
        found = np.full((len(histories), self.k), -np.inf, np.float32)
        width = self.source.width
        step = max(1, min(len(histories), SCORES_BYTES // (4 * max(1, width))))
        buffer = np.empty((step, width), np.float32)
        for start in range(0, len(histories), step):
            part = slice(start, min(start + step, len(histories)))
            given = None if seen is None else seen.take(part)
            look = self._in_rows if width == self.source.n_items else self._in_tiles
            users, columns = look(asked, part, given, buffer[: part.stop - part.start])
            scores = asked.exact(users + start, columns)
            rows = columns if self.rows is None else self.rows[columns]
            items[part], found[part] = best_of_pairs(users, rows, scores, part.stop - start, self.k, self.order)
        return items, found

    def _in_rows(
        self, asked: Asked, part: slice, seen: Histories | None, scores: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of a user (counted from `part`) and an item that may be among the user's first k."""
        asked.fill(scores, part, 0, self.source.n_items)
        if self.penalty is not None:
            scores += self.penalty
        if seen is not None:
            scores[seen.users, seen.items] = -np.inf
        return _reaching(scores, _lowest(scores, self.k, asked.error[part]))

    def _in_tiles(
        self, asked: Asked, part: slice, seen: Histories | None, scores: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same, without ever holding whole rows of scores."""
        n_items, width = self.source.n_items, self.source.width
        blocks = width // BLOCK
        maxima = np.empty((len(scores), -(-n_items // width), blocks), np.float32)
        hidden = None if seen is None else _by_item(seen)
        for tile, start in enumerate(range(0, n_items, width)):
            stop = min(start + width, n_items)
            asked.fill(scores[:, : stop - start], part, start, stop)
            scores[:, stop - start :] = -np.inf
            if self.penalty is not None:
                scores[:, : stop - start] += self.penalty[start:stop]
            if hidden is not None:
                inside = slice(*np.searchsorted(hidden.items, (start, stop)))
                scores[hidden.users[inside], hidden.items[inside] - start] = -np.inf
            np.max(scores.reshape(-1, BLOCK, blocks), axis=1, out=maxima[:, tile])
        largest = maxima.reshape(len(scores), -1)
        lowest = _lowest(largest, self.k, asked.error[part])
        users, hits = _reaching(largest, lowest)
        firsts = (hits // blocks) * width + hits % blocks
        ends = np.searchsorted(users, np.arange(len(scores) + 1))
        found = []
        for user, limit in enumerate(lowest):
            items = (firsts[ends[user] : ends[user + 1], None] + blocks * np.arange(BLOCK)).ravel()
            own = None if seen is None else seen.items[seen.indptr[user] : seen.indptr[user + 1]]
            found.append(self._reaching_again(asked, part.start + user, items[items < n_items], own, limit))
        return np.repeat(np.arange(len(scores)), [len(items) for items in found]), np.concatenate(found)

    def _reaching_again(
        self, asked: Asked, user: int, items: np.ndarray, seen: np.ndarray | None, lowest: np.float32
    ) -> np.ndarray:
        scores = asked.roughly(user, items)
        if self.penalty is not None:
            scores = scores + self.penalty[items]
        items = items[scores >= lowest]
        return items if seen is None else items[~is_among(items, seen)]


class _ByItem(NamedTuple):
    users: np.ndarray
    items: np.ndarray


def _by_item(seen: Histories) -> _ByItem:
    order = np.argsort(seen.items, kind="stable")
    return _ByItem(seen.users[order], seen.items[order])


def _alone(
    scorer: Scorer,
    single: Single,
    search: _Search,
    histories: Histories,
    user_rows: np.ndarray | None,
    exclude: Histories | None,
) -> tuple[np.ndarray, np.ndarray]:
    queries = scorer.queries(histories, user_rows)
    stranger = bool(scorer.unknown(histories, user_rows)[0])
    seen = None if exclude is None else exclude if search.rows is None else _among(exclude, search.rows)
    found, values = single.best(
        queries[0], search.k, None if seen is None else seen.items, stranger=stranger, penalty=search.penalty
    )
    items, scores = np.full((1, search.k), -1, np.int64), np.full((1, search.k), -np.inf, np.float32)
    items[0, : len(found)] = found
    scores[0, : len(found)] = values
    return items, scores


def _lowest(scores: np.ndarray, k: int, error: np.ndarray) -> np.ndarray:
    """float32 (rows,) what a computed score must reach, so that the exact one may be among the k largest."""
    return np.maximum(floor_of_kth(scores, k) - 2 * error, LEAST).astype(np.float32)


def _reaching(scores: np.ndarray, lowest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns, row by row."""
    rows, columns = np.divmod(np.flatnonzero(scores >= lowest[:, None]), scores.shape[1])
    return rows, columns


def _among(seen: Histories, rows: np.ndarray) -> Histories:
    """The histories' items as places among `rows`; others are left out."""
    kept = is_among(seen.items, rows)
    indptr = np.zeros(len(seen) + 1, np.int64)
    np.cumsum(np.bincount(seen.users[kept], minlength=len(seen)), out=indptr[1:])
    return Histories(indptr, np.searchsorted(rows, seen.items[kept]))


def check_k(k: int, n_items: int) -> None:
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)):
        raise ConfigError(f"k={k!r}: must be a whole number, from 1 to the catalogue's {n_items} items.")
    if not 1 <= k <= n_items:
        raise ConfigError(f"k={k}: must lie between 1 and the catalogue's {n_items} items.")


def _check(
    scorer: Scorer, histories: Histories, user_rows: np.ndarray | None, k: int, exclude: Histories | None
) -> None:
    check_k(k, scorer.n_items)
    for name, given in (("user_rows", user_rows), ("exclude", exclude)):
        if given is not None and len(given) != len(histories):
            raise DataError(f"{name} is of {len(given)} users, the histories of {len(histories)}; give one for each.")
    if exclude is not None and len(exclude.items) and exclude.items.max() >= scorer.n_items:
        raise DataError(f"exclude: item row {exclude.items.max()} is outside a catalogue of {scorer.n_items} items.")
