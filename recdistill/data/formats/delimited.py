"""Comma-separated text with a header line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from recdistill.data.formats.base import Source
from recdistill.errors import DataError

OTHER_DELIMITERS = {"\t": "tabs", ";": "semicolons", "::": "'::'", "|": "'|'"}


class CommaSeparated(Source):
    """Ids are taken as they are spelled; ratings are declared numbers; times have the type that the first rows show."""

    typed = False

    def __init__(self, path: Path) -> None:
        self.path, self.where = path, str(path)
        with self._faults(), csv.open_csv(path, convert_options=self._options({})) as first:
            self._seen = first.schema
        self.names = self._seen.names

    def columns(self, wanted: Mapping[str, str]) -> dict[str, pa.ChunkedArray]:
        types = {name: self._type(role, name) for role, name in wanted.items()}
        with self._faults():
            try:
                table = csv.read_csv(self.path, convert_options=self._options(types))
            except pa.ArrowInvalid:  # again, row by row, for a message that has the row's number
                table = csv.read_csv(
                    self.path, csv.ReadOptions(use_threads=False), convert_options=self._options(types)
                )
        return {role: table[name] for role, name in wanted.items()}

    def fault_in_names(self) -> str:
        header = ",".join(self.names)
        for delimiter, called in OTHER_DELIMITERS.items():
            if delimiter in header:
                return f"The columns seem to be separated by {called}; save them separated by commas."
        return ""

    def _type(self, role: str, name: str) -> pa.DataType:
        if role == "rating":
            return pa.float32()
        if role == "timestamp":
            seen = self._seen.field(name).type
            return pa.float64() if pa.types.is_integer(seen) else seen
        return pa.string()

    def _options(self, types: dict[str, pa.DataType]) -> csv.ConvertOptions:
        return csv.ConvertOptions(
            column_types=types, include_columns=list(types), strings_can_be_null=True, null_values=[""]
        )

    def _faults(self) -> _Faults:
        return _Faults(self)


class _Faults:
    """Arrow's complaints as one line with the file and, where it can be had, the column's name."""

    def __init__(self, source: CommaSeparated) -> None:
        self.source = source

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: object) -> None:
        if not isinstance(fault, pa.ArrowInvalid | UnicodeDecodeError):
            return
        what = " ".join(str(fault).split())
        names = getattr(self.source, "names", [])
        what = (
            re.sub(r"In CSV column #(\d+)", lambda found: f"column {names[int(found[1])]!r}", what) if names else what
        )
        raise DataError(
            f"{self.source.where}: not a table of comma-separated values as expected: {what[:300]}."
        ) from None
