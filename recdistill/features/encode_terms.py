"""Categories, lists and texts as numbers."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, diags

from recdistill.features.encode_block import Encoded, leading_directions, unit_scale
from recdistill.features.table import Feature, Kind

WORD = re.compile(r"[^\W_]+")
LEAST_ROWS = 2
"""Rows that hold a level or a word, at least: what one row alone holds tells nothing of another."""
MOST_TERMS = 50_000
"""Levels or words of a column, the most frequent ones."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TermEncoder:
    """Categories, lists and texts as bags of terms: TF-IDF rows of length 1, cut to singular directions where wide.

    A category is one term, a list its levels, a text its words in lower case. A term's weight in a row is
    (1 + ln tf) · (1 + ln((1 + n) / (1 + df))), n the rows and df those that hold it (Salton and Buckley, 1988); the cut
    is latent semantic analysis (Deerwester et al., 1990).
    """

    kind: Kind
    terms: tuple[str, ...]
    idf: np.ndarray
    """float32 (terms,)"""
    directions: np.ndarray | None
    """float32 (terms, width); None where the terms are few, and stand for themselves."""
    scale: float

    @classmethod
    def fit(cls, column: Feature, width: int) -> TermEncoder:
        rows = terms_of(column)
        held = Counter(chain.from_iterable(map(set, rows)))
        frequent = sorted((term for term, n in held.items() if n >= LEAST_ROWS), key=lambda term: (-held[term], term))
        terms = tuple(sorted(frequent[:MOST_TERMS]))
        df = np.array([held[term] for term in terms], dtype=np.float64)
        idf = (1.0 + np.log((1.0 + len(rows)) / (1.0 + df))).astype(np.float32)
        plain = cls(kind=column.kind, terms=terms, idf=idf, directions=None, scale=1.0)
        if not terms:
            return plain
        weights = plain._weights(rows)
        directions = None if len(terms) <= width else leading_directions(weights, width)
        return cls(kind=column.kind, terms=terms, idf=idf, directions=directions, scale=unit_scale(weights, directions))

    @property
    def width(self) -> int:
        return len(self.terms) if self.directions is None else self.directions.shape[1]

    def encode(self, column: Feature) -> Encoded:
        weights = self._weights(terms_of(column))
        known = np.diff(weights.indptr) > 0
        dense = weights.toarray() if self.directions is None else weights @ self.directions
        return Encoded((dense * self.scale).astype(np.float32), known)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"idf": self.idf} | ({} if self.directions is None else {"directions": self.directions})

    def told(self) -> dict[str, Any]:
        return {"terms": list(self.terms), "scale": float(self.scale)}

    def _weights(self, rows: list[list[str]]) -> csr_matrix:
        """float32 (n, terms), rows of length 1; empty ones where no term is known."""
        place = {term: at for at, term in enumerate(self.terms)}
        counted = [Counter(place[term] for term in row if term in place) for row in rows]
        offsets = np.append(0, np.cumsum([len(row) for row in counted]))
        columns = np.fromiter(chain.from_iterable(counted), np.int64, offsets[-1])
        counts = np.fromiter(chain.from_iterable(row.values() for row in counted), np.float32, offsets[-1])
        values = (1.0 + np.log(counts)) * self.idf[columns]
        weights = csr_matrix((values, columns, offsets), shape=(len(rows), len(self.terms)))
        weights.sort_indices()
        length = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1)).ravel())
        return diags(1.0 / np.where(length > 0, length, 1.0)).astype(np.float32) @ weights


def terms_of(column: Feature) -> list[list[str]]:
    """The terms of each row, with repetition in a text alone."""
    values = column.values.to_pylist()
    if column.kind == "category":
        return [[one] if one else [] for one in values]
    if column.kind == "list":
        return [list(dict.fromkeys(level for level in one if level)) if one else [] for one in values]
    return [WORD.findall(one.casefold()) if one else [] for one in values]
