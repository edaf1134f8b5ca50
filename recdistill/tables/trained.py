"""Codecs that a table can be trained through, by the name under which it is then stored."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from torch import Tensor

from recdistill.registry import Registry
from recdistill.tables.codec_names import BITS
from recdistill.tables.codecs import CodedTable
from recdistill.tables.learned_grid import LearnedGrid
from recdistill.tables.trained_grid import GridCodes
from recdistill.tables.trained_half import HalfFloats
from recdistill.tables.trained_int8 import RowCodes


class TrainedCodec(Protocol):
    """A module: what it decodes in a step is, bit for bit, what `export` stores of the same rows."""

    def __call__(self, rows: Tensor, whole: Tensor) -> Tensor:
        """`rows` (m, d) of the `whole` table (n, d) as they are served, with a gradient to `rows`."""

    def export(self, whole: Tensor, columns: Tensor | None = None) -> CodedTable:
        """Of all dimensions, or of those (bool, (d,)) alone."""


TRAINED: Registry[Callable[[Tensor], TrainedCodec]] = Registry("codec to train through")
LEARNED: Registry[Callable[[Tensor], TrainedCodec]] = Registry("codec whose step is learned")
TRAINED.register("fp16", partial(HalfFloats, "fp16"))
TRAINED.register("int8", partial(RowCodes, "int8"))
for _name, _bits in BITS.items():
    TRAINED.register(_name, partial(GridCodes, _name, _bits))
    LEARNED.register(_name, partial(LearnedGrid, _name, _bits))
