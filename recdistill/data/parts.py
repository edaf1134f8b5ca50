"""Rows of a log, each with the part it falls into, made into train, valid and test without looking back from test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from recdistill.data.interactions import HeldOut, Interactions, binary_csr
from recdistill.data.log import TEST, TRAIN, VALID, Log
from recdistill.errors import DataError


def seeded_parts(user_rows: np.ndarray, n_users: int, shares: dict[int, float], seed: int) -> np.ndarray:
    """int8 part of each row (sorted by user): for users with >= 3 rows at least one row in every part, train too.

    The draw depends on the order of the rows, which is that of the ids: not on the file.
    """
    counts = np.bincount(user_rows, minlength=n_users)
    place = _random_places(user_rows, counts, np.random.default_rng(seed))
    parts = np.full(len(user_rows), TRAIN, dtype=np.int8)
    taken = np.zeros(n_users, dtype=np.int64)
    waiting = sum(share > 0 for share in shares.values())
    for part, share in shares.items():
        if share <= 0:
            continue
        waiting -= 1
        wanted = np.maximum(1, np.floor(share * counts + 0.5).astype(np.int64))
        take = np.where(counts >= 3, np.minimum(wanted, counts - taken - 1 - waiting), 0)
        start = taken[user_rows]
        parts[(place >= start) & (place < start + take[user_rows])] = part
        taken += take
    return parts


def train_part(log: Log, mask: np.ndarray) -> Interactions:
    """The train rows, each pair once, under vocabularies of what occurs in them."""
    rows = log.take(mask).unique()
    user_here = np.bincount(rows.user_rows, minlength=log.n_users) > 0
    item_here = np.bincount(rows.item_rows, minlength=log.n_items) > 0
    users, items = log.users.subset(np.flatnonzero(user_here)), log.items.subset(np.flatnonzero(item_here))
    user_rows, item_rows = (np.cumsum(user_here) - 1)[rows.user_rows], (np.cumsum(item_here) - 1)[rows.item_rows]
    return Interactions(users, items, user_rows, item_rows, rows.times, rows.values, log.notes, log.source)


def held_part(log: Log, mask: np.ndarray, train: Interactions) -> HeldOut:
    """What is held out for each user of some rows, in the rows of `train`."""
    rows = log.take(mask).unique()
    present = np.flatnonzero(np.bincount(rows.user_rows, minlength=log.n_users))
    known = train.users.rows(log.users.ids(present))
    order = np.concatenate([np.flatnonzero(known >= 0), np.flatnonzero(known < 0)])
    place = np.zeros(log.n_users, dtype=np.int64)
    place[present[order]] = np.arange(len(order))
    users, items = place[rows.user_rows], train.items.rows(log.items.ids())[rows.item_rows]
    seen = np.flatnonzero(items >= 0)
    seen = seen[np.lexsort((items[seen], users[seen]))]
    return HeldOut(
        log.users.ids(present[order]),
        known[order],
        binary_csr(users[seen], items[seen], (len(order), train.n_items)),
        np.bincount(users, minlength=len(order)),
    )


def without_pairs_before(log: Log, parts: np.ndarray) -> tuple[np.ndarray, int]:
    """Mask of the rows whose (user, item) is in no earlier part (train, valid, test), and how many are not.

    What a user took before the cut stays in train; what comes after may not reach back and remove it.
    """
    rank = np.array([0, 2, 1])[parts]  # TRAIN, TEST, VALID by time
    keys = log.keys()
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    earliest = np.minimum.reduceat(rank, starts)
    kept = rank == np.repeat(earliest, np.diff(np.append(starts, len(keys))))
    return kept, int((~kept).sum())


def refuse_missing_parts(log: Log, parts: np.ndarray, shares: dict[int, float], cure: str) -> None:
    """A log too small, or too coarse in time, to fill every part that was asked for."""
    asked = {TRAIN: 1.0} | shares
    for part, name in ((TRAIN, "train"), (VALID, "valid"), (TEST, "test")):
        if asked.get(part, 0) > 0 and not (parts == part).any():
            raise DataError(f"{log.source}: no rows are left for {name} out of {log.n_rows}. {cure}")


def hold_out_part(train: Interactions, share: float, seed: int) -> tuple[Interactions, HeldOut]:
    """A seeded share of each user's train rows as a valid part; the vocabularies stay."""
    parts = seeded_parts(train.user_rows, train.n_users, {VALID: share}, seed)
    held = parts == VALID
    if not held.any():
        raise DataError(
            f"{train.source}: no user has the 3 train rows that it takes to hold one out for choosing settings. "
            "Give a larger log, or valid rows of its own."
        )
    columns: dict[str, Any] = {name: getattr(train, name) for name in ("user_rows", "item_rows", "times", "values")}
    left: dict[str, Any] = {name: None if column is None else column[~held] for name, column in columns.items()}
    users, places = np.unique(train.user_rows[held], return_inverse=True)
    relevant = binary_csr(places, train.item_rows[held], (len(users), train.n_items))
    valid = HeldOut(train.users.ids(users), users, relevant, np.bincount(places, minlength=len(users)))
    return replace(train, **left), valid


def _random_places(user_rows: np.ndarray, counts: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """For each row (sorted by user) its place in a random order of the user's rows."""
    order = np.lexsort((generator.random(len(user_rows)), user_rows))
    starts = np.cumsum(counts) - counts
    place = np.empty(len(user_rows), dtype=np.int64)
    place[order] = np.arange(len(user_rows)) - starts[user_rows]
    return place
