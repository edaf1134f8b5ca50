"""Convert a fitted model to another codec: the tables are coded once and served as stored."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from recdistill.errors import ConfigError
from recdistill.models.fitted import FittedRanker
from recdistill.tables.codecs import CODECS

if TYPE_CHECKING:
    from recdistill.models.base import Ranker

UNITS = {"b": 1, "kb": 1_000, "mb": 1_000_000, "gb": 1_000_000_000}


def compress(student: Ranker, *, codec: str | None = None, budget: str | int | None = None) -> FittedRanker:
    """The student stored by `codec` (fp16, int8), or by the most precise codec within `budget` bytes ("100kB").

    Item weights and biases are stored in fp16 beside coded tables. Raises ConfigError where neither or both are given,
    and where even the smallest codec is above the budget.
    """
    if (codec is None) == (budget is None):
        raise ConfigError("compress: give either codec='int8' or budget='100kB'")
    if codec is not None:
        return FittedRanker.of(student, student.scorer.quantized(codec), kind=student.kind)
    limit = _bytes(budget if budget is not None else 0)
    sizes = {}
    for name in CODECS:  # registered from the most precise to the smallest
        small = student.scorer.quantized(name)
        sizes[name] = small.nbytes
        if small.nbytes <= limit:
            return FittedRanker.of(student, small, kind=student.kind)
    name, size = min(sizes.items(), key=lambda pair: pair[1])
    raise ConfigError(
        f"budget {budget}: the smallest this student gets is {size / 1000:.0f} kB ({name}); use a smaller dim"
    )


def _bytes(budget: str | int) -> int:
    if isinstance(budget, int):
        return budget
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]?b)\s*", budget.lower())
    if not match:
        raise ConfigError(f"budget {budget!r}: write it like '100kB' or '1.5MB' (1 kB = 1,000 bytes)")
    return int(float(match[1]) * UNITS[match[2]])
