"""One bit for each thing that is there: which rows, or which columns of a row."""

from __future__ import annotations

import numpy as np

ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1, dtype=np.uint8)
"""How many bits of a byte are set."""


def marked(marks: np.ndarray) -> np.ndarray:
    """uint8 (…, ⌈n / 8⌉) of bool (…, n), the lowest bit first."""
    return np.packbits(marks, axis=-1, bitorder="little")


def unmarked(packed: np.ndarray, count: int) -> np.ndarray:
    """bool (…, count), as they were before `marked`."""
    return np.unpackbits(packed, axis=-1, count=count, bitorder="little").astype(bool)


def places(packed: np.ndarray, count: int, index: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
    """Of the rows at `index`, of `count` in all: bool whether they are marked, and which of their kind, marked or not,
    they are, the first 0. What is asked for costs, and an eighth of an operation for each row before."""
    rows = np.arange(*index.indices(count)) if isinstance(index, slice) else _from_the_start(index, count)
    first, last = (int(rows.min()) >> 3, int(rows.max()) >> 3) if len(rows) else (0, 0)
    ones = ONES.take(packed[: last + 1])
    before = ones[:first].sum(dtype=np.int64) + ones[first:].cumsum(dtype=np.int64) - ones[first:]  # of each byte
    byte, bit = rows >> 3, rows & 7
    held = packed[byte]
    up_to = before[byte - first] + ONES[held & (1 << bit) - 1]  # marked rows before each
    heads = (held >> bit & 1).astype(bool)
    return heads, np.where(heads, up_to, rows - up_to)


def _from_the_start(index: np.ndarray, count: int) -> np.ndarray:
    """With those that count from the end, as NumPy reads them, counted from the start."""
    rows = np.where(np.asarray(index) < 0, np.asarray(index) + count, index)
    if len(rows) and not 0 <= rows.min() <= rows.max() < count:
        raise IndexError(f"rows {rows.min()} to {rows.max()} of a table of {count}")
    return rows


def marks_bytes(count: int) -> int:
    return -(-count // 8)


def share_of(rows: int, share: int) -> int:
    """`share` percent of so many rows, rounded up."""
    return -(-rows * share // 100)


def heads_of(weights: np.ndarray, share: int) -> np.ndarray:
    """bool (n,): `share` percent of the rows, those that weigh most, the first of equals."""
    heads = np.zeros(len(weights), bool)
    heads[np.argsort(-weights, kind="stable")[: share_of(len(weights), share)]] = True
    return heads
