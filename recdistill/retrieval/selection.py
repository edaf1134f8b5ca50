"""The k largest of each row of scores, ties broken by a fixed order of the columns."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from recdistill.mixing import splitmix64

BLOCKS = 12
"""Blocks for each item asked for, at least: with more the k best seldom share one, with fewer they are found sooner."""
WIDEST = 32
PAIRS = 2_000_000
"""Numbers of one temporary array of sorting keys."""
LOW = np.int64(0xFFFFFFFF)


def floor_of_kth(scores: np.ndarray, k: int) -> np.ndarray:
    """(rows,) a number that at least k scores of the row reach, and seldom many more; -inf where fewer are finite.

    It is the k-th largest of the maxima of blocks. A block is every n_blocks-th column, so that all maxima are taken in
    one sweep along contiguous memory.
    """
    n_columns = scores.shape[1]
    if k > n_columns:
        return np.full(len(scores), -np.inf, np.float32)
    width = min(WIDEST, n_columns // (BLOCKS * k))
    if width > 1:
        n_blocks = n_columns // width
        scores = scores[:, : n_blocks * width].reshape(-1, width, n_blocks).max(axis=1)
    place = scores.shape[1] - k
    return np.partition(scores, place, axis=1)[:, place]


class Order(NamedTuple):
    """Which of two items with the same score comes first."""

    place: np.ndarray
    """int64 (n,) of each item, 0 for the one that goes before all others"""
    item: np.ndarray
    """The inverse of `place`."""


@lru_cache(maxsize=4)
def fixed_order(n: int) -> Order:
    """The order of `tie_ranks`, made once for a catalogue of n items."""
    return order_of(tie_ranks(np.arange(n)))


def order_of(ranks: np.ndarray) -> Order:
    """The order of a rank per item, lower first."""
    item = np.argsort(ranks, kind="stable")
    place = np.empty_like(item)
    place[item] = np.arange(len(item))
    return Order(place, item)


def best_of_pairs(
    users: np.ndarray, items: np.ndarray, scores: np.ndarray, batch: int, k: int, order: Order
) -> tuple[np.ndarray, np.ndarray]:
    """The k best (batch, k) of pairs of a user and an item, sorted; `users` rises, any user may have any number.

    Where there are fewer than k the rest is -1 and -inf. Score and tie order are packed into one whole number each, so
    that a plain sort puts both right and both can be read from it again.
    """
    found, values = np.full((batch, k), -1, np.int64), np.full((batch, k), -np.inf, np.float32)
    counts = np.bincount(users, minlength=batch)
    ends = np.cumsum(counts)
    keys = (_rising(scores) << np.int64(32)) | (LOW - order.place[items])
    start = 0
    while start < batch:
        stop, widest = _part(counts, start)
        pairs = slice(ends[start] - counts[start], ends[stop - 1])
        grid = np.full((stop - start, max(widest, 1)), np.iinfo(np.int64).min)
        within = np.arange(pairs.start, pairs.stop) - (ends - counts)[users[pairs]]
        grid[users[pairs] - start, within] = keys[pairs]
        best = np.sort(grid, axis=1)[:, ::-1][:, :k]
        there = best != np.iinfo(np.int64).min
        found[start:stop, : best.shape[1]][there] = order.item[LOW - (best[there] & LOW)]
        values[start:stop, : best.shape[1]][there] = _falling(best[there] >> np.int64(32))
        start = stop
    return found, values


def _part(counts: np.ndarray, start: int) -> tuple[int, int]:
    """Where the next users end whose keys fit into one grid, and its width."""
    widest = np.maximum.accumulate(counts[start:])
    fits = int(np.searchsorted(widest * np.arange(1, len(widest) + 1), PAIRS, side="right"))
    fits = max(1, fits)
    return start + fits, int(widest[fits - 1])


def _rising(scores: np.ndarray) -> np.ndarray:
    """int64 numbers of 32 bits that order as the float32 scores do; -0 and 0 are one."""
    bits = (scores + np.float32(0)).view(np.int32).astype(np.int64)
    return np.where(bits < 0, bits ^ np.int64(0x7FFFFFFF), bits)


def _falling(rising: np.ndarray) -> np.ndarray:
    bits = np.where(rising < 0, rising ^ np.int64(0x7FFFFFFF), rising)
    return bits.astype(np.int32).view(np.float32)


def tie_ranks(columns: np.ndarray) -> np.ndarray:
    """float64 ranks, lower first: a mixing of the column's number, the same everywhere."""
    return (splitmix64(columns) >> np.uint64(11)).astype(np.float64)  # 53 bits: exact as a float
