"""Double hashing (Zhang et al., 2020): row i is the sum of two rows, one of each small table, drawn by two hashes of i.

Two rows share a bucket of one table with a chance of 1/b, and both with 1/b²; a table takes as few buckets as one
wants, where quotient and remainder need about twice the root of the rows.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from recdistill.tables.codecs.base import Layout
from recdistill.tables.codecs.summed import SummedCodec

SALTS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03))
"""Part of the format: other numbers would send rows to other buckets."""


class DoubleHashCodec(SummedCodec):
    """`buckets` is b, the rows of each of the two tables."""

    family: ClassVar[str] = "hash"
    names: ClassVar[tuple[str, str]] = ("first", "second")
    layout: ClassVar[Layout] = {
        "first": (np.float16, ("buckets", "columns")),
        "second": (np.float16, ("buckets", "columns")),
        "rows": (np.int64, ("one",)),
    }

    def places(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first, second = (_hashed(rows, salt) % np.uint64(self.buckets) for salt in SALTS)
        return first.astype(np.int64), second.astype(np.int64)

    def sizes(self, rows: int) -> tuple[int, int]:
        return self.buckets, self.buckets


def _hashed(rows: np.ndarray, salt: np.uint64) -> np.ndarray:
    """uint64 of row numbers, evenly spread (the finaliser of SplitMix64; Steele et al., 2014)."""
    mixed = (rows.astype(np.uint64) + np.uint64(1)) * salt
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: np.ndarray = mixed ^ (mixed >> np.uint64(31))
    return found
