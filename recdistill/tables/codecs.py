"""How a matrix of vectors is held in memory and on disk: floats, half floats, integers with a scale per row.

A codec turns a matrix into named arrays and decodes chosen rows of them; nothing else in the package knows the layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np

from recdistill.errors import DataError
from recdistill.registry import Registry

TILE_BYTES = 64_000_000
"""No temporary array of the serving half is meant to be larger."""

DECODED_BYTES = 32_000_000
"""A coded table is kept decoded, too, where that takes no more: decoding costs as long as the product that follows."""

Arrays = Mapping[str, np.ndarray]
Layout = Mapping[str, tuple[Any, int]]


class Codec(Protocol):
    """A codec holds no data of its own."""

    layout: ClassVar[Layout]
    """Array name to its dtype and number of dimensions; the first dimension of each is the table's rows."""

    def encode(self, matrix: np.ndarray) -> dict[str, np.ndarray]: ...

    def decode(self, arrays: Arrays, index: np.ndarray | slice) -> np.ndarray: ...

    def shape(self, arrays: Arrays) -> tuple[int, int]: ...


class Float32Codec:
    """Values as they are: nothing is lost, and a tile is a view."""

    layout: ClassVar[Layout] = {"values": (np.float32, 2)}

    def encode(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        return {"values": np.ascontiguousarray(matrix, np.float32)}

    def decode(self, arrays: Arrays, index: np.ndarray | slice) -> np.ndarray:
        return arrays["values"][index]

    def shape(self, arrays: Arrays) -> tuple[int, int]:
        rows, columns = arrays["values"].shape
        return rows, columns


class Float16Codec:
    """Half floats: half the bytes, relative error up to 2^-11."""

    layout: ClassVar[Layout] = {"values": (np.float16, 2)}

    def encode(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        return {"values": half(matrix, "fp16")}

    def decode(self, arrays: Arrays, index: np.ndarray | slice) -> np.ndarray:
        return arrays["values"][index].astype(np.float32)

    def shape(self, arrays: Arrays) -> tuple[int, int]:
        rows, columns = arrays["values"].shape
        return rows, columns


class Int8Codec:
    """Symmetric integers -127..127 with one half-float scale per row: a quarter of the bytes plus two a row."""

    layout: ClassVar[Layout] = {"codes": (np.int8, 2), "scales": (np.float16, 1)}

    def encode(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        exact = np.abs(matrix).max(axis=1, initial=0.0).astype(np.float32) / 127
        scales = half(exact, "int8 scales")
        up = np.nextafter(scales, np.float16(np.inf))  # a scale rounded down would clip the row's largest value
        scales = np.where(scales.astype(np.float32) < exact, up, scales)
        steps = np.where(scales == 0, np.float32(1), scales.astype(np.float32))
        codes = np.clip(np.rint(matrix / steps[:, None]), -127, 127).astype(np.int8)
        return {"codes": codes, "scales": scales}

    def decode(self, arrays: Arrays, index: np.ndarray | slice) -> np.ndarray:
        rows = arrays["codes"][index].astype(np.float32)
        rows *= arrays["scales"][index].astype(np.float32)[..., None]
        return rows

    def shape(self, arrays: Arrays) -> tuple[int, int]:
        rows, columns = arrays["codes"].shape
        return rows, columns


CODECS: Registry[Codec] = Registry("codec")
CODECS.register("fp32", Float32Codec())
CODECS.register("fp16", Float16Codec())
CODECS.register("int8", Int8Codec())


def encode(name: str, matrix: np.ndarray) -> dict[str, np.ndarray]:
    """The codec's arrays for a matrix of finite numbers (rows, columns)."""
    codec = CODECS[name]
    matrix = np.asarray(matrix, np.float32)
    if matrix.ndim != 2:
        raise DataError(f"{name} table: needs a matrix (rows, columns), found shape {matrix.shape}.")
    return codec.encode(_finite(matrix, f"{name} table"))


def half(values: np.ndarray, what: str) -> np.ndarray:
    """Half floats of finite numbers; one that only a wider float can hold is refused."""
    values = _finite(np.asarray(values), what)
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16)
    if not np.isfinite(halves).all():
        raise DataError(f"{what}: {np.abs(values).max():.3g} is beyond half floats (65504). Rescale it, or keep fp32.")
    return halves


class CodedTable:
    """A table of vectors whose codes stay in memory as stored; rows are decoded to float32 when asked for."""

    def __init__(self, codec: str, arrays: Arrays) -> None:
        self.codec = codec
        self._codec = CODECS[codec]
        self.arrays = _checked(codec, self._codec, arrays)
        self.shape = self._codec.shape(self.arrays)

    @classmethod
    def of(cls, matrix: np.ndarray, codec: str = "fp32") -> CodedTable:
        return cls(codec, encode(codec, matrix))

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

    def recoded(self, codec: str) -> CodedTable:
        return self if codec == self.codec else CodedTable.of(self.matrix(), codec)


def _finite(values: np.ndarray, what: str) -> np.ndarray:
    if not np.isfinite(values).all():
        at = np.argwhere(~np.isfinite(values))[0]
        raise DataError(f"{what}: row {at[0]} holds {values[tuple(at)]}. Vectors must be finite; did training diverge?")
    return values


def _checked(name: str, codec: Codec, arrays: Arrays) -> dict[str, np.ndarray]:
    if set(arrays) != set(codec.layout):
        raise DataError(f"{name} table: needs the arrays {sorted(codec.layout)}, found {sorted(arrays)}.")
    for key, (dtype, dimensions) in codec.layout.items():
        array = arrays[key]
        if array.dtype != dtype or array.ndim != dimensions:
            want = f"{np.dtype(dtype)} of {dimensions} dimensions"
            raise DataError(f"{name} table: {key!r} must be {want}, found {array.dtype} of shape {array.shape}.")
    if len({len(array) for array in arrays.values()}) > 1:
        lengths = {key: len(array) for key, array in arrays.items()}
        raise DataError(f"{name} table: its arrays differ in rows: {lengths}.")
    return {key: np.ascontiguousarray(arrays[key]) for key in codec.layout}
