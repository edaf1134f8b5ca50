"""Tables in memory: pandas frames, Arrow tables, and whatever speaks Arrow's stream interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from recdistill.data.formats.base import Source
from recdistill.errors import DataError


class InMemory(Source):
    """The index of a pandas frame is not read."""

    def __init__(self, table: Any) -> None:
        self.table = table
        self.pandas = type(table).__module__.partition(".")[0] == "pandas"
        self.where = "the pandas frame" if self.pandas else "the table"
        if not self.pandas and not isinstance(table, pa.Table):
            if not hasattr(table, "__arrow_c_stream__"):
                raise DataError(f"a log cannot be read from {type(table).__name__}. Give a path, a frame or a table.")
            self.table = pa.table(table)
        self.names = [str(name) for name in (table.columns if self.pandas else self.table.column_names)]

    def columns(self, wanted: Mapping[str, str]) -> dict[str, pa.ChunkedArray]:
        if not self.pandas:
            return {role: self.table[name] for role, name in wanted.items()}
        place = {name: at for at, name in enumerate(self.names)}
        return {role: self._pandas_column(name, place[name]) for role, name in wanted.items()}

    def _pandas_column(self, name: str, place: int) -> pa.ChunkedArray:
        try:
            column = pa.array(self.table.iloc[:, place], from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as fault:
            what = " ".join(str(fault).split())
            raise DataError(f"{self.where}: column {name!r} cannot be read: {what[:200]}. Give it one type.") from None
        return column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
