"""Magnitude pruning with a bit for each column: each row keeps its k largest values, in half floats or on a grid.

Where more than an eighth of a row is kept, bits that say which values are there take less than their columns
(`sparse`).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from recdistill.tables.codecs import grid
from recdistill.tables.codecs.base import Arrays, Codec, Layout, half
from recdistill.tables.codecs.grid_blocks import COLUMNS_BYTES, columns_fault
from recdistill.tables.codecs.marks import marked, marks_bytes, unmarked
from recdistill.tables.codecs.packing import looked_up, packed_bytes

STEPS = {1: 1.86, 2: 0.90, 3: 0.46, 4: 0.26}
"""Bits to the step, in root mean squares of what is kept, that errs least on the larger half of normal values; of a
quarter or three quarters of them .23 to .30 with 4 bits."""

BLOCK = 65_536
"""Rows that are looked at at once."""


class MarkedCodec(Codec):
    """`kept` is k; a table with fewer columns keeps them all."""

    def __init__(self, kept: int) -> None:
        self.kept = kept

    def encode(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        marks = largest(matrix, self._k(matrix.shape[1]))
        return {"marks": marked(marks), **self._values(matrix, marks)}

    def encode_more(self, arrays: Arrays, matrix: np.ndarray) -> dict[str, np.ndarray]:
        marks = largest(matrix, self._k(self.columns(arrays)))
        return {"marks": marked(marks), **self._values(matrix, marks, arrays)}

    def decode(self, arrays: Arrays, index: np.ndarray | slice) -> np.ndarray:
        marks = unmarked(arrays["marks"][index], self.columns(arrays))
        rows = np.zeros(marks.shape, np.float32)
        rows[marks] = self._decoded(arrays, index, marks)
        return rows

    def fault(self, arrays: Arrays) -> str | None:
        columns, marks = self.columns(arrays), arrays["marks"]
        if marks.shape[1] != marks_bytes(columns):
            return f"'marks' must hold {marks_bytes(columns)} bytes a row for {columns} columns, found {marks.shape[1]}"
        if (unmarked(marks, columns).sum(axis=1) != self._k(columns)).any():
            return f"'marks' must name {self._k(columns)} columns of each row"
        return None

    def _k(self, columns: int) -> int:
        return min(self.kept, columns)

    @abstractmethod
    def _values(self, matrix: np.ndarray, marks: np.ndarray, like: Arrays | None = None) -> dict[str, np.ndarray]:
        """The arrays beside the marks; `like`: whatever has no rows is taken from there."""

    @abstractmethod
    def _decoded(self, arrays: Arrays, index: np.ndarray | slice, marks: np.ndarray) -> np.ndarray:
        """float32 (kept in all): the values of the rows at `index`, one row after the other."""


class MarkedHalfCodec(MarkedCodec):
    """What is kept is kept in half floats."""

    layout: ClassVar[Layout] = {
        "marks": (np.uint8, ("rows", "mark bytes")),
        "values": (np.float16, ("rows", "kept")),
        "columns": (np.int32, ("one",)),
    }

    def nbytes(self, rows: int, columns: int) -> int:
        return rows * (marks_bytes(columns) + 2 * self._k(columns)) + COLUMNS_BYTES

    def columns(self, arrays: Arrays) -> int:
        return int(arrays["columns"][0])

    def fault(self, arrays: Arrays) -> str | None:
        if fault := columns_fault(arrays["columns"]) or super().fault(arrays):
            return fault
        want, found = self._k(self.columns(arrays)), arrays["values"].shape[1]
        return None if found == want else f"'values' must hold {want} numbers a row, found {found}"

    def _values(self, matrix: np.ndarray, marks: np.ndarray, like: Arrays | None = None) -> dict[str, np.ndarray]:
        kept = matrix[marks].reshape(len(matrix), self._k(matrix.shape[1]))
        return {"values": half(kept, "values"), "columns": np.array([matrix.shape[1]], np.int32)}

    def _decoded(self, arrays: Arrays, index: np.ndarray | slice, marks: np.ndarray) -> np.ndarray:
        values: np.ndarray = arrays["values"][index].astype(np.float32).ravel()
        return values


class MarkedGridCodec(MarkedCodec):
    """What is kept lies on a grid with one scale for each dimension."""

    short = True
    layout: ClassVar[Layout] = {
        "marks": (np.uint8, ("rows", "mark bytes")),
        "codes": (np.uint8, ("rows", "bytes")),
        "scales": (np.float16, ("columns",)),
    }

    def __init__(self, kept: int, bits: int = 1) -> None:
        super().__init__(kept)
        self.bits = bits

    def nbytes(self, rows: int, columns: int) -> int:
        return rows * (marks_bytes(columns) + packed_bytes(self._k(columns), self.bits)) + 2 * columns

    def fault(self, arrays: Arrays) -> str | None:
        return super().fault(arrays) or grid.codes_fault(arrays["codes"], self._k(self.columns(arrays)), self.bits)

    def packed(self, matrix: np.ndarray, marks: np.ndarray, steps: np.ndarray) -> dict[str, np.ndarray]:
        """All arrays of a matrix (rows, columns), where `marks` (rows, columns) are k in each row."""
        values = matrix[marks].reshape(len(matrix), self._k(matrix.shape[1]))
        codes = grid.codes(values, self._spread(steps, marks).reshape(values.shape), self.bits)
        return {"marks": marked(marks), "codes": codes, "scales": steps}

    def _values(self, matrix: np.ndarray, marks: np.ndarray, like: Arrays | None = None) -> dict[str, np.ndarray]:
        return self.packed(matrix, marks, self._steps(matrix, marks) if like is None else like["scales"])

    def _decoded(self, arrays: Arrays, index: np.ndarray | slice, marks: np.ndarray) -> np.ndarray:
        kept = self._k(marks.shape[1])
        values = looked_up(arrays["codes"][index], self.bits, kept, grid.levels(self.bits)).ravel()
        values *= self._spread(arrays["scales"].astype(np.float32), marks)
        return values

    def _steps(self, matrix: np.ndarray, marks: np.ndarray) -> np.ndarray:
        """float16 (columns,): by the root of the mean square of what a dimension keeps."""
        sums = np.zeros(matrix.shape[1])
        for start in range(0, len(matrix), BLOCK):
            kept = np.where(marks[start : start + BLOCK], matrix[start : start + BLOCK], 0)
            sums += np.einsum("nd,nd->d", kept, kept, dtype=np.float64)
        return half(STEPS[self.bits] * np.sqrt(sums / np.maximum(1, marks.sum(axis=0))), "scales")

    def _spread(self, steps: np.ndarray, marks: np.ndarray) -> np.ndarray:
        """(kept in all,): the step of each value, one row after the other."""
        spread: np.ndarray = np.broadcast_to(steps, marks.shape)[marks]
        return spread


def largest(matrix: np.ndarray, kept: int) -> np.ndarray:
    """bool (rows, columns): the `kept` largest values of each row, regardless of sign."""
    rows, columns = matrix.shape
    marks = np.full((rows, columns), kept >= columns)
    if 0 < kept < columns:
        for start in range(0, rows, BLOCK):
            part = np.argpartition(-np.abs(matrix[start : start + BLOCK]), kept - 1, axis=1)[:, :kept]
            np.put_along_axis(marks[start : start + BLOCK], part, True, axis=1)
    return marks
