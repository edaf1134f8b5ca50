"""Codecs that a table can be trained through, by how it is then stored."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from torch import Tensor

from recdistill.errors import ConfigError
from recdistill.registry import Registry
from recdistill.tables.codec_names import BITS
from recdistill.tables.codecs import CODECS, CodedTable
from recdistill.tables.codecs.base import Codec
from recdistill.tables.codecs.floats import BFloat16Codec, Float16Codec
from recdistill.tables.codecs.grid import GridCodec
from recdistill.tables.codecs.grid_blocks import GroupedGridCodec, UniformGridCodec
from recdistill.tables.codecs.integers import Int8Codec
from recdistill.tables.codecs.low_rank import LowRankCodec
from recdistill.tables.codecs.mixed import MixedCodec
from recdistill.tables.codecs.mixed_dimension import MixedDimensionGridCodec, MixedDimensionHalfCodec
from recdistill.tables.codecs.product import ProductCodec
from recdistill.tables.codecs.residual import ResidualCodec
from recdistill.tables.learned_grid import LearnedGrid
from recdistill.tables.trained_blocks import BlockGrid, UniformGrid
from recdistill.tables.trained_centroids import ProductCentroids, ResidualCentroids
from recdistill.tables.trained_grid import GridCodes
from recdistill.tables.trained_half import HalfFloats
from recdistill.tables.trained_int8 import RowCodes
from recdistill.tables.trained_low_rank import LowRank
from recdistill.tables.trained_mixed import MixedDimension, MixedGrid


class TrainedCodec(Protocol):
    """A module: what it decodes in a step is, bit for bit, what `export` stores of the same rows."""

    def __call__(self, rows: Tensor, whole: Tensor, items: Tensor | None = None) -> Tensor:
        """`rows` (m, d), those of `items` (m,) or all of the `whole` table (n, d), as they are served; they get a
        gradient."""

    def export(self, whole: Tensor) -> CodedTable: ...


class NarrowedCodec(TrainedCodec, Protocol):
    """One whose rows may lose dimensions."""

    def export(self, whole: Tensor, columns: Tensor | None = None) -> CodedTable:
        """Of all dimensions, or of those (bool, (d,)) alone."""


Make = Callable[[str, Any, Tensor, Tensor], TrainedCodec]
"""Of the codec's name, the codec, the rows (n, d) that a table starts as, and how often each was used (n,)."""
_BY_CODEC: dict[type[Codec], Make] = {
    Float16Codec: lambda name, codec, rows, counts: HalfFloats(name),
    BFloat16Codec: lambda name, codec, rows, counts: HalfFloats(name),
    Int8Codec: lambda name, codec, rows, counts: RowCodes(name),
    GridCodec: lambda name, codec, rows, counts: GridCodes(name, codec.bits),
    GroupedGridCodec: lambda name, codec, rows, counts: BlockGrid(name, codec.bits, codec.group),
    UniformGridCodec: lambda name, codec, rows, counts: UniformGrid(name, codec.bits),
    MixedCodec: lambda name, codec, rows, counts: MixedGrid(name, codec.share, codec.head, codec.tail, counts),
    MixedDimensionHalfCodec: lambda name, codec, rows, counts: MixedDimension(
        name, codec.share, codec.few, HalfFloats("fp16"), rows, counts
    ),
    MixedDimensionGridCodec: lambda name, codec, rows, counts: MixedDimension(
        name, codec.share, codec.few, GridCodes(_grid(codec.inner), codec.inner.bits), rows, counts
    ),
    ProductCodec: lambda name, codec, rows, counts: ProductCentroids(name, codec.parts, rows),
    ResidualCodec: lambda name, codec, rows, counts: ResidualCentroids(name, rows),
    LowRankCodec: lambda name, codec, rows, counts: LowRank(name, codec.rank, rows),
}
LEARNED: Registry[Callable[[Tensor], TrainedCodec]] = Registry("codec whose step is learned")
for _name, _bits in BITS.items():
    LEARNED.register(_name, partial(LearnedGrid, _name, _bits))


def trained_codec(name: str, rows: Tensor, counts: Tensor | None = None) -> TrainedCodec:
    """The codec of this name for a table that starts as `rows` (n, d) and whose rows were used so often (n,); none: the
    longer the more often. Raises ConfigError where none can be trained through."""
    codec = CODECS[name]
    if type(codec) not in _BY_CODEC:
        raise ConfigError(f"codec {name!r}: a table cannot be trained through it. Convert to it: rd.compress.")
    return _BY_CODEC[type(codec)](name, codec, rows, rows.square().sum(1) if counts is None else counts)


def _grid(codec: GridCodec) -> str:
    return next(name for name, bits in BITS.items() if bits == codec.bits)
