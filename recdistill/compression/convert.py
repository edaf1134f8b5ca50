"""Convert a fitted model to another codec: the tables are coded once and served as stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recdistill.compression.eight_bits import Inputs, with_inputs
from recdistill.compression.rotation import rotation, turned
from recdistill.compression.sizes import size_in_bytes
from recdistill.errors import ConfigError
from recdistill.models.fitted import FittedRanker
from recdistill.serving.bag import BagScorer
from recdistill.tables.codecs import CODECS

if TYPE_CHECKING:
    from recdistill.data.interactions import Interactions
    from recdistill.models.base import Ranker
    from recdistill.serving.scorers import Scorer


def compress(
    student: Ranker,
    *,
    codec: str | None = None,
    budget: str | int | None = None,
    inputs: Inputs = "float",
    on: Interactions | None = None,
    seed: int = 0,
) -> FittedRanker:
    """The student stored by `codec` (fp16, int8, int4, pq16, …: docs/codecs.md), or by the most precise of the plain
    codecs within `budget` bytes ("100kB").

    Item weights and biases are stored in fp16 beside coded tables, in 8 bits beside those of fewer. `seed` draws the
    rotation that a model of vectors gets before a codec with scales shared by rows. `inputs`, with codec="int8", of a
    model with a network (a reranked one, a deep tower): "dynamic" multiplies whole numbers, the range of the inputs
    taken anew for each row, "static" by ranges measured before on the users of `on`. Raises ConfigError where neither
    or both of codec and budget are given, and where even the smallest codec is above the budget.
    """
    if inputs != "float" and codec != "int8":
        raise ConfigError(f"compress: inputs = {inputs!r} goes with codec='int8', found codec = {codec!r}")
    if (codec is None) == (budget is None):
        raise ConfigError("compress: give either codec='int8' or budget='100kB'")
    if codec is not None:
        small = converted(student.scorer, codec, seed=seed)
        if inputs != "float":
            small = small._replace(scorer=with_inputs(small.scorer, inputs, on))
        return _fitted(student, small)
    limit = size_in_bytes(budget if budget is not None else 0)
    sizes = {}
    for name in CODECS:  # registered from the most precise to the smallest
        small = converted(student.scorer, name, seed=seed)
        sizes[name] = small.scorer.nbytes
        if small.scorer.nbytes <= limit:
            return _fitted(student, small)
    name, size = min(sizes.items(), key=lambda pair: pair[1])
    raise ConfigError(
        f"budget {budget}: the smallest this student gets is {size / 1000:.0f} kB ({name}); use a smaller dim"
    )


class Converted(NamedTuple):
    scorer: Scorer
    turn: np.ndarray | None
    """(dimension, dimension) what all vectors were multiplied by, where they were."""


def converted(scorer: Scorer, codec: str, *, seed: int) -> Converted:
    """The scorer stored by another codec; tables that already are keep their codes."""
    stored = all(table == codec for table in scorer.config()["codecs"].values())
    if stored or not CODECS[codec].rotated or not isinstance(scorer, BagScorer):
        return Converted(scorer.quantized(codec), None)
    turn = rotation(scorer.dimension, np.random.default_rng(seed))
    return Converted(turned(scorer, turn).quantized(codec), turn)


def _fitted(student: Ranker, small: Converted) -> FittedRanker:
    fitted = FittedRanker.of(student, small.scorer, kind=student.kind)
    return fitted if small.turn is None else fitted.turned(small.turn)
