"""What the rows of a column have in common: levels, mean, deviation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from recdistill.features.table import Feature


@dataclass(frozen=True, eq=False)
class Statistics:
    """Of the known values of one column; texts have none but the counts."""

    known: int
    missing: int
    levels: dict[str, int] = field(default_factory=dict)
    """Of a category or a list: the level, and the rows that hold it."""
    mean: float | np.ndarray | None = None
    """Of a number, or (dimension,) of a vector; None where nothing is known."""
    std: float | np.ndarray | None = None
    """The population's."""


def statistics(column: Feature) -> Statistics:
    known = len(column) - column.missing
    if column.kind not in ("number", "vector") or not known:
        return Statistics(known, column.missing, column.levels())
    values = column.array()
    values = values[~np.isnan(values).any(axis=tuple(range(1, values.ndim)))].astype(np.float64)
    mean, std = values.mean(axis=0), values.std(axis=0)
    if column.kind == "number":
        return Statistics(known, column.missing, mean=float(mean), std=float(std))
    return Statistics(known, column.missing, mean=mean, std=std)
