"""What a retriever searches: stored vectors and biases, asked with query vectors rather than with histories."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from recdistill.errors import DataError
from recdistill.serving.base import Scorer, check_shape
from recdistill.serving.histories import Histories
from recdistill.tables.codecs import CodedTable, Vector


@dataclass(frozen=True, eq=False, kw_only=True)
class Items(Scorer):
    """score = query · row + bias; asked with `Queries` in place of histories."""

    form: ClassVar[str] = "items"
    table_fields: ClassVar[tuple[str, ...]] = ("item_table",)
    array_fields: ClassVar[tuple[str, ...]] = ("item_bias",)
    vector_fields: ClassVar[tuple[str, ...]] = ("item_bias",)

    item_table: CodedTable
    item_bias: Vector | None = None

    def __post_init__(self) -> None:
        if not self.n_items or not self.dimension:
            raise DataError(f"retriever: needs at least one vector of one number, found shape {self.item_table.shape}.")
        if self.item_bias is not None:
            check_shape("bias", self.item_bias.shape, (self.n_items,))
            if not np.isfinite(self.item_bias).all():
                raise DataError("bias: holds what is not a finite number; did training diverge?")

    def __len__(self) -> int:
        return len(self.item_table)

    @property
    def n_items(self) -> int:
        return len(self.item_table)

    @property
    def vectors(self) -> bool:
        return True

    @property
    def dimension(self) -> int:
        return self.item_table.shape[1]

    @cached_property
    def biases(self) -> np.ndarray | None:
        """As float32."""
        return None if self.item_bias is None else self.item_bias.astype(np.float32)

    def bias_of(self, rows: np.ndarray | slice) -> np.ndarray | None:
        return None if self.biases is None else self.biases[rows]

    def unknown(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        return np.zeros(len(histories), bool)

    def user_vectors(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        assert isinstance(histories, Queries)
        return histories.vectors

    def item_vectors(self) -> np.ndarray:
        return self.item_table.matrix()

    def score(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        scores: np.ndarray = self.user_vectors(histories) @ self.item_table.matrix().T
        return scores if self.biases is None else scores + self.biases

    def with_more(self, vectors: np.ndarray, bias: np.ndarray | None) -> Items:
        """With rows appended, in the codec of the table; a bias not given is zero."""
        old = self.item_table
        if vectors.ndim != 2 or vectors.shape[1] != self.dimension:
            raise DataError(f"vectors to add must be of the shape (some, {self.dimension}), found {vectors.shape}.")
        table = old.with_more(vectors)
        if self.item_bias is None and bias is None:
            return Items(item_table=table)
        both = [np.zeros(n, np.float32) if given is None else np.asarray(given, np.float32)
                for n, given in ((len(self), self.item_bias), (len(vectors), bias))]  # fmt: skip
        return Items(item_table=table, item_bias=np.concatenate(both))


class Queries(Histories):
    """Query vectors (batch, dimension) where histories are expected."""

    def __init__(self, vectors: np.ndarray) -> None:
        super().__init__(np.zeros(len(vectors) + 1, np.int64), np.zeros(0, np.int64))
        object.__setattr__(self, "vectors", vectors)

    vectors: np.ndarray

    def take(self, index: slice | np.ndarray) -> Queries:
        return Queries(self.vectors[index])


def query_vectors(queries: np.ndarray, dimension: int) -> np.ndarray:
    """(batch, dimension) float32, contiguous. Raises DataError for another shape, or for what is not finite."""
    queries = np.ascontiguousarray(queries, np.float32)
    if queries.ndim != 2 or queries.shape[1] != dimension:
        raise DataError(f"queries must be of the shape (batch, {dimension}), found {queries.shape}.")
    finite = np.isfinite(queries).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise DataError(f"queries: row {row} holds what is not a finite number; did training diverge?")
    return queries
