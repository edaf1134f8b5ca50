"""A random rotation of all vectors of a model: no score changes, and every dimension carries the same energy.

Dimensions of singular vectors differ in size by far; a grid with one scale for each, or one for all, wants them alike
(Suresh et al., 2017, rotate at random for the same reason).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from recdistill.serving.bag import BagScorer
from recdistill.tables.codecs import CodedTable


def turned(scorer: BagScorer, turn: np.ndarray) -> BagScorer:
    """The scorer with every table times an orthogonal matrix; products and lengths stay, but for rounding."""
    tables = {name: getattr(scorer, name) for name in scorer.table_fields}
    after: dict[str, Any] = {name: CodedTable.of(table.matrix().astype(np.float64) @ turn)
                             for name, table in tables.items() if table is not None}  # fmt: skip
    return replace(scorer, **after)


def rotation(dimension: int, rng: np.random.Generator) -> np.ndarray:
    """(dimension, dimension) orthogonal, drawn evenly from all."""
    matrix, upper = np.linalg.qr(rng.normal(size=(dimension, dimension)))
    turn: np.ndarray = matrix * np.where(np.diag(upper) < 0, -1.0, 1.0)
    return turn
