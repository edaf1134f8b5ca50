"""Parquet files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
from pyarrow import parquet

from recdistill.data.formats.base import Source
from recdistill.errors import DataError

T = TypeVar("T")


class Parquet(Source):
    """One file; only the columns that are wanted are read."""

    def __init__(self, path: Path) -> None:
        self.path, self.where = path, str(path)
        self.names = _whole(path, lambda: parquet.read_schema(path)).names

    def columns(self, wanted: Mapping[str, str]) -> dict[str, pa.ChunkedArray]:
        names = list(wanted.values())
        table = _whole(self.path, lambda: parquet.ParquetFile(self.path).read(columns=names))
        return {role: table[name] for role, name in wanted.items()}


def _whole(path: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as fault:
        if isinstance(fault, OSError) and fault.errno:
            raise  # the disk's fault, not the file's
        what = " ".join(str(fault).split())
        raise DataError(f"{path}: not a whole Parquet file: {what[:200]}. Write it again.") from None
