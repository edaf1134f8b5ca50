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
