"""Which rows of each user fall into which part: drawn by a seed, or the last ones by time."""

from __future__ import annotations

import numpy as np

from recdistill.data.log import TEST, TRAIN, VALID, Log
from recdistill.data.order import by_user_and_time

AT_LEAST = 3
"""Rows of a user who can give some away."""
DROPPED = -1
"""The part of a row that is in none: it repeats after a cut what came before it."""

Counts = dict[int, np.ndarray]
"""Part to the number of rows that each user gives to it, (n_users,)."""


def share_counts(counts: np.ndarray, shares: dict[int, float]) -> Counts:
    """How many of a user's rows go to each part: its share, at least one, and one is left to train.

    `counts` (n_users,); users with fewer than 3 rows give none.
    """
    taken = np.zeros(len(counts), dtype=np.int64)
    waiting = sum(share > 0 for share in shares.values())
    found: Counts = {}
    for part, share in shares.items():
        if share <= 0:
            continue
        waiting -= 1
        wanted = np.maximum(1, np.floor(share * counts + 0.5).astype(np.int64))
        found[part] = np.where(counts >= AT_LEAST, np.minimum(wanted, counts - taken - 1 - waiting), 0)
        taken += found[part]
    return found


def seeded_parts(user_rows: np.ndarray, counts: np.ndarray, take: Counts, seed: int) -> np.ndarray:
    """int8 part of each row (sorted by user): so many of each user's rows, drawn, are in each part of `take`.

    The draw depends on the order of the rows, which is that of the ids: not on the file.
    """
    return _dealt(_random_places(user_rows, counts, np.random.default_rng(seed)), user_rows, take)


def timed_parts(log: Log, counts: np.ndarray, take: Counts) -> np.ndarray:
    """int8 part of each row of an ordered log with times: each user's last pairs are in test, those before in valid.

    A pair stands where it came first; its later rows after a cut of that user are DROPPED. Pairs of the same time are
    in a fixed order, that of a mixing of the items' ids. `counts` (n_users,): pairs of each user.
    """
    assert log.times is not None
    first = first_of_pairs(log)
    at = np.flatnonzero(first)
    users, items, times = log.user_rows[at], log.item_rows[at], log.times[at]
    order = by_user_and_time(users, times, items, log.items)
    starts = np.cumsum(counts) - counts
    from_end = np.empty(len(at), dtype=np.int64)
    from_end[order] = (starts + counts - 1)[users[order]] - np.arange(len(at))
    of_pair = _dealt(from_end, users, {part: take[part] for part in (TEST, VALID) if part in take})
    if len(at) == log.n_rows:
        return of_pair
    parts = np.repeat(of_pair, np.diff(np.append(at, log.n_rows)))
    held_from = _begins(users, times, of_pair != TRAIN, log.n_users)
    test_from = _begins(users, times, of_pair == TEST, log.n_users)
    ends = np.where(parts == TRAIN, held_from[log.user_rows], test_from[log.user_rows])
    parts[~first & (parts != TEST) & (log.times >= ends)] = DROPPED
    return parts


def first_of_pairs(log: Log) -> np.ndarray:
    """Mask of the first row of each (user, item) of an ordered log."""
    users, items = log.user_rows, log.item_rows
    return np.append(True, (users[1:] != users[:-1]) | (items[1:] != items[:-1]))


def _dealt(place: np.ndarray, user_rows: np.ndarray, take: Counts) -> np.ndarray:
    """int8 parts: a user's places 0.. go to the first part of `take`, the next to the second, the rest to train."""
    parts = np.full(len(user_rows), TRAIN, dtype=np.int8)
    start = np.zeros(1, dtype=np.int64)
    for part, count in take.items():
        start, end = np.broadcast_to(start, count.shape), start + count
        parts[(place >= start[user_rows]) & (place < end[user_rows])] = part
        start = end
    return parts


def _random_places(user_rows: np.ndarray, counts: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """For each row (sorted by user) its place in a random order of the user's rows."""
    keys = generator.random(len(user_rows))
    keys *= 2.0**32
    order = np.argsort((user_rows.astype(np.int64) << 32) | keys.astype(np.int64), kind="stable")
    starts = np.cumsum(counts) - counts
    place = np.empty(len(user_rows), dtype=np.int64)
    place[order] = np.arange(len(user_rows)) - starts[user_rows]
    return place


def _begins(users: np.ndarray, times: np.ndarray, members: np.ndarray, n_users: int) -> np.ndarray:
    """float64 (n_users,): the earliest time among each user's members; never, where there are none."""
    begins = np.full(n_users, np.inf)
    np.minimum.at(begins, users[members], times[members])
    return begins
