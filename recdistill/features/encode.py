"""A table of features as one matrix: a block of numbers for each column, all blocks of one scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from recdistill.errors import ConfigError, DataError
from recdistill.features.encode_columns import ColumnEncoder, fit_column, of_kind, restored
from recdistill.features.table import Features

WIDTH, WIDTH_ROWS, LEAST_WIDTH = 128, 16, 8
"""Numbers that a column becomes at most, how many rows each of them must stand for, and what it may always become."""


class EncodedFeatures(NamedTuple):
    """Rows of features as numbers."""

    matrix: np.ndarray
    """float32 (n, width): blocks side by side, zero where a value is not known."""
    missing: dict[str, int]
    """Rows without a value, or with none that the fitted rows share, by column."""
    blank: np.ndarray
    """bool (n,): the rows of which nothing is known."""
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class FeatureEncoder:
    """Learned from the rows that a model is fitted on, and from no others; encodes these and any others."""

    columns: dict[str, ColumnEncoder]
    source: str
    notes: tuple[str, ...] = ()
    """What each column became, and why others were left out."""

    @classmethod
    def fit(cls, features: Features, *, width: int | None = None) -> FeatureEncoder:
        """From `features.of(train.items)`: what is known of items that training never sees must not enter.

        A column becomes at most `width` numbers (none: by rule from the rows), and a mark where some of it is missing.
        Columns without a value, or with the same in every row, are left out, each with a note. Raises DataError where
        no column is left.
        """
        if width is None:
            width = min(WIDTH, max(LEAST_WIDTH, len(features) // WIDTH_ROWS))
        if width < 1:
            raise ConfigError(f"features: width = {width}: give at least 1.")
        found: dict[str, ColumnEncoder] = {}
        notes = []
        for name, column in features.columns.items():
            encoder = fit_column(column, width)
            if isinstance(encoder, str):
                notes.append(f"{features.source}: column {name!r} is left out: {encoder}")
                continue
            found[name] = encoder
            lacking = int((~encoder.encode(column).known).sum())
            told = f"; not known in {lacking:,} of {len(column):,} rows" if lacking else ""
            notes.append(f"{features.source}: column {name!r} ({column.kind}) as {encoder.width} numbers{told}")
        if not found:
            why = "; ".join(notes) or "it has no columns"
            raise DataError(f"{features.source}: no feature can be used ({why}). Give a table with values that differ.")
        return cls(found, features.source, tuple(notes))

    @property
    def width(self) -> int:
        return sum(column.width for column in self.columns.values())

    def transform(self, features: Features) -> EncodedFeatures:
        """Any rows, also of ids that were not fitted on; a column that is not there counts as not known.

        Raises DataError where the values of a column do not fit what was fitted on.
        """
        matrix = np.zeros((len(features), self.width), np.float32)
        blank = np.ones(len(features), dtype=bool)
        missing, notes, start = {}, [], 0
        for name, encoder in self.columns.items():
            part = slice(start, start + encoder.width)
            start = part.stop
            missing[name] = len(features)
            if name not in features.columns:
                notes.append(
                    f"{features.source}: no column {name!r}, which the model was fitted on: taken as not known"
                )
                continue
            at = f"{features.source}: column {name!r}"
            try:
                matrix[:, part], known = encoder.encode(of_kind(features.columns[name], encoder.kind, at))
            except DataError as fault:
                raise DataError(str(fault) if str(fault).startswith(at) else f"{at}: {fault}") from None
            missing[name] = int((~known).sum())
            blank &= ~known
        if lacking := [f"{name} in {count:,}" for name, count in missing.items() if count]:
            notes.append(f"{features.source}: of {len(features):,} rows not known: {', '.join(lacking)}")
        return EncodedFeatures(matrix, missing, blank, tuple(notes))

    def arrays(self) -> dict[str, np.ndarray]:
        """What is learned as arrays, by column and part; with `told` enough for `restored`."""
        return {
            f"{at}.{part}": array
            for at, column in enumerate(self.columns.values())
            for part, array in column.arrays().items()
        }

    def told(self) -> dict[str, Any]:
        """The rest, as JSON can hold it."""
        columns = [{"name": name, "kind": one.kind, "told": one.told()} for name, one in self.columns.items()]
        return {"source": self.source, "notes": list(self.notes), "columns": columns}

    @classmethod
    def restored(cls, told: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> FeatureEncoder:
        """The inverse of `told` and `arrays`."""
        columns = {}
        for at, one in enumerate(told["columns"]):
            own = {key.partition(".")[2]: array for key, array in arrays.items() if key.partition(".")[0] == str(at)}
            columns[one["name"]] = restored(one["kind"], one["told"], own)
        return cls(columns, told["source"], tuple(told["notes"]))
