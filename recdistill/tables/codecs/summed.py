"""Compositional tables: row i is the sum of a row of one small table and a row of another, which many rows share.

What such tables can say is little unless they are trained as they are: coding a given matrix takes the nearest sums.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from recdistill.errors import DataError
from recdistill.tables.codecs.base import Arrays, Codec, half

ROUNDS = 50


class SummedCodec(Codec):
    """Which rows are summed follows from the number of the row alone."""

    family: ClassVar[str]
    """What the codec's name starts with; the number after it is that of buckets."""
    names: ClassVar[tuple[str, str]]
    """Of the two small tables in the layout, beside "rows"."""

    def __init__(self, buckets: int) -> None:
        self.buckets = buckets

    @abstractmethod
    def places(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows of the two tables whose sums `rows` (int64) are."""

    @abstractmethod
    def sizes(self, rows: int) -> tuple[int, int]:
        """How many rows the two tables have, of a table of so many."""

    def encode(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        """By alternating least squares: each side is the mean of what the other leaves over."""
        at_first, at_second = self.places(np.arange(len(matrix)))
        first, second = (np.zeros((size, matrix.shape[1])) for size in self.sizes(len(matrix)))
        for _ in range(ROUNDS):
            first = _means(matrix - second[at_second], at_first, len(first))
            second = _means(matrix - first[at_first], at_second, len(second))
        named = {name: half(one, name) for name, one in zip(self.names, (first, second), strict=True)}
        return {**named, "rows": np.array([len(matrix)], np.int64)}

    def decode(self, arrays: Arrays, index: np.ndarray | slice) -> np.ndarray:
        rows = np.arange(*index.indices(self.shape(arrays)[0])) if isinstance(index, slice) else np.asarray(index)
        first, second = (arrays[name].astype(np.float32) for name in self.names)
        at_first, at_second = self.places(rows)
        sums: np.ndarray = first[at_first]
        sums += second[at_second]
        return sums

    def with_more(self, arrays: Arrays, matrix: np.ndarray) -> dict[str, np.ndarray]:
        raise DataError(
            f"{self.family}{self.buckets} table: its rows share vectors, so that none can be added; train it again."
        )

    def nbytes(self, rows: int, columns: int) -> int:
        return 2 * columns * sum(self.sizes(rows)) + 8

    def shape(self, arrays: Arrays) -> tuple[int, int]:
        return int(arrays["rows"][0]), self.columns(arrays)

    def fault(self, arrays: Arrays) -> str | None:
        rows, found = arrays["rows"], tuple(len(arrays[name]) for name in self.names)
        if rows.shape != (1,) or rows[0] < 0:
            return f"'rows' must be one number from 0, found {rows.tolist()}"
        want = self.sizes(int(rows[0]))
        return None if found == want else f"{rows[0]} rows need {want} {' and '.join(self.names)}, found {found}"


def _means(rows: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """(count, columns): the mean of each group's rows, zero where it has none."""
    sums = np.zeros((count, rows.shape[1]))
    np.add.at(sums, groups, rows)
    return sums / np.maximum(1, np.bincount(groups, minlength=count))[:, None]
