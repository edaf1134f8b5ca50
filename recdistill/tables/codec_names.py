"""Which codecs a table can be trained through, said without torch."""

from __future__ import annotations

from recdistill.tables.codecs import CODECS
from recdistill.tables.codecs.floats import Float32Codec
from recdistill.tables.codecs.sparse import SparseCodec
from recdistill.tables.codecs.sparse_marked import MarkedGridCodec, MarkedHalfCodec
from recdistill.tables.codecs.summed import SummedCodec

BITS = {"int4": 4, "int3": 3, "int2": 2, "binary": 1}
"""Of a value on an even grid with one step for each dimension."""
WITH_STEPS = tuple(BITS)
TRAINED_CODECS = ("fp16", "int8", *BITS)
"""That students for a limit are made of unless others are named, from the most precise to the smallest."""
MIXED = ("mixed40_4_2", "mixed40_4_1", "mixed20_4_1")
"""More bits for popular items than for the others: what a list is made of, and most histories."""
_NOT_THROUGH = (Float32Codec, SparseCodec, MarkedHalfCodec, MarkedGridCodec)
"""Floats as they are; and what keeps some values of a row, which pruning in training makes (`tables.pruned`)."""


def trained_through(name: str) -> bool:
    """Whether there is such a codec, and a table can be trained through it."""
    return name in CODECS and not isinstance(CODECS[name], _NOT_THROUGH)


def composed(name: str) -> bool:
    """Whether rows are sums of those of small tables, which are one table for both sides."""
    return isinstance(CODECS[name], SummedCodec)


def names_to_train() -> tuple[str, ...]:
    """The fixed names, and one of each family."""
    return tuple(name for name in (*CODECS, *CODECS.examples) if trained_through(name))
