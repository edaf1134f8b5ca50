"""Products in eight bits on both sides: whole numbers, so that no order of adding changes a bit."""

from __future__ import annotations

import numpy as np

from recdistill.errors import DataError
from recdistill.tables.codecs import CodedTable

LEVELS = 255
"""Inputs are whole numbers 0..255, less the one that stands for 0."""
EXACT = 2**24
"""Whole numbers up to here are exact in single precision."""


class EightBitTable:
    """An int8 table whose queries are brought to eight bits, too: row by row, by their own range, or by a range that
    was measured before. Single precision adds the whole numbers exactly, at twice the speed of double."""

    def __init__(self, table: CodedTable, levels: np.ndarray | None = None) -> None:
        """levels: float32 (2,) step and the number that stands for 0; None: of each row."""
        exact = table.shape[1] * LEVELS * 127 < EXACT
        self._codes = np.ascontiguousarray(table.arrays["codes"].T, np.float32 if exact else np.float64)
        self._scales = table.arrays["scales"].astype(np.float32)
        self._levels = levels

    def times(self, queries: np.ndarray) -> np.ndarray:
        """(batch, rows) float32: products of float32 queries (batch, columns) with all rows."""
        step, zero = measured(queries) if self._levels is None else (self._levels[0], self._levels[1])
        numbers = np.rint(queries / step)
        numbers += zero
        np.clip(numbers, 0, LEVELS, out=numbers)
        numbers -= zero
        sums = (numbers.astype(self._codes.dtype, copy=False) @ self._codes).astype(np.float32, copy=False)
        sums *= self._scales
        sums *= step
        return sums


def measured(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The step and the number that stands for 0 of each row, float32 (batch, 1): its range with 0 in it, evenly cut."""
    low, high = rows.min(axis=1, initial=0.0), rows.max(axis=1, initial=0.0)
    step = ((high - low) / np.float32(LEVELS))[:, None]
    step = np.where(step > 0, step, np.float32(1))
    return step, np.rint(-low[:, None] / step)


def checked_levels(levels: np.ndarray, name: str) -> np.ndarray:
    """Float32 (2,): a step above 0 and a whole number 0..255; DataError where it is something else."""
    if levels.dtype != np.float32 or levels.shape != (2,):
        raise DataError(f"array {name!r} must be two float32 numbers, found {levels.dtype} of shape {levels.shape}.")
    step, zero = (float(one) for one in levels)
    if not (0 < step < np.inf and 0 <= zero <= LEVELS and zero == round(zero)):
        raise DataError(f"array {name!r} must hold a step above 0 and a number 0..{LEVELS}, found {step} and {zero}.")
    return levels
