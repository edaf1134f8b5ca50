"""Product quantisation (Jégou et al., 2011): a row is cut into m parts, each replaced by the nearest of 256 centroids.

A row takes m bytes, the codebooks 512 bytes a dimension: much for a few thousand rows, nothing for a million.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from recdistill.errors import ConfigError
from recdistill.tables.codecs.base import Arrays, Codec, Layout, half
from recdistill.tables.codecs.centroids import CENTROIDS, codes_fault, learned, nearest


class ProductCodec(Codec):
    """Parts differ by at most one dimension, so that any number of them is possible up to one for each dimension."""

    short = True
    layout: ClassVar[Layout] = {
        "codes": (np.uint8, ("rows", "parts")),
        "codebooks": (np.float16, ("centroids", "columns")),
    }
    """A centroid of part j stands in the columns of part j."""

    def __init__(self, parts: int) -> None:
        self.parts = self.narrowest = parts

    def encode(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        columns = matrix.shape[1]
        if not 0 < self.parts <= columns:
            raise ConfigError(f"pq{self.parts}: {columns} dimensions cannot be cut into {self.parts} parts.")
        books = [learned(matrix[:, part], seed) for seed, part in enumerate(parts_of(columns, self.parts))]
        return self.encode_more({"codebooks": half(np.concatenate(books, axis=1), "codebooks")}, matrix)

    def encode_more(self, arrays: Arrays, matrix: np.ndarray) -> dict[str, np.ndarray]:
        books = arrays["codebooks"]
        codes = [nearest(matrix[:, part], books[:, part].astype(np.float32))
                 for part in parts_of(matrix.shape[1], self.parts)]  # fmt: skip
        return {"codes": np.stack(codes, axis=1), "codebooks": books}

    def decode(self, arrays: Arrays, index: np.ndarray | slice) -> np.ndarray:
        codes, books = arrays["codes"][index], arrays["codebooks"].astype(np.float32)
        rows = np.empty((len(codes), books.shape[1]), np.float32)
        for place, part in enumerate(parts_of(books.shape[1], self.parts)):
            rows[:, part] = books[:, part].take(codes[:, place], axis=0)
        return rows

    def nbytes(self, rows: int, columns: int) -> int:
        return rows * self.parts + 2 * columns * min(CENTROIDS, max(1, rows))

    def fault(self, arrays: Arrays) -> str | None:
        if arrays["codes"].shape[1] != self.parts:
            return f"'codes' must hold {self.parts} bytes a row, found {arrays['codes'].shape[1]}"
        return codes_fault(arrays["codes"], len(arrays["codebooks"]))


def parts_of(columns: int, parts: int) -> list[slice]:
    """The first ones are longer by one where the columns cannot be cut evenly."""
    least, longer = divmod(columns, parts)
    ends = np.cumsum([least + (part < longer) for part in range(parts)])
    return [slice(int(end) - least - (part < longer), int(end)) for part, end in enumerate(ends)]
