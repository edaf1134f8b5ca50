"""Products of queries with chosen rows of a stored table, as it is stored: a codec without a way of its own is decoded.

A new codec that can do better than decoding registers its `Products` here, under the codec's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from recdistill.registry import Registry
from recdistill.tables.codecs import CodedTable

BLOCK_BYTES = 4_000_000
"""Of the float rows that are held at once."""


class Products(Protocol):
    def __call__(self, table: CodedTable, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """float32 (batch, m): queries (batch, columns) float32 with the rows (batch, m) int64; -inf where a row is
        negative."""


def products(table: CodedTable, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """By the codec's own way, where it has one."""
    way = PRODUCTS[table.codec] if table.codec in PRODUCTS else decoded  # noqa: SIM401 - a registry has no get
    return way(table, queries, rows)


def decoded(table: CodedTable, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The rows of some users at a time as floats."""
    scores = np.empty(rows.shape, np.float32)
    for part in _blocks(rows, table.shape[1]):
        values = table.rows(np.maximum(rows[part], 0).reshape(-1)).reshape(*rows[part].shape, -1)
        np.matmul(values, queries[part, :, None], out=scores[part, :, None])
    scores[rows < 0] = -np.inf
    return scores


def by_float(table: CodedTable, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """FAISS reads the table where it lies."""
    import faiss

    queries, rows = np.ascontiguousarray(queries, np.float32), np.ascontiguousarray(rows, np.int64)
    scores = np.empty(rows.shape, np.float32)
    values = table.matrix()
    if rows.size:
        faiss.fvec_inner_products_by_idx(  # type: ignore[attr-defined]
            faiss.swig_ptr(scores), faiss.swig_ptr(queries), faiss.swig_ptr(values), faiss.swig_ptr(rows),
            values.shape[1], *rows.shape,
        )  # fmt: skip
    return scores


def by_integer(table: CodedTable, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Sums of query times integer, each multiplied by its row's scale once."""
    codes, scales = table.arrays["codes"], table.arrays["scales"]
    scores = np.empty(rows.shape, np.float32)
    for part in _blocks(rows, table.shape[1]):
        values = codes[np.maximum(rows[part], 0)].astype(np.float32)
        np.matmul(values, queries[part, :, None], out=scores[part, :, None])
    scores *= scales[np.maximum(rows, 0)].astype(np.float32)
    scores[rows < 0] = -np.inf
    return scores


def _blocks(rows: np.ndarray, columns: int) -> Iterator[slice]:
    step = max(1, BLOCK_BYTES // (4 * max(1, columns) * max(1, rows.shape[1])))
    return (slice(start, start + step) for start in range(0, len(rows), step))


PRODUCTS: Registry[Products] = Registry("way to search a codec")
PRODUCTS.register("fp32", by_float)
PRODUCTS.register("int8", by_integer)
