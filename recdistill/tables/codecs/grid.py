"""Even grids of 1 to 4 bits with one half-float scale for each dimension.

A value is (q + ½) · s of its dimension, q a whole number from -2^(b-1) to 2^(b-1) - 1: as many levels above zero as
below it, none at it. With 1 bit a value is ±s/2. Dimensions of about the same normal distribution fit best: rotate
the table at random first, where that may be (`compression.rotation`).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from recdistill.tables.codecs.base import Arrays, Codec, Layout, finite, half
from recdistill.tables.codecs.packing import looked_up, pack, packed_bytes

STEPS = {1: 1.596, 2: 0.996, 3: 0.586, 4: 0.335}
"""Bits to the step, in standard deviations, whose mid-rise grid lies nearest to a normal distribution (Max, 1960)."""

BLOCK = 1 << 20
"""Values that are coded at once."""


class GridCodec(Codec):
    """Packed codes of a few bits; the scales are shared by all rows and cost two bytes a dimension."""

    short = rotated = True
    layout: ClassVar[Layout] = {"codes": (np.uint8, ("rows", "bytes")), "scales": (np.float16, ("columns",))}

    def __init__(self, bits: int) -> None:
        self.bits = bits

    def encode(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        steps = scales(matrix, self.bits)
        return {"codes": codes(matrix, steps, self.bits), "scales": steps}

    def encode_more(self, arrays: Arrays, matrix: np.ndarray) -> dict[str, np.ndarray]:
        return {"codes": codes(matrix, arrays["scales"], self.bits), "scales": arrays["scales"]}

    def decode(self, arrays: Arrays, index: np.ndarray | slice) -> np.ndarray:
        return decode(arrays["codes"][index], arrays["scales"], self.bits)

    def nbytes(self, rows: int, columns: int) -> int:
        return rows * packed_bytes(columns, self.bits) + 2 * columns

    def fault(self, arrays: Arrays) -> str | None:
        return codes_fault(arrays["codes"], self.columns(arrays), self.bits)


def scales(matrix: np.ndarray, bits: int) -> np.ndarray:
    """float16 (columns,): the step of each dimension, by the root of its mean square."""
    squares = np.einsum("nd,nd->d", matrix, matrix, dtype=np.float64)
    return half(STEPS[bits] * np.sqrt(squares / max(1, len(matrix))), "scales")


def codes(matrix: np.ndarray, scales: np.ndarray, bits: int) -> np.ndarray:
    """uint8 (rows, ⌈bits · columns / 8⌉) of a float32 matrix: q + 2^(b-1), packed, q = ⌊value / scale⌋ clamped.

    `scales` broadcast to the matrix; a scale of zero stands for values that are lost, and any code will do.
    """
    matrix = finite(np.asarray(matrix, np.float32), "grid")
    rows, columns = matrix.shape
    steps = np.asarray(scales, np.float16).astype(np.float32)
    steps = np.broadcast_to(np.where(steps > 0, steps, np.float32(1)), matrix.shape)
    half_range = 2 ** (bits - 1)
    packed = np.empty((rows, packed_bytes(columns, bits)), np.uint8)
    block = max(1, BLOCK // max(1, columns))
    for start in range(0, rows, block):
        part = slice(start, start + block)
        whole = np.clip(np.floor(matrix[part] / steps[part]), -half_range, half_range - 1)
        packed[part] = pack((whole + half_range).astype(np.uint8), bits)
    return packed


def decode(codes: np.ndarray, scales: np.ndarray, bits: int, columns: int | None = None) -> np.ndarray:
    """float32 (rows, columns) of packed codes; as many columns as there are scales, unless told."""
    columns = len(scales) if columns is None else columns
    values = looked_up(codes, bits, columns, levels(bits))
    values *= scales.astype(np.float32)
    return values


def levels(bits: int) -> tuple[float, ...]:
    """What the codes stand for, in steps: -1.5, -.5, .5, 1.5 for 2 bits."""
    return tuple(code + 0.5 - 2 ** (bits - 1) for code in range(2**bits))


def codes_fault(codes: np.ndarray, columns: int, bits: int) -> str | None:
    """What is wrong with packed codes for so many columns."""
    want = packed_bytes(columns, bits)
    if codes.shape[1] == want:
        return None
    return f"'codes' must hold {want} bytes a row for {columns} columns of {bits} bits, found {codes.shape[1]}"
