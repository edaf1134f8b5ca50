"""A column that came in chunks as one array, and the ends of its numbers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

PIECE = 1 << 16
"""Numbers copied and looked at together, while they are in the processor's cache."""


def gathered(column: pa.ChunkedArray, dtype: np.dtype | type) -> tuple[np.ndarray, float, float]:
    """The numbers of a column without nulls, the least and the largest; both are NaN where one of the numbers is.

    An empty column has the ends 0 and 0.
    """
    numbers, start = np.empty(len(column), dtype=dtype), 0
    lows, highs = [], []
    for chunk in column.chunks:
        given = chunk.to_numpy(zero_copy_only=False)
        for first in range(0, len(given), PIECE):
            part = given[first : first + PIECE]
            numbers[start : start + len(part)] = part
            lows.append(part.min())
            highs.append(part.max())
            start += len(part)
    return (numbers, np.min(lows).item(), np.max(highs).item()) if lows else (numbers, 0, 0)
