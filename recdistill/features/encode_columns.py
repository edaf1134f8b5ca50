"""One column of features as numbers: what is learned from the rows that a model is fitted on, applied to any others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_matrix

from recdistill.errors import DataError
from recdistill.features.encode_block import Encoded, leading_directions, unit_scale
from recdistill.features.encode_terms import LEAST_ROWS, TermEncoder, terms_of
from recdistill.features.table import Feature, Kind
from recdistill.features.values import feature

OUTLYING = 0.01
"""Share of the numbers on each side that is brought to the edge of the others."""
KNOTS, KNOT_ROWS = 12, 10
"""Knots of a number at most, and how many rows each must stand for."""
FARTHEST = 5.0
"""Standard deviations that a number is brought to where nearly all others are the same."""


def of_kind(column: Feature, kind: Kind, at: str) -> Feature:
    """`column` read as this kind: a short table may show another kind than the whole one did.

    `at` names it in errors; raises DataError where its values do not fit.
    """
    return column if column.kind == kind else feature(column.values, kind, at)


@dataclass(frozen=True, eq=False, kw_only=True)
class NumberEncoder:
    """Standardised, outlying numbers brought in first; and how near a number is to each of some knots, in straight
    lines from 1 at the knot to 0 at the next, so that a map of it may bend there.

    A missing number is zero throughout, with a mark where fitted rows lack it.
    """

    kind: ClassVar[Kind] = "number"
    low: float
    high: float
    mean: float
    std: float
    knots: np.ndarray
    """float64, rising quantiles of the fitted numbers; empty where these are too few to bend between."""
    marked: bool

    @classmethod
    def fit(cls, column: Feature) -> NumberEncoder:
        values = column.array()
        known = values[np.isfinite(values)]
        low, high = (float(edge) for edge in np.quantile(known, [OUTLYING, 1 - OUTLYING]))
        within = known.clip(low, high)
        if within.std() == 0:  # nearly all the same: it is the others that tell
            within, reach = known, FARTHEST * known.std()
            low, high = float(known.mean() - reach), float(known.mean() + reach)
        knots = np.unique(np.quantile(within, np.linspace(0, 1, min(KNOTS, 1 + len(known) // KNOT_ROWS))))
        return cls(
            low=low, high=high, mean=float(within.mean()), std=float(within.std()) or 1.0,
            knots=knots if len(knots) > 2 else knots[:0], marked=len(known) < len(values),
        )  # fmt: skip

    @property
    def width(self) -> int:
        return 1 + len(self.knots) + self.marked

    def encode(self, column: Feature) -> Encoded:
        values = column.array()
        known = np.isfinite(values)
        within = values[known].clip(self.low, self.high)
        matrix = np.zeros((len(values), self.width), np.float32)
        matrix[known, 0] = (within - self.mean) / self.std
        for place, one in enumerate(np.eye(len(self.knots)), 1):
            matrix[known, place] = np.interp(within, self.knots, one)
        if self.marked:
            matrix[~known, -1] = 1.0
        return Encoded(matrix, known)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"knots": self.knots}

    def told(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("low", "high", "mean", "std", "marked")}


@dataclass(frozen=True, eq=False, kw_only=True)
class VectorEncoder:
    """Vectors with every number standardised, cut to principal directions where they are long."""

    kind: ClassVar[Kind] = "vector"
    mean: np.ndarray
    """float32 (dimension,)"""
    std: np.ndarray
    """float32 (dimension,); 0 where all fitted rows have the same number, which is left out."""
    directions: np.ndarray | None
    scale: float

    @classmethod
    def fit(cls, column: Feature, width: int) -> VectorEncoder:
        values = column.array()
        values = values[np.isfinite(values).all(axis=1)].astype(np.float64)
        mean, std = values.mean(axis=0).astype(np.float32), values.std(axis=0).astype(np.float32)
        plain = cls(mean=mean, std=std, directions=None, scale=1.0)
        standard = plain._standard(values)
        directions = None if standard.shape[1] <= width else leading_directions(csr_matrix(standard), width)
        return cls(mean=mean, std=std, directions=directions, scale=unit_scale(csr_matrix(standard), directions))

    @property
    def width(self) -> int:
        return len(self.mean) if self.directions is None else self.directions.shape[1]

    def encode(self, column: Feature) -> Encoded:
        values = column.array()
        if values.shape[1] != len(self.mean):
            raise DataError(
                f"vectors of {values.shape[1]} numbers where the model was fitted on {len(self.mean)}. Give vectors of "
                "the same source."
            )
        known = np.isfinite(values).all(axis=1)
        matrix = np.zeros((len(values), self.width), np.float32)
        standard = self._standard(values[known])
        matrix[known] = (standard if self.directions is None else standard @ self.directions) * self.scale
        return Encoded(matrix, known)

    def arrays(self) -> dict[str, np.ndarray]:
        kept = {"mean": self.mean, "std": self.std}
        return kept | ({} if self.directions is None else {"directions": self.directions})

    def told(self) -> dict[str, Any]:
        return {"scale": float(self.scale)}

    def _standard(self, values: np.ndarray) -> np.ndarray:
        varied = self.std > 0
        standard: np.ndarray = (values - self.mean) / np.where(varied, self.std, 1.0) * varied
        return standard.astype(np.float32)


ColumnEncoder = NumberEncoder | TermEncoder | VectorEncoder
"""Each has `kind`, `width`, `encode`, and, for disk, `arrays` and `told` (what JSON holds beside them)."""


def fit_column(column: Feature, width: int) -> ColumnEncoder | str:
    """The encoder of a column, of at most `width` numbers (and a mark), or the reason why there is none."""
    if not _some(column):
        return "no row that is fitted on has a value"
    if column.kind == "number":
        found: ColumnEncoder = NumberEncoder.fit(column)
    elif column.kind == "vector":
        found = VectorEncoder.fit(column, width)
    else:
        found = TermEncoder.fit(column, width)
        if not found.width:
            return f"no {'word' if column.kind == 'text' else 'level'} is in {LEAST_ROWS} rows that are fitted on"
    matrix = found.encode(column).matrix
    if len(matrix) and np.ptp(matrix, axis=0).max() < 1e-6:
        return "the same in every row that is fitted on"
    return found


def restored(kind: Kind, told: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> ColumnEncoder:
    """The inverse of `told` and `arrays`."""
    if kind == "number":
        return NumberEncoder(**told, knots=arrays["knots"])
    directions = arrays.get("directions")
    if kind == "vector":
        return VectorEncoder(mean=arrays["mean"], std=arrays["std"], directions=directions, scale=told["scale"])
    terms = tuple(told["terms"])
    return TermEncoder(kind=kind, terms=terms, idf=arrays["idf"], directions=directions, scale=told["scale"])


def _some(column: Feature) -> bool:
    """Whether any row has a value; NaN, an empty string and an empty list are none."""
    if column.kind in ("number", "vector"):
        values = column.array().reshape(len(column), -1)
        return bool(values.size and np.isfinite(values).all(axis=1).any())
    return any(map(bool, terms_of(column)))
