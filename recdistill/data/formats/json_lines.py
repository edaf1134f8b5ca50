"""JSON: one object in each line, or one array of objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from pyarrow import json as arrow_json

from recdistill.data.formats.base import Source
from recdistill.data.formats.raw import Raw
from recdistill.errors import DataError

BLOCK = 1 << 22
LARGEST = (1 << 31) - 1
SPACE = b" \t\r\n\xef\xbb\xbf"


class JsonLines(Source):
    """The objects' keys are the columns; a key that an object lacks is null there."""

    def __init__(self, raw: Raw) -> None:
        self.where, self.notes = raw.where, raw.notes
        stored = raw.buffer()
        if bytes(stored[:1024]).lstrip(SPACE)[:1] == b"[":
            stored = self._lines_of_array(bytes(stored))
        self._table = self._read(stored)
        try:
            self.names = list(self._table.column_names)
        except UnicodeDecodeError:
            found = _first_fault(bytes(stored)) or "a name of a column is not UTF-8 text"
            raise DataError(f"{self.where}: not JSON with one object in each line: {found}.") from None

    def columns(self, wanted: Mapping[str, str]) -> dict[str, pa.ChunkedArray]:
        return {role: self._column(name) for role, name in wanted.items()}

    def table(self) -> pa.Table:
        """With columns of lists, which a log has no use for."""
        return self._table

    def _column(self, name: str) -> pa.ChunkedArray:
        column = self._table[name]
        if pa.types.is_nested(column.type):
            raise DataError(
                f"{self.where}: column {name!r} holds {_called(column.type)}; give each value a key of its own."
            )
        try:
            column.validate(full=True)
        except (pa.ArrowInvalid, UnicodeDecodeError):
            raise DataError(f"{self.where}: column {name!r} is not UTF-8 text. Save the file as UTF-8.") from None
        return column

    def _read(self, stored: pa.Buffer) -> pa.Table:
        if not bytes(stored[:1024]).strip(SPACE) and not bytes(stored).strip(SPACE):
            raise DataError(f"{self.where}: the file is empty.")
        try:
            return _parsed(stored, BLOCK)
        except (pa.ArrowException, UnicodeDecodeError, ValueError) as fault:
            what = " ".join(str(fault).removeprefix("JSON parse error: ").split())[:200]
            found = _first_fault(bytes(stored)) or what
            raise DataError(f"{self.where}: not JSON with one object in each line: {found.rstrip('.')}.") from None

    def _lines_of_array(self, stored: bytes) -> pa.Buffer:
        try:
            rows = json.loads(stored.decode("utf-8-sig"))
        except (ValueError, RecursionError) as fault:
            raise DataError(f"{self.where}: not a whole JSON array: {' '.join(str(fault).split())[:200]}.") from None
        odd = next((place for place, row in enumerate(rows) if not isinstance(row, dict)), None)
        if odd is not None:
            raise DataError(
                f"{self.where}: element {odd + 1:,} of the array is no object. Write one object for each row."
            )
        self.notes = (*self.notes, "one JSON array of objects")
        return pa.py_buffer("\n".join(json.dumps(row) for row in rows).encode())


def _parsed(stored: pa.Buffer, block: int) -> pa.Table:
    options = arrow_json.ReadOptions(block_size=block)
    try:
        return arrow_json.read_json(pa.BufferReader(stored), read_options=options)
    except pa.ArrowInvalid as fault:
        if "straddling" not in str(fault) or block > BLOCK:
            raise
        return _parsed(stored, min(stored.size + 1, LARGEST))  # a line that one block does not hold


def _called(kind: pa.DataType) -> str:
    return "objects" if pa.types.is_struct(kind) or pa.types.is_map(kind) else "lists"


def _first_fault(stored: bytes) -> str | None:
    """The number of the line where it goes wrong, and how; read slowly, since something is wrong anyway."""
    kinds: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(stored.split(b"\n"), start=1):
        if not line.strip(SPACE + b"\0"):
            if line.strip(SPACE):
                return f"line {number:,} holds NUL bytes"
            continue
        try:
            row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError:
            return f"line {number:,} is not UTF-8 text"
        except (ValueError, RecursionError) as fault:
            return f"line {number:,}: {' '.join(str(fault).split())[:120]}"
        if not isinstance(row, dict):
            return f"line {number:,} holds no object"
        for name, value in row.items():
            kind = _kind(value)
            before = kinds.setdefault(name, (kind, number)) if kind else (kind, number)
            if before[0] != kind:
                return f"column {name!r} holds {kind} in line {number:,} and {before[0]} in line {before[1]:,}"
    return None


def _kind(value: Any) -> str:
    """What Arrow does not mix in one column; empty for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    return "text" if isinstance(value, str) else "an object" if isinstance(value, dict) else "a list"
