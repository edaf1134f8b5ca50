"""One bit for each thing that is there: which rows, or which columns of a row."""

from __future__ import annotations

import numpy as np


def marked(marks: np.ndarray) -> np.ndarray:
    """uint8 (…, ⌈n / 8⌉) of bool (…, n), the lowest bit first."""
    return np.packbits(marks, axis=-1, bitorder="little")


def unmarked(packed: np.ndarray, count: int) -> np.ndarray:
    """bool (…, count), as they were before `marked`."""
    return np.unpackbits(packed, axis=-1, count=count, bitorder="little").astype(bool)


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
