"""Mixed dimension (Ginart et al., 2019): popular rows have a number for each dimension, the others a few, from which
one projection for all of them makes the rest.

With none for the others these are gone: pruned rows, which are ranked by their biases alone.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from recdistill.tables.codecs.base import Arrays, Codec, Layout, half
from recdistill.tables.codecs.floats import Float16Codec
from recdistill.tables.codecs.grid import GridCodec
from recdistill.tables.codecs.marks import heads_of, marked, marks_bytes, places, share_of, unmarked

BLOCK = 65_536
"""Rows that are held in double precision at once."""


def _layout(inner: type[Codec]) -> Layout:
    """Two tables of one codec, whose rows together are the whole table's."""
    parts = {}
    for part, columns in (("head", "columns"), ("tail", "few")):
        names = {"rows": part, "columns": columns, "bytes": f"{part} bytes"}
        for name, (dtype, axes) in inner.layout.items():
            parts[f"{part}_{name}"] = (dtype, tuple(names[axis] for axis in axes))
    return {"heads": (np.uint8, ("marks",)), **parts, "projection": (np.float16, ("few", "columns"))}


class MixedDimensionCodec(Codec):
    """`share` percent of the rows have all dimensions, the others `few`; both are stored by the codec `inner`."""

    def __init__(self, inner: Codec, share: int, few: int) -> None:
        self.inner, self.share, self.few = inner, share, few

    def encode(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        """Where no weights of rows are known the longest are taken for the popular ones."""
        return self.encode_weighed(matrix, np.square(matrix).sum(axis=1))

    def encode_weighed(self, matrix: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
        heads = heads_of(weights, self.share)
        return self.split(matrix, heads, half(_directions(matrix[~heads], self._few(matrix.shape[1])), "projection"))

    def split(self, matrix: np.ndarray, heads: np.ndarray, projection: np.ndarray) -> dict[str, np.ndarray]:
        """The arrays where `heads` (rows,) have all dimensions, and `projection` (few, columns) makes the others."""
        head, tail = self.inner.encode(matrix[heads]), self.inner.encode(_seen_by(projection, matrix[~heads]))
        return {"heads": marked(heads), **_named("head", head), **_named("tail", tail), "projection": projection}

    def decode(self, arrays: Arrays, index: np.ndarray | slice) -> np.ndarray:
        heads, place = places(arrays["heads"], self.shape(arrays)[0], index)
        rows = np.zeros((len(place), self.columns(arrays)), np.float32)
        rows[heads] = self.inner.decode(_of("head", arrays), place[heads])
        few = self.inner.decode(_of("tail", arrays), place[~heads])
        made = np.zeros((len(few), rows.shape[1]), np.float32)
        for column, row in zip(few.T, arrays["projection"].astype(np.float32), strict=True):
            made += column[:, None] * row  # a matrix product would round differently for few rows and for many
        rows[~heads] = made
        return rows

    def with_more(self, arrays: Arrays, matrix: np.ndarray) -> dict[str, np.ndarray]:
        """New rows have few dimensions: nobody has used them yet."""
        tail = _of("tail", arrays)
        marks = np.append(self._marks(arrays), np.zeros(len(matrix), bool))
        more = self.inner.with_more(tail, _seen_by(arrays["projection"], matrix))
        return {**arrays, "heads": marked(marks), **_named("tail", more)}

    def nbytes(self, rows: int, columns: int) -> int:
        heads, few = share_of(rows, self.share), self._few(columns)
        tables = self.inner.nbytes(heads, columns) + self.inner.nbytes(rows - heads, few)
        return marks_bytes(rows) + tables + 2 * few * columns

    def columns(self, arrays: Arrays) -> int:
        return int(arrays["projection"].shape[1])

    def shape(self, arrays: Arrays) -> tuple[int, int]:
        return sum(self.inner.shape(_of(part, arrays))[0] for part in ("head", "tail")), self.columns(arrays)

    def fault(self, arrays: Arrays) -> str | None:
        rows, count = self.shape(arrays)[0], self.inner.shape(_of("head", arrays))[0]
        if len(arrays["heads"]) != marks_bytes(rows) or int(self._marks(arrays).sum()) != count:
            return f"'heads' must mark {count} of {rows} rows"
        return self.inner.fault(_of("head", arrays)) or self.inner.fault(_of("tail", arrays))

    def _few(self, columns: int) -> int:
        return min(self.few, columns)

    def _marks(self, arrays: Arrays) -> np.ndarray:
        return unmarked(arrays["heads"], self.shape(arrays)[0])


class MixedDimensionHalfCodec(MixedDimensionCodec):
    """In half floats."""

    layout: ClassVar[Layout] = _layout(Float16Codec)

    def __init__(self, share: int, few: int) -> None:
        super().__init__(Float16Codec(), share, few)


class MixedDimensionGridCodec(MixedDimensionCodec):
    """On grids, with one scale for each dimension of both parts."""

    short = rotated = True
    layout: ClassVar[Layout] = _layout(GridCodec)

    def __init__(self, share: int, few: int, bits: int = 1) -> None:
        super().__init__(GridCodec(bits), share, few)


def _directions(rows: np.ndarray, few: int) -> np.ndarray:
    """(few, columns) orthonormal: those along which the rows are longest."""
    squares = np.zeros((rows.shape[1], rows.shape[1]))
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK].astype(np.float64)
        squares += part.T @ part
    _, found = np.linalg.eigh(squares)
    return np.ascontiguousarray(found[:, ::-1][:, :few].T)


def _seen_by(projection: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """float32 (rows, few): the numbers whose projection lies nearest to the rows."""
    inverse = np.linalg.pinv(projection.astype(np.float64))
    seen = np.empty((len(rows), inverse.shape[1]), np.float32)
    for start in range(0, len(rows), BLOCK):
        seen[start : start + BLOCK] = rows[start : start + BLOCK].astype(np.float64) @ inverse
    return seen


def _named(part: str, arrays: Arrays) -> dict[str, np.ndarray]:
    return {f"{part}_{name}": array for name, array in arrays.items()}


def _of(part: str, arrays: Arrays) -> dict[str, np.ndarray]:
    return {name.removeprefix(f"{part}_"): array for name, array in arrays.items() if name.startswith(f"{part}_")}
