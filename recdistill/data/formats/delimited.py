"""Delimited text: commas, tabs, semicolons, '|', '::' or blanks; with a header or without; compressed or not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from recdistill.data.formats.base import Source
from recdistill.data.formats.raw import Raw
from recdistill.data.formats.sniff import BLANKS, SAMPLE, decode_western, encoding_of, sniff
from recdistill.data.formats.text_table import TextTable
from recdistill.errors import DataError

LOST_AS_NUMBER = r"^\s*(\+.*|-?0[0-9xX].*|-?[0-9]{19,})\s*$"
"""007, 0x1F, +5 and what is larger than 64 bits: as numbers these would not be spelled as they are."""
STAND_INS = (b"\x1f", b"\x1e", b"\x1d", b"\x1c", b"\x01", b"\x02")
"""What takes the place of a delimiter of several characters: the first of them that the text does not hold."""
SMALL = 2**30
"""Integers up to this in the first rows are read as int32, and once more as int64 where that does not hold."""


class Delimited(Source):
    """Ids are integers where each is spelled as one, else as they are spelled; ratings are declared numbers."""

    typed = False

    def __init__(
        self,
        source: Path | Raw,
        *,
        delimiter: str | None = None,
        header: bool | None = None,
        names: list[str] | None = None,
        encoding: str | None = None,
    ) -> None:
        """What is given is not guessed; `names` take the place of those in the header."""
        self.raw = source if isinstance(source, Raw) else Raw.of(source)
        self.where = self.raw.where
        head = self.raw.head(SAMPLE)
        self._encoding, self._mark = (encoding, 0) if encoding else encoding_of(head, self.where)
        text = self._decoded(_whole_lines(head, self.where) if len(head) == SAMPLE else head)
        self._layout = sniff(text, where=self.where, delimiter=delimiter, header=header)
        self.headed, self.names = self._layout.headed, names or self._layout.names
        if len(self.names) != len(self._layout.names):
            found = len(self._layout.names)
            raise DataError(f"{self.where}: its first row has {found} columns; {len(self.names)} were expected.")
        self.notes = (*self.raw.notes, *self._said_of_encoding(bool(encoding)), *self._layout.notes)
        self._seen = self._first_types(text[len(self._layout.first) :])

    def columns(self, wanted: Mapping[str, str]) -> dict[str, pa.ChunkedArray]:
        places = {role: self.names.index(name) for role, name in wanted.items()}
        text = self._body()
        table = text.read({place: self._types(role, place, text.seen.zeros) for role, place in places.items()})
        self._keep_notes(text)
        columns = {role: table[str(place)] for role, place in places.items()}
        self._refuse_second_header({self.names[place]: columns[role] for role, place in places.items()})
        return columns

    def table(self) -> pa.Table:
        text = self._body()
        table = text.read({place: (None, pa.string()) for place in range(len(self.names))}, one_line=False)
        self._keep_notes(text)
        columns = [
            self._spelled(text, place, column) if _is_number(column.type) else column
            for place, column in enumerate(table.columns)
        ]
        self._refuse_second_header(dict(zip(self.names, columns, strict=True)))
        return pa.table(columns, names=self.names)

    def _types(self, role: str, place: int, zeros: bool) -> tuple[pa.DataType, ...]:
        seen, largest = self._seen.get(place, (pa.string(), 0))
        if role in ("user_id", "item_id"):
            whole = (pa.int64(),) if largest > SMALL else (pa.int32(), pa.int64())
            return (*whole, pa.string()) if pa.types.is_integer(seen) and not zeros else (pa.string(),)
        if role == "rating":
            return (pa.float32(),)
        if role == "timestamp":
            return tuple(dict.fromkeys((seen, pa.float64(), pa.string())))
        return (pa.string(),)

    def _spelled(self, text: TextTable, place: int, numbers: pa.ChunkedArray) -> pa.ChunkedArray:
        """The column as text where one of its numbers would not be written again as it stands there, such as 007."""
        if pa.types.is_integer(numbers.type) and not text.seen.zeros:
            return numbers
        spelled = text.read({place: (pa.string(),)})[str(place)]
        return spelled if pc.any(pc.match_substring_regex(spelled, LOST_AS_NUMBER)).as_py() else numbers

    def _first_types(self, sample: str) -> dict[int, tuple[pa.DataType, int]]:
        """The type that the first rows suggest for each column, and the largest of its integers."""
        if not sample.strip():
            return {}
        text = self._text_table(pa.py_buffer(sample.encode()))
        try:
            table = text.read({place: (None, pa.string()) for place in range(len(self.names))}, one_line=False)
        except DataError:  # it comes again, with the number of the row, when all rows are read
            return {}
        return {place: (column.type, _largest(column)) for place, column in enumerate(table.columns)}

    def _body(self) -> TextTable:
        data = self.raw.buffer()
        if self._encoding != "utf-8":
            text = self._decoded(data.to_pybytes())
            return self._text_table(pa.py_buffer(text[len(self._layout.first) :].encode()))
        return self._text_table(data.slice(self._mark + len(self._layout.first.encode())))

    def _text_table(self, data: pa.Buffer) -> TextTable:
        mark = self._layout.delimiter
        if len(mark) > 1:
            stored = data.to_pybytes()
            stand_in = next((one for one in STAND_INS if one not in stored), b"\x1f")
            if mark == BLANKS:
                lines = re.sub(rb"^[ \t]+|[ \t]+$", b"", stored.replace(b"\r\n", b"\n"), flags=re.MULTILINE)
                stored = re.sub(rb"[ \t]+", stand_in, lines)
            else:
                stored = stored.replace(mark.encode(), stand_in)
            data, mark = pa.py_buffer(stored), stand_in.decode()
        return TextTable(self.where, self.names, data, mark, self._layout.quoted)

    def _decoded(self, data: bytes) -> str:
        if self._encoding == "cp1252":
            return decode_western(data)
        try:
            return data[self._mark :].decode(self._encoding)
        except UnicodeDecodeError as fault:
            raise DataError(f"{self.where}: not {self._encoding} text ({fault.reason}). Save it as UTF-8.") from None

    def _said_of_encoding(self, given: bool) -> tuple[str, ...]:
        return () if given or self._encoding == "utf-8" else (f"not UTF-8: read as {self._encoding}",)

    def _keep_notes(self, text: TextTable) -> None:
        also = (("not UTF-8: read as cp1252",) if text.western else ()) + (
            ("a comma is the decimal point",) if text.decimal_point == "," else ()
        )
        self.notes = tuple(dict.fromkeys((*self.notes, *also)))

    def _refuse_second_header(self, columns: Mapping[str, pa.ChunkedArray]) -> None:
        """Where two files were put together; a column of numbers has refused it already."""
        again: pa.ChunkedArray | None = None
        for name, column in columns.items() if self.headed else ():
            if not pa.types.is_string(column.type):
                return
            here = pc.equal(column, name)
            again = here if again is None else pc.and_(again, here)
        if again is not None and pc.any(again).as_py():
            row = pc.index(again, pa.scalar(True)).as_py() + 1
            raise DataError(f"{self.where}: data row {row:,} is the header once more. Remove that line.")


def _whole_lines(head: bytes, where: str) -> bytes:
    """Without the last line, which is cut."""
    end = max(head.rfind(b"\n"), head.rfind(b"\r"))
    if end < 0:
        raise DataError(f"{where}: no line ends within its first {len(head):,} bytes; is this a table of text?")
    even = end + 1 + (head[:2] == b"\xff\xfe")  # UTF-16 of this order has a zero byte behind the line's end
    return head[:even]


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def _largest(column: pa.ChunkedArray) -> int:
    if not pa.types.is_integer(column.type) or column.null_count == len(column):
        return 0
    ends = pc.min_max(column).as_py()
    return max(abs(ends["min"]), abs(ends["max"]))
