"""Products of vectors that are the same to the last bit whatever else is multiplied beside them.

A matrix product adds in an order that depends on the batch, so that a user's scores differ in their last bits. Here
both sides are rounded to so many bits that double precision adds their products without rounding: then no order counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from recdistill.tables.codecs import TILE_BYTES, CodedTable

MANTISSA = 53
"""Bits of a whole number that double precision holds."""


class Rounded(NamedTuple):
    """Rows of whole numbers times 2^exponent of the row."""

    numbers: np.ndarray
    """float64 (rows, columns)"""
    exponents: np.ndarray
    """(rows,) int"""


class RoundedTable:
    """The vectors of a table, kept rounded where they take little, else rounded tile by tile when they are needed."""

    def __init__(self, table: CodedTable) -> None:
        self.table = table
        small = 8 * table.shape[0] * table.shape[1] <= TILE_BYTES
        self._kept = rounded(table.matrix()) if small else None

    def times(self, queries: np.ndarray) -> np.ndarray:
        """(batch, rows) float32: the products of float32 queries (batch, columns) with all rows.

        A query and a row each keep 22 bits beside its largest number (with up to 512 columns; two less for each factor
        16), where float32 keeps 24 of every number.
        """
        scores = np.empty((len(queries), len(self.table)), np.float32)
        left = rounded(queries)
        for start, tile in self._tiles():
            step = max(1, TILE_BYTES // (8 * max(1, len(tile.numbers))))
            for first in range(0, len(queries), step):
                part = slice(first, first + step)
                products = left.numbers[part] @ tile.numbers.T
                np.ldexp(products, left.exponents[part, None] + tile.exponents, out=products)
                scores[part, start : start + len(tile.numbers)] = products
        return scores

    def _tiles(self) -> Iterator[tuple[int, Rounded]]:
        if self._kept is not None:
            yield 0, self._kept
            return
        step = max(1, TILE_BYTES // (16 * max(1, self.table.shape[1])))
        for start in range(0, len(self.table), step):
            yield start, rounded(self.table.tile(start, min(start + step, len(self.table))))


def rounded(rows: np.ndarray) -> Rounded:
    """Float32 rows, each rounded to as many bits below its largest number as can be multiplied and added exactly."""
    columns = max(1, rows.shape[1])
    bits = (MANTISSA - math.ceil(math.log2(columns))) // 2
    _, largest = np.frexp(np.abs(rows).max(axis=1, initial=0.0))
    exponents = largest.astype(np.int64) - bits
    return Rounded(np.rint(np.ldexp(rows.astype(np.float64), -exponents[:, None])), exponents)
