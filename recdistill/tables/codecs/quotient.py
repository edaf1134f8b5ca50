"""Quotient and remainder (Shi et al., 2020): row i is the sum of row i // b of one small table and i % b of another.

With b near the root of the rows two tables of so many rows stand for all of them; no two rows share both. What such
tables can say is little unless they are trained as they are: coding a given matrix takes the nearest sums.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from recdistill.errors import DataError
from recdistill.tables.codecs.base import Arrays, Codec, Layout, half

ROUNDS = 50


class QuotientCodec(Codec):
    """`buckets` is b, the rows of the table of remainders."""

    layout: ClassVar[Layout] = {
        "quotients": (np.float16, ("quotients", "columns")),
        "remainders": (np.float16, ("buckets", "columns")),
        "rows": (np.int64, ("one",)),
    }

    def __init__(self, buckets: int) -> None:
        self.buckets = buckets

    def encode(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        """By alternating least squares: each side is the mean of what the other leaves over."""
        quotient, remainder = np.divmod(np.arange(len(matrix)), self.buckets)
        first = np.zeros((-(-len(matrix) // self.buckets), matrix.shape[1]))
        second = np.zeros((self.buckets, matrix.shape[1]))
        for _ in range(ROUNDS):
            first = _means(matrix - second[remainder], quotient, len(first))
            second = _means(matrix - first[quotient], remainder, self.buckets)
        return {
            "quotients": half(first, "quotients"),
            "remainders": half(second, "remainders"),
            "rows": np.array([len(matrix)], np.int64),
        }

    def decode(self, arrays: Arrays, index: np.ndarray | slice) -> np.ndarray:
        rows = np.arange(*index.indices(self.shape(arrays)[0])) if isinstance(index, slice) else np.asarray(index)
        quotient, remainder = np.divmod(rows, self.buckets)
        sums: np.ndarray = arrays["quotients"].astype(np.float32)[quotient]
        sums += arrays["remainders"].astype(np.float32)[remainder]
        return sums

    def with_more(self, arrays: Arrays, matrix: np.ndarray) -> dict[str, np.ndarray]:
        raise DataError(f"qr{self.buckets} table: its rows share vectors, so that none can be added; train it again.")

    def nbytes(self, rows: int, columns: int) -> int:
        return 2 * columns * (self.buckets + -(-rows // self.buckets)) + 8

    def shape(self, arrays: Arrays) -> tuple[int, int]:
        return int(arrays["rows"][0]), self.columns(arrays)

    def fault(self, arrays: Arrays) -> str | None:
        rows, found = arrays["rows"], (len(arrays["quotients"]), len(arrays["remainders"]))
        if rows.shape != (1,) or rows[0] < 0:
            return f"'rows' must be one number from 0, found {rows.tolist()}"
        want = (-(-int(rows[0]) // self.buckets), self.buckets)
        return None if found == want else f"{rows[0]} rows need {want} quotients and remainders, found {found}"


def _means(rows: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """(count, columns): the mean of each group's rows, zero where it has none."""
    sums = np.zeros((count, rows.shape[1]))
    np.add.at(sums, groups, rows)
    return sums / np.maximum(1, np.bincount(groups, minlength=count))[:, None]
