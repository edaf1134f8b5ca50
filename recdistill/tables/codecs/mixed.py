"""Two precisions in one table: popular rows on a finer grid than the others.

Half of what people use are a few items; an error in these costs more people.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from recdistill.tables.codecs import grid
from recdistill.tables.codecs.base import Arrays, Codec, Layout
from recdistill.tables.codecs.marks import heads_of, marked, marks_bytes, places, share_of, unmarked
from recdistill.tables.codecs.packing import packed_bytes


class MixedCodec(Codec):
    """`share` percent of the rows in `head` bits, the others in `tail` bits; one scale for each dimension of both."""

    short = rotated = True
    layout: ClassVar[Layout] = {
        "heads": (np.uint8, ("marks",)),
        "head_codes": (np.uint8, ("head", "head bytes")),
        "tail_codes": (np.uint8, ("tail", "tail bytes")),
        "head_scales": (np.float16, ("columns",)),
        "tail_scales": (np.float16, ("columns",)),
    }
    """`heads` is one bit for each row, the lowest first: whether it is of the finer grid."""

    def __init__(self, share: int, head: int, tail: int) -> None:
        self.share, self.head, self.tail = share, head, tail

    def encode(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        """Where no weights of rows are known the longest are taken for the popular ones."""
        return self.encode_weighed(matrix, np.square(matrix).sum(axis=1))

    def encode_weighed(self, matrix: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
        heads = heads_of(weights, self.share)
        first, second = matrix[heads], matrix[~heads]
        head_scales, tail_scales = grid.scales(first, self.head), grid.scales(second, self.tail)
        return {
            "heads": marked(heads),
            "head_codes": grid.codes(first, head_scales, self.head),
            "tail_codes": grid.codes(second, tail_scales, self.tail),
            "head_scales": head_scales,
            "tail_scales": tail_scales,
        }

    def decode(self, arrays: Arrays, index: np.ndarray | slice) -> np.ndarray:
        heads, place = places(arrays["heads"], self.shape(arrays)[0], index)
        rows = np.empty((len(place), self.columns(arrays)), np.float32)
        for some, part, bits in ((heads, "head", self.head), (~heads, "tail", self.tail)):
            rows[some] = grid.decode(arrays[f"{part}_codes"][place[some]], arrays[f"{part}_scales"], bits)
        return rows

    def with_more(self, arrays: Arrays, matrix: np.ndarray) -> dict[str, np.ndarray]:
        """New rows are of the coarser grid: nobody has used them yet."""
        more = grid.codes(matrix, arrays["tail_scales"], self.tail)
        marks = np.append(self._marks(arrays), np.zeros(len(matrix), bool))
        return {
            **arrays,
            "heads": marked(marks),
            "tail_codes": np.concatenate([arrays["tail_codes"], more]),
        }

    def nbytes(self, rows: int, columns: int) -> int:
        heads = share_of(rows, self.share)
        head, tail = (packed_bytes(columns, bits) for bits in (self.head, self.tail))
        return marks_bytes(rows) + heads * head + (rows - heads) * tail + 4 * columns

    def shape(self, arrays: Arrays) -> tuple[int, int]:
        return len(arrays["head_codes"]) + len(arrays["tail_codes"]), self.columns(arrays)

    def fault(self, arrays: Arrays) -> str | None:
        rows, columns = self.shape(arrays)
        if len(arrays["heads"]) != marks_bytes(rows) or int(self._marks(arrays).sum()) != len(arrays["head_codes"]):
            return f"'heads' must mark {len(arrays['head_codes'])} of {rows} rows"
        return grid.codes_fault(arrays["head_codes"], columns, self.head) or grid.codes_fault(
            arrays["tail_codes"], columns, self.tail
        )

    def _marks(self, arrays: Arrays) -> np.ndarray:
        return unmarked(arrays["heads"], self.shape(arrays)[0])
