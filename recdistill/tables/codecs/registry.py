"""Codecs by name: fixed ones, and families whose name holds a number."""

from __future__ import annotations

import re
from collections.abc import Callable

from recdistill.registry import Registry
from recdistill.tables.codecs.base import Codec
from recdistill.tables.codecs.double_hash import DoubleHashCodec
from recdistill.tables.codecs.floats import BFloat16Codec, Float16Codec, Float32Codec
from recdistill.tables.codecs.grid import GridCodec
from recdistill.tables.codecs.grid_blocks import GroupedGridCodec, UniformGridCodec
from recdistill.tables.codecs.integers import Int8Codec
from recdistill.tables.codecs.low_rank import LowRankCodec
from recdistill.tables.codecs.mixed import MixedCodec
from recdistill.tables.codecs.mixed_dimension import MixedDimensionGridCodec, MixedDimensionHalfCodec
from recdistill.tables.codecs.product import ProductCodec
from recdistill.tables.codecs.quotient import QuotientCodec
from recdistill.tables.codecs.residual import ResidualCodec
from recdistill.tables.codecs.sparse import SparseCodec
from recdistill.tables.codecs.sparse_marked import MarkedGridCodec, MarkedHalfCodec

GRID = r"(?:int(?P<bits>[234])|binary)"
NUMBER = r"[1-9]\d{0,8}"
SHARE = r"[1-9]\d?"
"""In percent."""
DIMENSIONS = rf"dims(?P<share>{SHARE})_(?P<few>0|{NUMBER})"


class Codecs(Registry[Codec]):
    """Iteration gives the fixed names alone, from the most precise to the smallest."""

    def __init__(self) -> None:
        super().__init__("codec")
        self._families: dict[str, tuple[re.Pattern[str], Callable[..., Codec]]] = {}
        self._made: dict[str, Codec] = {}

    def family(self, example: str, pattern: str, make: Callable[..., Codec]) -> None:
        """Names that fit the pattern, whose named groups are the numbers that `make` gets; `example` is one of them."""
        self._families[example] = re.compile(pattern), make

    @property
    def examples(self) -> tuple[str, ...]:
        """One name of each family."""
        return tuple(self._families)

    def __getitem__(self, name: str) -> Codec:
        return self._made[name] if self._in_family(name) else super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or self._in_family(name)

    def _known(self) -> tuple[str, ...]:
        return (*self._entries, *self._families)

    def _in_family(self, name: object) -> bool:
        """Whether a family has the name; its codec is made once."""
        if not isinstance(name, str) or name in self._made:
            return isinstance(name, str)
        for pattern, make in self._families.values():
            if match := pattern.fullmatch(name):
                self._made[name] = make(**{key: int(number) for key, number in match.groupdict().items() if number})
                return True
        return False


CODECS = Codecs()
CODECS.register("fp32", Float32Codec())
CODECS.register("fp16", Float16Codec())
CODECS.register("bf16", BFloat16Codec())
CODECS.register("int8", Int8Codec())
CODECS.register("int4", GridCodec(4))
CODECS.register("int3", GridCodec(3))
CODECS.register("int2", GridCodec(2))
CODECS.register("binary", GridCodec(1))
CODECS.family("int4_row", rf"{GRID}_row", GroupedGridCodec)
CODECS.family("int4_group32", rf"{GRID}_group(?P<group>{NUMBER})", GroupedGridCodec)
CODECS.family("int4_uniform", rf"{GRID}_uniform", UniformGridCodec)
CODECS.family("mixed10_4_2", rf"mixed(?P<share>{SHARE})_(?P<head>[234])_(?P<tail>[1234])", MixedCodec)
CODECS.family("fp16_dims10_16", rf"fp16_{DIMENSIONS}", MixedDimensionHalfCodec)
CODECS.family("int4_dims10_16", rf"{GRID}_{DIMENSIONS}", MixedDimensionGridCodec)
CODECS.family("pq8", rf"pq(?P<parts>{NUMBER})", ProductCodec)
CODECS.family("rq8", rf"rq(?P<stages>{NUMBER})", ResidualCodec)
CODECS.family("svd16", rf"svd(?P<rank>{NUMBER})", LowRankCodec)
CODECS.family("sparse16", rf"sparse(?P<kept>{NUMBER})", SparseCodec)
CODECS.family("fp16_sparse16", rf"fp16_sparse(?P<kept>{NUMBER})", MarkedHalfCodec)
CODECS.family("int4_sparse16", rf"{GRID}_sparse(?P<kept>{NUMBER})", MarkedGridCodec)
CODECS.family("qr64", rf"qr(?P<buckets>{NUMBER})", QuotientCodec)
CODECS.family("hash64", rf"hash(?P<buckets>{NUMBER})", DoubleHashCodec)
