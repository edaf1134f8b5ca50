"""Which format a file has, by its ending."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from recdistill.data.formats.base import Source
from recdistill.data.formats.delimited import CommaSeparated
from recdistill.data.formats.parquet import Parquet
from recdistill.registry import Registry

FORMATS: Registry[Callable[[Path], Source]] = Registry("file format")
for _ending in (".csv", ".tsv", ".txt", ".dat"):
    FORMATS.register(_ending, CommaSeparated)
for _ending in (".parquet", ".pq"):
    FORMATS.register(_ending, Parquet)
