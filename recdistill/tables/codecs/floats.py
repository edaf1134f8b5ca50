"""Floats: as they are, or the half of their bytes."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from recdistill.tables.codecs.base import Arrays, Codec, Layout, half

ROWS = 8192
"""Rounded at once."""


class Float32Codec(Codec):
    """Values as they are: nothing is lost, and a tile is a view."""

    layout: ClassVar[Layout] = {"values": (np.float32, ("rows", "columns"))}

    def encode(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        return {"values": np.ascontiguousarray(matrix, np.float32)}

    def decode(self, arrays: Arrays, index: np.ndarray | slice) -> np.ndarray:
        return arrays["values"][index]

    def nbytes(self, rows: int, columns: int) -> int:
        return 4 * rows * columns


class Float16Codec(Codec):
    """Half floats: half the bytes, relative error up to 2^-11."""

    layout: ClassVar[Layout] = {"values": (np.float16, ("rows", "columns"))}

    def encode(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        return {"values": half(matrix, "fp16")}

    def decode(self, arrays: Arrays, index: np.ndarray | slice) -> np.ndarray:
        return arrays["values"][index].astype(np.float32)

    def nbytes(self, rows: int, columns: int) -> int:
        return 2 * rows * columns


class BFloat16Codec(Codec):
    """The upper halves of floats, rounded to even: any size that fp32 holds, relative error up to 2^-8."""

    layout: ClassVar[Layout] = {"halves": (np.uint16, ("rows", "columns"))}

    def encode(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        """Some rows at a time: what is rounded takes four times the bytes of what it becomes."""
        values = np.ascontiguousarray(matrix, np.float32)
        halves = np.empty(values.shape, np.uint16)
        for start in range(0, len(values), ROWS):
            part = slice(start, start + ROWS)
            halves[part] = self._upper(values[part].view(np.uint32))
        return {"halves": halves}

    def _upper(self, bits: np.ndarray) -> np.ndarray:
        odd = bits >> np.uint32(16) & np.uint32(1)
        upper = (bits.astype(np.uint64) + np.uint64(0x7FFF) + odd) >> np.uint64(16)
        infinite = upper & np.uint64(0x7FFF) >= np.uint64(0x7F80)
        upper[infinite] -= np.uint64(1)  # the largest number, not infinity
        return upper

    def decode(self, arrays: Arrays, index: np.ndarray | slice) -> np.ndarray:
        return (arrays["halves"][index].astype(np.uint32) << np.uint32(16)).view(np.float32)

    def nbytes(self, rows: int, columns: int) -> int:
        return 2 * rows * columns

    def fault(self, arrays: Arrays) -> str | None:
        endless = (arrays["halves"] & np.uint16(0x7F80)) == 0x7F80
        return "'halves' hold what is not a finite number" if endless.any() else None
