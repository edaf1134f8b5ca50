"""The grids of `grid`, with the scale elsewhere: one a row, one for each few dimensions of a row, or one alone.

Scales of rows cost two bytes each, and rows of one length do not need them; `grid` itself is the better choice where
a table may be rotated.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from recdistill.tables.codecs.base import Arrays, Codec, Layout, half
from recdistill.tables.codecs.grid import STEPS, codes, codes_fault, decode
from recdistill.tables.codecs.packing import packed_bytes

COLUMNS_BYTES = 4
"""Of the number of columns, which packed codes do not tell."""


class GroupedGridCodec(Codec):
    """One scale for each `group` dimensions of a row, or for the whole row."""

    short = rotated = True
    layout: ClassVar[Layout] = {
        "codes": (np.uint8, ("rows", "bytes")),
        "scales": (np.float16, ("rows", "groups")),
        "columns": (np.int32, ("one",)),
    }

    def __init__(self, bits: int = 1, group: int | None = None) -> None:
        self.bits, self.group = bits, group

    def encode(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        columns = matrix.shape[1]
        starts = np.arange(0, columns, self.group or max(1, columns))
        squares = np.square(matrix, dtype=np.float64)
        sums = np.add.reduceat(squares, starts, axis=1) if columns else np.zeros((len(matrix), 0))
        means = sums / np.diff(np.append(starts, columns))
        scales = half(STEPS[self.bits] * np.sqrt(means), "scales")
        return {
            "codes": codes(matrix, self._spread(scales, columns), self.bits),
            "scales": scales,
            "columns": np.array([columns], np.int32),
        }

    def decode(self, arrays: Arrays, index: np.ndarray | slice) -> np.ndarray:
        columns = self.columns(arrays)
        return decode(arrays["codes"][index], self._spread(arrays["scales"][index], columns), self.bits, columns)

    def _spread(self, scales: np.ndarray, columns: int) -> np.ndarray:
        """(rows, columns), or (rows, 1) where a row has one."""
        return scales if self.group is None else scales.repeat(self.group, axis=1)[:, :columns]

    def nbytes(self, rows: int, columns: int) -> int:
        return rows * (packed_bytes(columns, self.bits) + 2 * self._groups(columns)) + COLUMNS_BYTES

    def _groups(self, columns: int) -> int:
        return -(-columns // (self.group or max(1, columns)))

    def columns(self, arrays: Arrays) -> int:
        return int(arrays["columns"][0])

    def fault(self, arrays: Arrays) -> str | None:
        return columns_fault(arrays["columns"]) or self._groups_fault(arrays)

    def _groups_fault(self, arrays: Arrays) -> str | None:
        columns, found = self.columns(arrays), arrays["scales"].shape[1]
        if found != self._groups(columns):
            return f"'scales' must hold {self._groups(columns)} numbers a row for {columns} columns, found {found}"
        return codes_fault(arrays["codes"], columns, self.bits)


class UniformGridCodec(Codec):
    """One scale for the whole table."""

    short = rotated = True
    layout: ClassVar[Layout] = {
        "codes": (np.uint8, ("rows", "bytes")),
        "scale": (np.float16, ("one",)),
        "columns": (np.int32, ("one",)),
    }

    def __init__(self, bits: int = 1) -> None:
        self.bits = bits

    def encode(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        mean = np.square(matrix, dtype=np.float64).sum() / max(1, matrix.size)
        scale = half(np.array([STEPS[self.bits] * np.sqrt(mean)]), "scale")
        shared = {"scale": scale, "columns": np.array([matrix.shape[1]], np.int32)}
        return self.encode_more(shared, matrix)

    def encode_more(self, arrays: Arrays, matrix: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "codes": codes(matrix, arrays["scale"], self.bits),
            "scale": arrays["scale"],
            "columns": arrays["columns"],
        }

    def decode(self, arrays: Arrays, index: np.ndarray | slice) -> np.ndarray:
        return decode(arrays["codes"][index], arrays["scale"], self.bits, self.columns(arrays))

    def nbytes(self, rows: int, columns: int) -> int:
        return rows * packed_bytes(columns, self.bits) + 2 + COLUMNS_BYTES

    def columns(self, arrays: Arrays) -> int:
        return int(arrays["columns"][0])

    def fault(self, arrays: Arrays) -> str | None:
        return columns_fault(arrays["columns"]) or codes_fault(arrays["codes"], self.columns(arrays), self.bits)


def columns_fault(columns: np.ndarray) -> str | None:
    """What is wrong with the array that holds the number of columns."""
    if columns.shape == (1,) and columns[0] >= 0:
        return None
    return f"'columns' must be one number from 0, found {columns.tolist()}"
