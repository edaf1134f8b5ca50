"""Tables in memory: pandas frames, Arrow tables, NumPy arrays, sparse matrices, whatever speaks Arrow's streams."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import sparse

from recdistill.data.formats.base import Source
from recdistill.errors import DataError


def in_memory(table: Any) -> Source:
    """The source that suits the type of `table`."""
    if isinstance(table, pd.DataFrame):
        return Frame(table)
    if isinstance(table, np.ndarray):
        return _array(table)
    if sparse.issparse(table):
        return _matrix(table)
    return InMemory(_arrow_table(table))


class InMemory(Source):
    """An Arrow table, whoever made it."""

    def __init__(self, table: pa.Table, *, where: str = "the table") -> None:
        self.where, self.names, self._table = where, list(table.column_names), table

    def columns(self, wanted: Mapping[str, str]) -> dict[str, pa.ChunkedArray]:
        return {role: _without_views(self._table[name]) for role, name in wanted.items()}


class Frame(Source):
    """A pandas frame; its index is not read."""

    where = "the pandas frame"

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame, self.names = frame, [str(name) for name in frame.columns]

    def columns(self, wanted: Mapping[str, str]) -> dict[str, pa.ChunkedArray]:
        place = {name: at for at, name in enumerate(self.names)}
        return {role: self._column(name, place[name]) for role, name in wanted.items()}

    def _column(self, name: str, place: int) -> pa.ChunkedArray:
        column = self.frame.iloc[:, place]
        if column.dtype == object:
            return object_column(column, f"{self.where}: column {name!r}")
        try:
            read = pa.array(column, from_pandas=True)
        except (pa.ArrowException, OverflowError, TypeError, ValueError) as fault:
            raise DataError(
                f"{self.where}: column {name!r} cannot be read: {_said(fault)}. Give it one type."
            ) from None
        return read if isinstance(read, pa.ChunkedArray) else pa.chunked_array([read])


def object_column(values: Any, at: str) -> pa.ChunkedArray:
    """Python objects as one Arrow column; UUIDs and integers beyond 64 bits as text. Mixed types are refused."""
    try:
        return pa.chunked_array([pa.array(values, from_pandas=True)])
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as fault:
        found = pd.Series(values, dtype=object)
        some = found[found.notna()]
        kinds = sorted({type(value).__name__ for value in some})
        if len(kinds) == 1 and isinstance(some.iloc[0], uuid.UUID | int):
            return pa.chunked_array([pa.array(found.map(str, na_action="ignore"), pa.string(), from_pandas=True)])
        what = f"it holds {' and '.join(kinds[:3])} values" if len(kinds) > 1 else _said(fault)
        raise DataError(f"{at} cannot be read: {what}. Give it one type.") from None


def _without_views(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Views of strings, which polars gives and few functions take, as plain strings."""
    kind = column.type
    if pa.types.is_dictionary(kind) and pa.types.is_string_view(kind.value_type):
        plain = [chunk.dictionary.cast(pa.large_string()).take(chunk.indices) for chunk in column.chunks]
        return pa.chunked_array(plain, pa.large_string())
    return column.cast(pa.large_string()) if pa.types.is_string_view(kind) else column


def _said(fault: BaseException) -> str:
    return " ".join(str(fault).split())[:200].rstrip(".")


def _arrow_table(table: Any) -> pa.Table:
    if isinstance(table, pa.Table):
        return table
    if isinstance(table, pa.RecordBatch):
        return pa.Table.from_batches([table])
    if not hasattr(table, "__arrow_c_stream__"):
        cure = "Call its collect() first." if hasattr(table, "collect") else "Give a path, a frame or a table."
        raise DataError(f"a log cannot be read from {type(table).__name__}. {cure}")
    try:
        return pa.table(table)
    except (pa.ArrowException, TypeError, ValueError) as fault:
        raise DataError(f"a log cannot be read from {type(table).__name__}: {_said(fault)}.") from None


def _array(array: np.ndarray) -> Source:
    """Rows of (user, item[, rating or time[, time]]), or a structured array with names."""
    if array.dtype.names:
        columns = {name: _array_column(array[name], name) for name in array.dtype.names}
        return InMemory(pa.table(columns), where="the array")
    if array.ndim != 2 or not 2 <= array.shape[1] <= 4:
        raise DataError(
            f"the array: its shape is {array.shape}; give (rows, 2 to 4), user, item, rating and time, or named fields."
        )
    columns = {
        f"column_{place + 1}": _array_column(array[:, place], f"column_{place + 1}") for place in range(array.shape[1])
    }
    source = InMemory(pa.table(columns), where="the array")
    source.headed = False
    source.typed = array.dtype.kind not in "US"
    return source


def _array_column(column: np.ndarray, name: str) -> pa.ChunkedArray:
    if column.dtype == object:
        return object_column(column, f"the array: column {name!r}")
    try:
        return pa.chunked_array([pa.array(np.ascontiguousarray(column))])
    except (pa.ArrowException, TypeError, ValueError) as fault:
        raise DataError(f"the array: column {name!r} cannot be read: {_said(fault)}.") from None


def _matrix(matrix: Any) -> Source:
    """Rows are users, columns items; what is stored is the rating."""
    if matrix.ndim != 2:
        raise DataError(f"the sparse matrix: it has {matrix.ndim} dimensions; rows are users and columns items.")
    if matrix.dtype.kind not in "biuf":
        raise DataError(f"the sparse matrix: it holds {matrix.dtype}; ratings are real numbers.")
    stored = matrix.tocoo()
    kept = stored.data != 0
    zeros = int(len(kept) - kept.sum())
    values = stored.data[kept].astype(np.float32) if matrix.dtype.kind == "b" else stored.data[kept]
    table = pa.table({"row": stored.row[kept], "column": stored.col[kept], "value": values})
    source = InMemory(table, where="the sparse matrix")
    source.roles = {"user_id": "row", "item_id": "column", "rating": "value"}
    source.notes = ("a sparse matrix: ids are the numbers of its rows and columns, from 0",)
    if zeros:
        source.notes += (f"{zeros:,} zeros that the matrix stores were left out",)
    return source
