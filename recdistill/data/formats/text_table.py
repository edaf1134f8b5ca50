"""Rows of delimited text parsed into columns whose types are tried one after the other, until one fits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from recdistill.data.formats.scan import Scan, count_lines, line_ends_in_quotes, open_quote, scan
from recdistill.data.formats.sniff import check_western, decode_western
from recdistill.errors import DataError

BLOCK, LARGE_BLOCK, SHORT = 1 << 20, 1 << 28, 1 << 10
WITH_COMMA = r"-?[0-9]+(,[0-9]*)?"
"""A number whose decimals come after a comma, where it has any."""
DECIMAL_COMMA = (
    "That is a decimal comma: write decimals with a point, or write all of the column's with commas and separate the "
    "columns by ; or tab."
)
Ladders = Mapping[int, tuple[pa.DataType | None, ...]]
"""The types to try for the column at a place; None lets the text suggest one."""


@dataclass(eq=False)
class TextTable:
    """What follows the header of a text; its columns are called by their places, "0", "1", ..."""

    where: str
    names: list[str]
    data: pa.Buffer
    delimiter: str
    """One character."""
    quoted: bool
    decimal_point: str = "."
    western: bool = False
    """Whether the text turned out to be Windows' latin-1 on the way."""

    @cached_property
    def seen(self) -> Scan:
        return scan(self.data, self.delimiter)

    def read(self, ladders: Ladders, *, one_line: bool = True) -> pa.Table:
        """The columns in `ladders`, each with the first of its types that fits all rows.

        `one_line` refuses fields that go over several lines: ids do not, texts may.
        """
        if self.seen.nul is not None:
            line = bytes(self.data[: self.seen.nul]).count(b"\n") + 1
            raise DataError(
                f"{self.where}: data row {line:,} holds a NUL byte: the file is damaged or no text. Write it again."
            )
        if not self.data[:SHORT].to_pybytes().strip() and not self.data.to_pybytes().strip():  # Arrow wants a row
            return pa.table({str(at): pa.array([], types[0] or pa.string()) for at, types in ladders.items()})
        over_lines = self.quoted and self.seen.quotes and line_ends_in_quotes(self.data)
        if over_lines:
            self._refuse_open_quote()
        table = self._parsed(dict(ladders), over_lines)
        if not over_lines and self.quoted and self.seen.quotes and len(table) != count_lines(self.data):
            table, over_lines = self._parsed(dict(ladders), True), True
        if over_lines and one_line:
            self._refuse_several_lines(table)
        return table

    def _parsed(self, ladders: dict[int, tuple[pa.DataType | None, ...]], over_lines: bool) -> pa.Table:
        """Climb down the ladder of whichever column Arrow complains of."""
        while True:
            try:
                table = self._read_csv({at: types[0] for at, types in ladders.items()}, over_lines)
                if not any(pa.types.is_binary(kind) for kind in table.schema.types):
                    return table
                what = "invalid UTF8"
            except pa.ArrowInvalid as fault:
                what = str(fault)
            column = re.search(r"In CSV column #(\d+):", what)
            if "invalid UTF8" in what:
                self._take_as_western()
            elif column is not None and len(ladders[int(column[1])]) > 1:
                ladders[int(column[1])] = ladders[int(column[1])][1:]
            elif column is not None and self._has_decimal_commas(int(column[1])):
                self.decimal_point = ","
            elif column is not None:
                self._refuse_value(int(column[1]), what)
            elif ("out of sync" in what or "straddling" in what) and not over_lines:
                over_lines = True
            else:
                self._refuse_rows(what, over_lines)

    def _read_csv(
        self, types: Mapping[int, pa.DataType | None], over_lines: bool = False, *, threads: bool = True
    ) -> pa.Table:
        block = min(LARGE_BLOCK, max(BLOCK, self.data.size)) if over_lines else BLOCK
        return csv.read_csv(
            pa.BufferReader(self.data),
            csv.ReadOptions(
                use_threads=threads, block_size=block, column_names=[str(at) for at in range(len(self.names))]
            ),
            csv.ParseOptions(
                delimiter=self.delimiter, quote_char='"' if self.quoted else False, newlines_in_values=over_lines
            ),
            csv.ConvertOptions(
                column_types={str(at): kind for at, kind in types.items() if kind is not None},
                include_columns=[str(at) for at in types],
                strings_can_be_null=True,
                null_values=[""],
                decimal_point=self.decimal_point,
            ),
        )

    def _take_as_western(self) -> None:
        stored = self.data.to_pybytes()
        try:
            stored.decode()
        except UnicodeDecodeError as fault:
            check_western(stored, fault, self.where)
        self.data, self.western = pa.py_buffer(decode_western(stored).encode()), True

    def _texts(self, place: int) -> pa.ChunkedArray:
        return replace(self)._parsed({place: (pa.large_string(),)}, False)[str(place)]

    def _has_decimal_commas(self, place: int) -> bool:
        if self.delimiter == "," or self.decimal_point == ",":
            return False
        numbers = pc.match_substring_regex(self._texts(place), rf"^\s*{WITH_COMMA}\s*$")
        return bool(pc.all(numbers).as_py())

    def _refuse_value(self, place: int, what: str) -> None:
        found = re.search(r"invalid value '(.*)'", what, flags=re.DOTALL)
        value, name = found[1].strip() if found else what, self.names[place]
        row = pc.index(pc.utf8_trim_whitespace(self._texts(place)), value).as_py() + 1
        if value == name:
            raise DataError(f"{self.where}: data row {row:,} is the header once more. Remove that line.")
        raise DataError(
            f"{self.where}: column {name!r}: it must hold numbers; data row {row:,} has {value[:80]!r}. "
            + (DECIMAL_COMMA if re.fullmatch(WITH_COMMA, value) else "Mend or drop that row.")
        )

    def _refuse_rows(self, what: str, over_lines: bool) -> None:
        try:
            self._read_csv({0: pa.large_string()}, over_lines, threads=False)
        except pa.ArrowInvalid as fault:  # row by row this time: its message has the row's number
            what = str(fault)
        if "straddling" in what or "out of sync" in what:
            raise DataError(f"{self.where}: a quoted field goes on to the end of the text. Close the quote.")
        what = " ".join(what.split())
        row = re.search(r"Row #(\d+): (.*)", what)
        said = f"data row {int(row[1]):,}: {row[2][:160]}" if row else what[:200]
        raise DataError(f"{self.where}: {said.removeprefix('CSV parse error: ')}. Mend or drop that row.")

    def _refuse_open_quote(self) -> None:
        """A quote that is not closed swallows the rows after it, up to a quote that closes no field."""
        row = open_quote(self.data, self.delimiter)
        if row is not None:
            raise DataError(
                f"{self.where}: data row {row:,}: a field in quotes goes on over several lines, and what follows it is "
                "no end of a field: a quote that is not closed? Close it, or remove it."
            )

    def _refuse_several_lines(self, table: pa.Table) -> None:
        for at in table.column_names:
            if pa.types.is_string(table[at].type) or pa.types.is_large_string(table[at].type):
                broken = pc.match_substring_regex(table[at], r"[\r\n]")
                if pc.any(broken).as_py():
                    row = pc.index(broken, pa.scalar(True)).as_py() + 1
                    raise DataError(
                        f"{self.where}: column {self.names[int(at)]!r} goes on over several lines in data row {row:,}: "
                        "a quote that is not closed? Close it, or remove it."
                    )
