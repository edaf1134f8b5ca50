"""Quotient and remainder (Shi et al., 2020): row i is the sum of row i // b of one small table and i % b of another.

With b near the root of the rows two tables of so many rows stand for all of them; no two rows share both.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from recdistill.tables.codecs.base import Layout
from recdistill.tables.codecs.summed import SummedCodec


class QuotientCodec(SummedCodec):
    """`buckets` is b, the rows of the table of remainders."""

    family: ClassVar[str] = "qr"
    names: ClassVar[tuple[str, str]] = ("quotients", "remainders")
    layout: ClassVar[Layout] = {
        "quotients": (np.float16, ("quotients", "columns")),
        "remainders": (np.float16, ("buckets", "columns")),
        "rows": (np.int64, ("one",)),
    }

    def places(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.divmod(rows, self.buckets)

    def sizes(self, rows: int) -> tuple[int, int]:
        return -(-rows // self.buckets), self.buckets
