"""A column of numbers as one array of its own, and the ends of its numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

PIECE = 1 << 16
"""Numbers copied and looked at together, while they are in the processor's cache."""
BATCH = 1 << 20
"""Rows of a file that are decoded together, so that the whole column is never there in the file's type as well."""
INT32 = np.iinfo(np.int32)


@dataclass(frozen=True, eq=False)
class Numbers:
    """A column without nulls, in memory that may be written over."""

    values: np.ndarray
    low: float
    """The least; NaN where one of the numbers is, 0 where there are none."""
    high: float

    def __len__(self) -> int:
        return len(self.values)

    def column(self) -> pa.ChunkedArray:
        """The same as Arrow has it."""
        return pa.chunked_array([pa.array(self.values)])


class HasNulls(Exception):
    """A null among numbers."""


def gathered(chunks: Iterable[pa.Array], n_rows: int, dtype: np.dtype | type) -> Numbers:
    """The numbers of chunks that hold `n_rows` together; raises HasNulls, and ValueError where there are more or fewer.

    int32 is widened to int64 where a number asks for it; any other `dtype` must be wide enough.
    """
    numbers, start = np.empty(n_rows, dtype=dtype), 0
    lows, highs = [], []
    for chunk in chunks:
        if chunk.null_count:
            raise HasNulls
        given = chunk.to_numpy(zero_copy_only=False)
        if start + len(given) > n_rows:
            raise ValueError(f"more than the {n_rows:,} rows that are promised")
        for first in range(0, len(given), PIECE):
            part = given[first : first + PIECE]
            low, high = part.min(), part.max()
            if numbers.dtype == np.int32 and not INT32.min <= low <= high <= INT32.max:
                numbers = numbers.astype(np.int64)
            numbers[start : start + len(part)] = part
            lows.append(low)
            highs.append(high)
            start += len(part)
    if start < n_rows:
        raise ValueError(f"{start:,} of the {n_rows:,} rows that are promised")
    if not lows:
        return Numbers(numbers, 0, 0)
    return Numbers(numbers, np.min(lows).item(), np.max(highs).item())
