"""Eight bits a value."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from recdistill.tables.codecs.base import Arrays, Codec, Layout, half


class Int8Codec(Codec):
    """Symmetric integers -127..127 with one half-float scale per row: a quarter of the bytes plus two a row."""

    layout: ClassVar[Layout] = {"codes": (np.int8, ("rows", "columns")), "scales": (np.float16, ("rows",))}

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

    def nbytes(self, rows: int, columns: int) -> int:
        return rows * (columns + 2)
