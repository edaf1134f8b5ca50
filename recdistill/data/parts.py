"""Rows of a log, each with the part it falls into, made into train, valid and test without looking back from test."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from recdistill.data.interactions import HeldOut, Interactions, Unseen, binary_csr
from recdistill.data.log import TEST, TRAIN, VALID, Log
from recdistill.data.per_user import first_of_pairs, seeded_parts, share_counts
from recdistill.errors import DataError


@dataclass(frozen=True, eq=False)
class TrainPart:
    """The train rows of a log, and where its users and items are among them."""

    train: Interactions
    user_rows: np.ndarray
    """int64 (users of the log,): the row in train, -1 where it is not there."""
    item_rows: np.ndarray


def train_part(log: Log, mask: np.ndarray) -> TrainPart:
    """The train rows, each pair once, under vocabularies of what occurs in them."""
    rows = log.take(np.flatnonzero(mask))  # places are taken three times as fast as a mask
    rows = rows if first_of_pairs(rows).all() else rows.unique()
    users, items = _present(rows.user_rows, log.n_users), _present(rows.item_rows, log.n_items)
    user_vocab, item_vocab = log.users.subset(np.flatnonzero(users >= 0)), log.items.subset(np.flatnonzero(items >= 0))
    train = Interactions(
        user_vocab, item_vocab, users[rows.user_rows], items[rows.item_rows], rows.times, rows.values,
        log.notes, log.source, log.item_features, log.user_features,
    )  # fmt: skip
    return TrainPart(train, users, items)


def held_part(log: Log, mask: np.ndarray, known: TrainPart, history: np.ndarray | None = None) -> HeldOut:
    """What is held out for each user of some rows, in the rows of train; `history` (mask): what these are made of.

    Without `history` people are those of train, the others last.
    """
    user_rows, item_rows, times = _pairs(log, mask)
    present = np.flatnonzero(np.bincount(user_rows, minlength=log.n_users))
    train_rows = known.user_rows[present]
    order = np.argsort(train_rows < 0, kind="stable")
    place = np.full(log.n_users, -1, dtype=np.int64)
    place[present[order]] = np.arange(len(order))
    shape = len(order), known.train.n_items
    relevant, relevant_times = _csr(place[user_rows], known.item_rows[item_rows], shape, times)
    own, own_times = (None, None) if history is None else _history(*_pairs(log, history), place, known, shape)
    counts = np.bincount(place[user_rows], minlength=len(order))
    unseen = _unseen(log, place[user_rows], item_rows, known, len(order))
    return HeldOut(
        log.users.ids(present[order]), train_rows[order], relevant, counts, own, relevant_times, own_times, unseen
    )


def refuse_missing_parts(log: Log, parts: np.ndarray, wanted: tuple[int, ...], cure: str) -> None:
    """A log too small, or too coarse in time, to fill every part that was asked for."""
    for part, name in ((TRAIN, "train"), (VALID, "valid"), (TEST, "test")):
        if part in wanted and not (parts == part).any():
            raise DataError(f"{log.source}: no rows are left for {name} out of {log.n_rows}. {cure}")


def hold_out_part(train: Interactions, share: float, seed: int) -> tuple[Interactions, HeldOut]:
    """A seeded share of each user's train rows as a valid part; the vocabularies stay."""
    counts = np.bincount(train.user_rows, minlength=train.n_users)
    held = seeded_parts(train.user_rows, counts, share_counts(counts, {VALID: share}), seed) == VALID
    if not held.any():
        raise DataError(
            f"{train.source}: no user has the 3 train rows that it takes to hold one out for choosing settings. "
            "Give a larger log, or valid rows of its own."
        )
    columns: dict[str, Any] = {name: getattr(train, name) for name in ("user_rows", "item_rows", "times", "values")}
    left: dict[str, Any] = {name: None if column is None else column[~held] for name, column in columns.items()}
    users, places = np.unique(train.user_rows[held], return_inverse=True)
    relevant = binary_csr(places, train.item_rows[held], (len(users), train.n_items))
    counts = np.bincount(places, minlength=len(users))
    times = None if train.times is None else train.times[held]
    valid = HeldOut(train.users.ids(users), users, relevant, counts, relevant_times=times)
    return replace(train, **left), valid


def _present(rows: np.ndarray, size: int) -> np.ndarray:
    """int64 (size,): a new row for each one that occurs, in order; -1 for the others."""
    here = np.bincount(rows, minlength=size) > 0
    return np.where(here, np.cumsum(here) - 1, -1)


def _pairs(log: Log, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """User and item rows of some rows of an ordered log, each pair once, and when it came last."""
    at = np.flatnonzero(mask)
    users, items = log.user_rows[at], log.item_rows[at]
    last = np.append((users[1:] != users[:-1]) | (items[1:] != items[:-1]), True)[: len(at)]
    at = at if last.all() else at[last]
    return log.user_rows[at], log.item_rows[at], None if log.times is None else log.times[at]


def _history(
    user_rows: np.ndarray,
    item_rows: np.ndarray,
    times: np.ndarray | None,
    place: np.ndarray,
    known: TrainPart,
    shape: tuple[int, int],
) -> tuple[csr_matrix, np.ndarray | None]:
    users, items = place[user_rows], known.item_rows[item_rows]
    there = users >= 0
    return _csr(users[there], items[there], shape, None if times is None else times[there])


def _unseen(log: Log, users: np.ndarray, item_rows: np.ndarray, known: TrainPart, n_users: int) -> Unseen | None:
    """Of the items of the log those that train does not know."""
    new = np.flatnonzero(known.item_rows[item_rows] < 0)
    if not len(new):
        return None
    items, columns = np.unique(item_rows[new], return_inverse=True)
    order = np.lexsort((columns, users[new]))
    return Unseen(log.items.subset(items), binary_csr(users[new][order], columns[order], (n_users, len(items))))


def _csr(
    users: np.ndarray, items: np.ndarray, shape: tuple[int, int], times: np.ndarray | None
) -> tuple[csr_matrix, np.ndarray | None]:
    """Binary (m, n_items) of what train knows, and the times of its entries; items of -1 are left out."""
    seen = np.flatnonzero(items >= 0)
    seen = seen[np.argsort(users[seen] * max(shape[1], 1) + items[seen])]
    return binary_csr(users[seen], items[seen], shape), None if times is None else times[seen]
