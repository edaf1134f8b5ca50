"""A matrix as the product of two thin ones, by its singular vectors (Eckart and Young, 1936)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from recdistill.tables.codecs.base import Arrays, Codec, Layout, half


class LowRankCodec(Codec):
    """Worth it where rows are long: a square item-to-item map, a table of side features."""

    layout: ClassVar[Layout] = {"left": (np.float16, ("rows", "rank")), "right": (np.float16, ("rank", "columns"))}

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def encode(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        rank = self._rank(*matrix.shape)
        if not rank:
            return {"left": np.zeros((len(matrix), 0), np.float16), "right": np.zeros((0, matrix.shape[1]), np.float16)}
        left, sizes, right = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
        roots = np.sqrt(sizes[:rank])
        return {"left": half(left[:, :rank] * roots, "left"), "right": half(roots[:, None] * right[:rank], "right")}

    def encode_more(self, arrays: Arrays, matrix: np.ndarray) -> dict[str, np.ndarray]:
        left = matrix.astype(np.float64) @ np.linalg.pinv(arrays["right"].astype(np.float64))
        return {"left": half(left, "left"), "right": arrays["right"]}

    def decode(self, arrays: Arrays, index: np.ndarray | slice) -> np.ndarray:
        left, right = arrays["left"][index].astype(np.float32), arrays["right"].astype(np.float32)
        rows = np.zeros((len(left), right.shape[1]), np.float32)
        for column, row in zip(left.T, right, strict=True):
            rows += column[:, None] * row  # a matrix product would round differently for few rows and for many
        return rows

    def nbytes(self, rows: int, columns: int) -> int:
        return 2 * self._rank(rows, columns) * (rows + columns)

    def _rank(self, rows: int, columns: int) -> int:
        return min(self.rank, rows, columns)
