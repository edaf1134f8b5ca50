"""What a student of a shape weighs, to the byte, before it is trained; and the shapes that fit a budget."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from recdistill.errors import ConfigError
from recdistill.serving.scorers import BagScorer
from recdistill.tables.codec_names import TRAINED_CODECS
from recdistill.tables.codecs import CODECS

UNITS = {"b": 1, "kb": 1_000, "mb": 1_000_000, "gb": 1_000_000_000}
NARROWEST, WIDEST = 8, 320
"""Dimensions of a student worth training."""
PLACES = 256
"""That a student has weights for, where order counts (`models.two_tower_order`)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A student with one table for both sides, trained through its codes."""

    codec: str
    dim: int
    bytes: int

    def settings(self) -> dict[str, Any]:
        """Of the two-tower model."""
        return {"codec": self.codec, "dim": self.dim, "table": "tied"}

    def __str__(self) -> str:
        return f"{self.codec}, d={self.dim}"


def size_in_bytes(size: str | int) -> int:
    """Bytes of "100kB" or "1.5MB" (1 kB = 1,000 bytes)."""
    if isinstance(size, int):
        return size
    if (found := parsed_size(size)) is None:
        raise ConfigError(f"budget {size!r}: write it like '100kB' or '1.5MB' (1 kB = 1,000 bytes)")
    return found


def budget_name(text: str) -> str:
    """The one way of writing a size that was written in another: "125 KB" as "125kB"."""
    number, unit = re.fullmatch(r"\s*([\d.]+)\s*(\w+)\s*", text).groups()  # type: ignore[union-attr]
    return f"{number}{unit.upper().replace('KB', 'kB')}"


def parsed_size(text: str) -> int | None:
    """The bytes that a text like "100kB" stands for; None where it is no size."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]?b)\s*", text.lower())
    return round(float(match[1]) * UNITS[match[2]]) if match else None


def student_bytes(n_items: int, codec: str, dim: int, *, ordered: bool = False, tied: bool = True) -> int:
    """Bytes of every array that a student of this shape answers from: codes, scales, biases, popularity, the weights of
    a tied table's items, and, where order counts, the weights of places, in half floats."""
    tables, vectors = (1, 3) if tied else (2, 2)  # the length of a history row is its weight
    return bag_bytes(n_items, codec, dim, tables=tables, vectors=vectors) + (2 * PLACES if ordered else 0)


def bag_bytes(n_items: int, codec: str, dim: int, *, tables: int, vectors: int) -> int:
    """Of so many tables of items, and arrays of one number for each item beside them."""
    return tables * CODECS[codec].nbytes(n_items, dim) + vectors * _vector_bytes(n_items, codec)


def widest(weighs: Callable[[int], int], limit: int, most: int = WIDEST) -> int:
    """The most dimensions, up to `most`, whose bytes are within the limit; 0 where not even one is."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if weighs(middle) <= limit else (low, middle - 1)
    return low


def shapes(n_items: int, limit: int, *, codecs: tuple[str, ...] = TRAINED_CODECS, ordered: bool = False) -> list[Shape]:
    """For every codec the widest student within `limit` bytes; too narrow ones are left out.

    Raises ConfigError, with the smallest there is, where none fits.
    """
    found = [widest_shape(n_items, codec, limit, ordered=ordered) for codec in codecs]
    fitting = [shape for shape in found if shape is not None]
    if not fitting:
        sizes = [(student_bytes(n_items, codec, narrowest(codec), ordered=ordered), codec) for codec in codecs]
        least, codec = min(sizes)
        raise ConfigError(
            f"budget of {limit / 1000:,.1f} kB: the smallest student of {n_items:,} items takes {least / 1000:,.1f} kB "
            f"({codec}, d={narrowest(codec)}). Give at least that."
        )
    return fitting


def widest_shape(n_items: int, codec: str, limit: int, *, ordered: bool = False) -> Shape | None:
    """Within `limit` bytes; None where even the narrowest is above."""

    def weighs(dim: int) -> int:
        return student_bytes(n_items, codec, dim, ordered=ordered)

    dim = widest(weighs, limit)
    return Shape(codec, dim, weighs(dim)) if dim >= narrowest(codec) else None


def narrowest(codec: str) -> int:
    """Dimensions that a student with this codec has at least."""
    return max(NARROWEST, CODECS[codec].narrowest)


@cache
def _vector_bytes(rows: int, codec: str) -> int:
    """By storing one: what a codec makes of it is said nowhere else."""
    return BagScorer(item_bias=np.zeros(rows, np.float32)).quantized(codec).nbytes
