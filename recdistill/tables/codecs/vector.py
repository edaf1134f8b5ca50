"""One number for each item in eight bits: the weights and biases beside a table of few bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recdistill.errors import DataError
from recdistill.tables.codecs.base import finite

LEVELS = 255
PARTS = ("codes", "range")


@dataclass(frozen=True, eq=False)
class CodedVector:
    """value = offset + step · code, read where an array of numbers is; the codes alone stay in memory."""

    codes: np.ndarray
    """uint8 (n,)"""
    range: np.ndarray
    """float32 (2,): offset and step"""

    def __post_init__(self) -> None:
        for part, dtype, shape in (("codes", np.uint8, (self.codes.size,)), ("range", np.float32, (2,))):
            array: np.ndarray = getattr(self, part)
            if array.dtype != dtype or array.shape != shape:
                raise DataError(
                    f"{part!r} must be {np.dtype(dtype)} of shape {shape}, found {array.dtype} of shape {array.shape}."
                )
        finite(self.range, "'range'")

    @classmethod
    def of(cls, values: np.ndarray, what: str) -> CodedVector:
        """Of finite numbers (n,), the least and the greatest of which are kept as they are, but for float32."""
        values = finite(np.asarray(values, np.float32), what)
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
        span = np.array([low, (high - low) / LEVELS], np.float32)
        return cls(_codes(values, span), span)

    def with_more(self, values: np.ndarray) -> CodedVector:
        """With more numbers at the end, cut to the range that there is."""
        more = _codes(finite(np.asarray(values, np.float32), "more numbers"), self.range)
        return CodedVector(np.concatenate([self.codes, more]), self.range)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"codes": self.codes, "range": self.range}

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self._decoded(self.codes).astype(dtype or np.float32, copy=False)

    def __getitem__(self, index: Any) -> Any:
        """float32, decoded."""
        return self._decoded(self.codes[index])

    def __len__(self) -> int:
        return len(self.codes)

    def astype(self, dtype: Any) -> np.ndarray:
        return np.asarray(self, dtype)

    def min(self, initial: float) -> float:
        """The least of the numbers and `initial`."""
        return float(np.asarray(self).min(initial=initial))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of what is read."""
        return np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.codes.shape

    @property
    def ndim(self) -> int:
        return self.codes.ndim

    @property
    def size(self) -> int:
        return self.codes.size

    def _decoded(self, codes: np.ndarray) -> Any:
        offset, step = self.range
        return codes.astype(np.float32) * step + offset


def _codes(values: np.ndarray, span: np.ndarray) -> np.ndarray:
    offset, step = (float(one) for one in span)
    codes = np.rint((values.astype(np.float64) - offset) / (step or 1.0))
    return np.clip(codes, 0, LEVELS).astype(np.uint8)


Vector = np.ndarray | CodedVector


def vector_of(parts: Mapping[str, np.ndarray], name: str) -> CodedVector:
    """From the arrays that `CodedVector.arrays` named."""
    if set(parts) != set(PARTS):
        raise DataError(f"{name}: stored as {list(PARTS)}, found {sorted(parts)}.")
    try:
        return CodedVector(parts["codes"], parts["range"])
    except DataError as fault:
        raise DataError(f"{name}: {fault}") from None
