"""What a codec is: named arrays whose axes have names, and rows decoded from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from recdistill.errors import DataError

Arrays = Mapping[str, np.ndarray]
Layout = Mapping[str, tuple[Any, tuple[str, ...]]]


class Codec(ABC):
    """A codec holds no data of its own, at most the numbers that stand in its name."""

    layout: ClassVar[Layout]
    """Array name to its dtype and the names of its axes. Axes of one name have one length in all arrays; "rows" and
    "columns" are the table's, an array without "rows" is shared by all rows. Several dtypes: any of them."""

    short: ClassVar[bool] = False
    """Below eight bits a value: the small arrays beside such a table are stored in eight, too."""

    rotated: ClassVar[bool] = False
    """Whether a table fits better after a random rotation, which spreads its energy evenly over the dimensions."""

    narrowest: int = 1
    """Columns that a table must have."""

    @abstractmethod
    def encode(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        """The arrays of a float32 matrix (rows, columns) of finite numbers."""

    def encode_weighed(self, matrix: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
        """The same where rows count differently, `weights` (rows,) the more the higher."""
        return self.encode(matrix)

    @abstractmethod
    def decode(self, arrays: Arrays, index: np.ndarray | slice) -> np.ndarray:
        """The rows at `index` as float32 (len(index), columns)."""

    @abstractmethod
    def nbytes(self, rows: int, columns: int) -> int:
        """The bytes of a table of this shape, known before it is coded."""

    def columns(self, arrays: Arrays) -> int:
        return self.axes(arrays)["columns"]

    def shape(self, arrays: Arrays) -> tuple[int, int]:
        return self.axes(arrays)["rows"], self.columns(arrays)

    def axes(self, arrays: Arrays) -> dict[str, int]:
        """The length of every named axis."""
        return {axis: length for part, (_, names) in self.layout.items()
                for axis, length in zip(names, arrays[part].shape, strict=True)}  # fmt: skip

    def fault(self, arrays: Arrays) -> str | None:
        """What is wrong with arrays of the right dtypes and axes."""
        return None

    def encode_more(self, arrays: Arrays, matrix: np.ndarray) -> dict[str, np.ndarray]:
        """The arrays of more rows, which share with the given ones whatever has no axis of rows."""
        return self.encode(matrix)

    def with_more(self, arrays: Arrays, matrix: np.ndarray) -> dict[str, np.ndarray]:
        """The arrays with the rows of a matrix after their own, whose codes stay as they are."""
        new = self.encode_more(arrays, matrix)
        return {part: np.concatenate([arrays[part], new[part]]) if "rows" in names else arrays[part]
                for part, (_, names) in self.layout.items()}  # fmt: skip


def half(values: np.ndarray, what: str) -> np.ndarray:
    """Half floats of finite numbers; one that only a wider float can hold is refused."""
    values = finite(np.asarray(values), what)
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16)
    if not np.isfinite(halves).all():
        raise DataError(f"{what}: {np.abs(values).max():.3g} is beyond half floats (65504). Rescale it, or keep fp32.")
    return halves


def finite(values: np.ndarray, what: str) -> np.ndarray:
    if not np.isfinite(values).all():
        at = np.argwhere(~np.isfinite(values))[0]
        raise DataError(f"{what}: row {at[0]} holds {values[tuple(at)]}. Vectors must be finite; did training diverge?")
    return values
