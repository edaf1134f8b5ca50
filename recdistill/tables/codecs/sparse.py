"""Magnitude pruning (Han et al., 2015): each row keeps its k largest values, as half floats with their columns."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from recdistill.tables.codecs.base import Arrays, Codec, Layout, half
from recdistill.tables.codecs.grid_blocks import COLUMNS_BYTES, columns_fault


class SparseCodec(Codec):
    """Worth it where most values are next to nothing, as in item-to-item maps; three bytes a value, four beyond 256
    columns, six beyond 65,536."""

    layout: ClassVar[Layout] = {
        "values": (np.float16, ("rows", "kept")),
        "places": ((np.uint8, np.uint16, np.uint32), ("rows", "kept")),
        "columns": (np.int32, ("one",)),
    }

    def __init__(self, kept: int) -> None:
        self.kept = kept

    def encode(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        columns = matrix.shape[1]
        kept = min(self.kept, columns)
        largest = (
            np.argpartition(-np.abs(matrix), kept - 1, axis=1)[:, :kept] if 0 < kept < columns else np.arange(kept)
        )
        places = np.sort(np.broadcast_to(largest, (len(matrix), kept)), axis=1)
        return {
            "values": half(np.take_along_axis(matrix, places, axis=1), "values"),
            "places": places.astype(_place_type(columns)),
            "columns": np.array([columns], np.int32),
        }

    def decode(self, arrays: Arrays, index: np.ndarray | slice) -> np.ndarray:
        values, places = arrays["values"][index], arrays["places"][index]
        rows = np.zeros((len(values), self.columns(arrays)), np.float32)
        np.put_along_axis(rows, places.astype(np.intp), values.astype(np.float32), axis=1)
        return rows

    def nbytes(self, rows: int, columns: int) -> int:
        return rows * min(self.kept, columns) * (2 + np.dtype(_place_type(columns)).itemsize) + COLUMNS_BYTES

    def columns(self, arrays: Arrays) -> int:
        return int(arrays["columns"][0])

    def fault(self, arrays: Arrays) -> str | None:
        if fault := columns_fault(arrays["columns"]):
            return fault
        columns, places = self.columns(arrays), arrays["places"]
        if places.dtype != _place_type(columns):
            return f"'places' of {columns} columns must be {np.dtype(_place_type(columns))}, found {places.dtype}"
        if places.size and places.max() >= columns:
            return f"'places' name column {places.max()} of {columns}"
        return None


def _place_type(columns: int) -> type[np.unsignedinteger]:
    return np.uint8 if columns <= 256 else np.uint16 if columns <= 65_536 else np.uint32
