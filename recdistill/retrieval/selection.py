"""The k largest of each row of scores, ties broken by a fixed order of the columns."""

from __future__ import annotations

import numpy as np

MORE = 4
"""How many items above k are looked at, to see ties and near ties at the cut-off."""


def candidates(scores: np.ndarray, count: int) -> np.ndarray:
    """Columns (rows, count) of the `count` largest scores of each row, in no order.

    They lie in the `count` blocks with the largest maxima. A block is every n_blocks-th column, so that all maxima are
    taken in one sweep along contiguous memory.
    """
    n_rows, n_columns = scores.shape
    width = int(np.sqrt(n_columns / count))
    if width < 2:
        return _largest(scores, count)
    n_blocks = n_columns // width
    whole = n_blocks * width
    maxima = scores[:, :whole].reshape(n_rows, width, n_blocks).max(axis=1)
    blocks = _largest(maxima, count)
    columns = (blocks[:, None, :] + n_blocks * np.arange(width)[:, None]).reshape(n_rows, -1)
    rest = np.broadcast_to(np.arange(whole, n_columns), (n_rows, n_columns - whole))
    columns = np.concatenate([columns, rest], axis=1)
    return np.take_along_axis(columns, _largest(np.take_along_axis(scores, columns, axis=1), count), axis=1)


def best_of_few(
    columns: np.ndarray, scores: np.ndarray, k: int, tie_order: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """The k best of a few candidates per row, sorted; `columns` and `scores` are (rows, candidates)."""
    order = np.lexsort((tie_ranks(columns, tie_order), -scores), axis=-1)[:, :k]
    return np.take_along_axis(columns, order, axis=1), np.take_along_axis(scores, order, axis=1)


def best_of_dense(scores: np.ndarray, k: int, tie_order: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The same of whole rows, for ties of any size: all above the k-th score, then its equals in the fixed order."""
    kth = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]
    ranks = tie_ranks(np.arange(scores.shape[1]), tie_order)
    keys = np.where(scores > kth, -np.inf, np.where(scores == kth, ranks, np.inf))
    columns = np.argpartition(keys, k - 1, axis=1)[:, :k]
    return best_of_few(columns, np.take_along_axis(scores, columns, axis=1), k, tie_order)


def tie_ranks(columns: np.ndarray, tie_order: np.ndarray | None = None) -> np.ndarray:
    """float64 ranks, lower first: those given, or a mixing of the column's number (splitmix64), the same everywhere."""
    if tie_order is not None:
        return tie_order[columns].astype(np.float64)
    mixed = columns.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)).astype(np.float64)  # 53 bits: exact as a float


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """Columns (rows, count) of the largest values."""
    n = values.shape[1]
    if count == n:
        return np.broadcast_to(np.arange(n), values.shape)
    return np.argpartition(values, n - count, axis=1)[:, n - count :]
