"""A stored table: arrays of a codec, and rows decoded from them when asked for."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from recdistill.errors import DataError
from recdistill.tables.codecs.base import Arrays, Codec, finite
from recdistill.tables.codecs.registry import CODECS

TILE_BYTES = 64_000_000
"""No temporary array of the serving half is meant to be larger."""

DECODED_BYTES = 32_000_000
"""A coded table is kept decoded, too, where that takes no more: decoding costs as long as the product that follows."""


def encode(name: str, matrix: np.ndarray, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The codec's arrays for a matrix of finite numbers (rows, columns); `weights` (rows,): which rows count more."""
    codec = CODECS[name]
    matrix = _matrix(name, matrix)
    return codec.encode(matrix) if weights is None else codec.encode_weighed(matrix, weights)


class CodedTable:
    """A table of vectors whose codes stay in memory as stored; rows are decoded to float32 when asked for."""

    def __init__(self, codec: str, arrays: Arrays) -> None:
        self.codec = codec
        self._codec = CODECS[codec]
        self.arrays = _checked(codec, self._codec, arrays)
        self.shape = self._codec.shape(self.arrays)

    @classmethod
    def of(cls, matrix: np.ndarray, codec: str = "fp32", weights: np.ndarray | None = None) -> CodedTable:
        return cls(codec, encode(codec, matrix, weights))

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self.arrays.values())

    def rows(self, index: np.ndarray) -> np.ndarray:
        """(len(index), columns) float32."""
        kept = self.__dict__.get("decoded")
        return self._codec.decode(self.arrays, index) if kept is None else kept[index]

    def tile(self, start: int, stop: int) -> np.ndarray:
        """Consecutive rows as float32; a view where nothing is decoded, so never write to it."""
        kept = self.__dict__.get("decoded")
        return self._codec.decode(self.arrays, slice(start, stop)) if kept is None else kept[start:stop]

    def matrix(self) -> np.ndarray:
        return self.tile(0, len(self))

    @cached_property
    def decoded(self) -> np.ndarray | None:
        """The whole matrix, not to be written to, where nothing needs decoding or the table is small."""
        small = self.shape[0] * self.shape[1] * 4 <= DECODED_BYTES
        return self._codec.decode(self.arrays, slice(0, len(self))) if small or self.codec == "fp32" else None

    @cached_property
    def longest_row(self) -> float:
        """The largest Euclidean length of a row."""
        step = max(1, TILE_BYTES // (8 * max(1, self.shape[1])))
        tiles = (self.tile(start, min(start + step, len(self))) for start in range(0, len(self), step))
        return max((float(np.linalg.norm(tile, axis=1).max()) for tile in tiles), default=0.0)

    def recoded(self, codec: str, weights: np.ndarray | None = None) -> CodedTable:
        return self if codec == self.codec else CodedTable.of(self.matrix(), codec, weights)

    def with_more(self, matrix: np.ndarray) -> CodedTable:
        """With the rows of a matrix after its own; scales and codebooks that all rows share stay as they are."""
        return CodedTable(self.codec, self._codec.with_more(self.arrays, _matrix(self.codec, matrix)))


def _matrix(name: str, matrix: np.ndarray) -> np.ndarray:
    matrix = np.asarray(matrix, np.float32)
    if matrix.ndim != 2:
        raise DataError(f"{name} table: needs a matrix (rows, columns), found shape {matrix.shape}.")
    return finite(matrix, f"{name} table")


def _checked(name: str, codec: Codec, arrays: Arrays) -> dict[str, np.ndarray]:
    if set(arrays) != set(codec.layout):
        raise DataError(f"{name} table: needs the arrays {sorted(codec.layout)}, found {sorted(arrays)}.")
    lengths: dict[str, dict[str, int]] = {}
    for part, (dtype, axes) in codec.layout.items():
        array = arrays[part]
        dtypes = dtype if isinstance(dtype, tuple) else (dtype,)
        if array.dtype not in dtypes or array.ndim != len(axes):
            want = f"{' or '.join(str(np.dtype(one)) for one in dtypes)} of {len(axes)} dimensions"
            raise DataError(f"{name} table: {part!r} must be {want}, found {array.dtype} of shape {array.shape}.")
        for axis, length in zip(axes, array.shape, strict=True):
            lengths.setdefault(axis, {})[part] = length
    for axis, found in lengths.items():
        if len(set(found.values())) > 1:
            raise DataError(f"{name} table: its arrays differ in {axis}: {found}.")
    if fault := codec.fault(arrays):
        raise DataError(f"{name} table: {fault}.")
    return {part: np.ascontiguousarray(arrays[part]) for part in codec.layout}
