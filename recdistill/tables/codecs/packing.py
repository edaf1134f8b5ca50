"""Whole numbers of 1 to 4 bits in bytes: each row is one stream of bits, the lowest first, padded to a whole byte."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

TRIPLE = 3
"""Bits whose codes straddle bytes: eight of them fill three."""
BLOCK = 1 << 15
"""Words that are looked up at once, so that what is needed on the way stays in the processor's caches."""


def packed_bytes(columns: int, bits: int) -> int:
    """Bytes of a row of codes."""
    return -(-columns * bits // 8)


def pack(codes: np.ndarray, bits: int) -> np.ndarray:
    """uint8 (rows, packed_bytes): codes (rows, columns) are whole numbers 0 … 2^bits - 1."""
    rows, columns = codes.shape
    eights = -(-columns // 8)
    padded = np.zeros((rows, eights, 8), np.uint32)
    padded.reshape(rows, eights * 8)[:, :columns] = codes
    words = np.zeros((rows, eights), "<u4")
    for place in range(8):
        words |= padded[:, :, place] << np.uint32(place * bits)
    streams = words.view(np.uint8).reshape(rows, eights, 4)[:, :, :bits].reshape(rows, eights * bits)
    return np.ascontiguousarray(streams[:, : packed_bytes(columns, bits)])


def looked_up(packed: np.ndarray, bits: int, columns: int, values: tuple[float, ...]) -> np.ndarray:
    """float32 (rows, columns): what each code stands for, `values` (2^bits,), read several codes at a time."""
    table = _lookup(bits, values)
    words = 2 * -(-packed.shape[1] // 3) if bits == TRIPLE else packed.shape[1]
    found = np.empty((len(packed), words), table.dtype)
    step = max(1, BLOCK // max(1, words))
    for start in range(0, len(packed), step):
        part = packed[start : start + step]
        table.take(_twelves(part) if bits == TRIPLE else part, out=found[start : start + step], mode="clip")
    floats = found.view(np.float32)
    return floats if floats.shape[1] == columns else np.ascontiguousarray(floats[:, :columns])


def _twelves(packed: np.ndarray) -> np.ndarray:
    """uint16 (rows, m): the stream of bits in numbers of 12, four codes each."""
    triples = -(-packed.shape[1] // 3)
    if packed.shape[1] != 3 * triples:
        packed = np.pad(packed, ((0, 0), (0, 3 * triples - packed.shape[1])))
    first, second, third = (packed[:, place::3].astype(np.uint16) for place in range(3))
    twelves = np.empty((len(packed), 2 * triples), np.uint16)
    twelves[:, 0::2] = first | (second & np.uint16(15)) << np.uint16(8)
    twelves[:, 1::2] = second >> np.uint16(4) | third << np.uint16(4)
    return twelves


@lru_cache(maxsize=32)
def _lookup(bits: int, values: tuple[float, ...]) -> np.ndarray:
    """One entry for each byte (each 12 bits where codes straddle bytes): the float32 values of its codes, side by side,
    as one item that can be taken whole."""
    together = 12 if bits == TRIPLE else 8
    numbers = np.arange(2**together)[:, None] >> np.arange(0, together, bits)
    floats = np.array(values, np.float32)[numbers & (2**bits - 1)]
    return floats.view(np.dtype((np.void, floats.shape[1] * 4))).reshape(-1)
