"""Residual quantisation (Chen et al., 2010): m stages of 256 centroids, each of what the stages before have left over.

A row takes m bytes; every stage has a codebook of 512 bytes a dimension. Codes are found greedily.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from recdistill.tables.codecs.base import Arrays, Codec, Layout, half
from recdistill.tables.codecs.centroids import CENTROIDS, codes_fault, learned, nearest


class ResidualCodec(Codec):
    short = True
    layout: ClassVar[Layout] = {
        "codes": (np.uint8, ("rows", "stages")),
        "codebooks": (np.float16, ("stages", "centroids", "columns")),
    }

    def __init__(self, stages: int) -> None:
        self.stages = stages

    def encode(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        left = matrix.astype(np.float32)
        books, codes = [], []
        for stage in range(self.stages):
            book = half(learned(left, stage), "codebooks")
            found = nearest(left, book.astype(np.float32))
            left -= book.astype(np.float32).take(found, axis=0)
            books.append(book)
            codes.append(found)
        return {"codes": np.stack(codes, axis=1), "codebooks": np.stack(books)}

    def encode_more(self, arrays: Arrays, matrix: np.ndarray) -> dict[str, np.ndarray]:
        left, codes = matrix.astype(np.float32), []
        for book in arrays["codebooks"].astype(np.float32):
            codes.append(nearest(left, book))
            left -= book.take(codes[-1], axis=0)
        return {"codes": np.stack(codes, axis=1), "codebooks": arrays["codebooks"]}

    def decode(self, arrays: Arrays, index: np.ndarray | slice) -> np.ndarray:
        codes = arrays["codes"][index]
        rows = np.zeros((len(codes), arrays["codebooks"].shape[2]), np.float32)
        for stage, book in enumerate(arrays["codebooks"].astype(np.float32)):
            rows += book.take(codes[:, stage], axis=0)
        return rows

    def nbytes(self, rows: int, columns: int) -> int:
        return self.stages * (rows + 2 * columns * min(CENTROIDS, max(1, rows)))

    def fault(self, arrays: Arrays) -> str | None:
        if arrays["codes"].shape[1] != self.stages:
            return f"'codes' must hold {self.stages} bytes a row, found {arrays['codes'].shape[1]}"
        return codes_fault(arrays["codes"], arrays["codebooks"].shape[1])
