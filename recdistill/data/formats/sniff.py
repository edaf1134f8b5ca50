"""How a delimited text is laid out, from its first lines: encoding, delimiter, quotes, header, names."""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from recdistill.data.names import is_usual
from recdistill.errors import DataError

SAMPLE = 1 << 20
LINES = 1000
BLANKS = "blanks"
"""The delimiter of columns that are set apart by any number of spaces and tabs."""
CALLED = {
    "\t": "tabs",
    "::": "'::'",
    ",": "commas",
    ";": "semicolons",
    "|": "'|'",
    " ": "single spaces",
    BLANKS: "blanks",
}
NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
BOMS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True)
class Layout:
    """What a reader has to know of a text before it reads it."""

    delimiter: str
    quoted: bool
    """Whether a field may stand in double quotes."""
    headed: bool
    names: list[str]
    first: str
    """Everything before the first row of data: blank lines and the header."""
    notes: tuple[str, ...]


def sniff(text: str, *, where: str, delimiter: str | None = None, header: bool | None = None) -> Layout:
    """The layout of a text by its beginning, which ends at a line's end; what is given is not guessed."""
    blank = re.match(r"[\r\n]*", text)
    start = blank.end() if blank else 0
    lines = text[start:].splitlines(keepends=True)[:LINES] if "\r" not in text else _lines(text[start:])
    if not lines:
        raise DataError(f"{where}: the file is empty.")
    found = delimiter or _delimiter(lines)
    quoted = _quoted(lines, found)
    rows = split_lines(lines, found, quoted)
    headed = _is_header(rows[0], rows[1:]) if header is None else header
    width = len(rows[0])
    names = [name.strip() or f"column_{at}" for at, name in enumerate(rows[0], 1)] if headed else []
    names = names or [f"column_{at}" for at in range(1, width + 1)]
    consumed = sum(map(len, lines[: _lines_of_first(lines, found, quoted)])) if headed else 0
    notes: tuple[str, ...] = (
        () if found == "," or delimiter else (f"columns are separated by {CALLED.get(found, repr(found))}",)
    )
    if not headed and header is None:
        notes += (f"no header line: the columns are called column_1 to column_{width}",)
    return Layout(found, quoted, headed, names, text[: start + consumed], notes)


def split_lines(lines: Iterable[str], delimiter: str, quoted: bool) -> list[list[str]]:
    """The fields of each line that is not blank."""
    if delimiter == BLANKS:
        return [line.split() for line in lines if line.strip()]
    if len(delimiter) > 1:
        return [line.rstrip("\r\n").split(delimiter) for line in lines if line.strip("\r\n")]
    try:
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
        return [row for row in csv.reader(lines, delimiter=delimiter, quoting=quoting) if row]
    except csv.Error:  # a field beyond all limits: an open quote
        return [line.rstrip("\r\n").split(delimiter) for line in lines if line.strip("\r\n")]


def encoding_of(head: bytes, where: str) -> tuple[str, int]:
    """utf-8, utf-16 or cp1252 by the first bytes, and how many of them are its mark."""
    for mark, encoding in BOMS.items():
        if head.startswith(mark):
            return encoding, len(mark) if encoding == "utf-8" else 0
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError as fault:
        check_western(head, fault, where)
        return "cp1252", 0
    return "utf-8", 0


def check_western(data: bytes, fault: UnicodeDecodeError, where: str) -> None:
    """Refuse bytes that are neither UTF-8 nor words in latin-1 (Windows' form of it)."""
    high = re.findall(rb"[A-Za-z]?[\x80-\xff]+[A-Za-z]?", data)
    inside = sum(len(run) > 1 and (run[0] < 128 or run[-1] < 128) for run in high)
    utf8 = re.search(rb"[\xc2-\xdf][\x80-\xbf](?![\x80-\xbf])|[\xe0-\xef][\x80-\xbf]{2}", data)
    if inside * 2 < len(high) or utf8:
        line = data.count(b"\n", 0, fault.start) + 1
        raise DataError(
            f"{where}: line {line:,} holds the byte {data[fault.start]:#04x}, which is not UTF-8 text. "
            "Save the file as UTF-8, or mend that line."
        )


def decode_western(data: bytes) -> str:
    """As cp1252, and the five bytes that it does not know as latin-1 has them."""
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def is_number(field: str) -> bool:
    return NUMBER.fullmatch(field) is not None


def _lines(text: str) -> list[str]:
    """Ended by \\n, \\r\\n or \\r alone, and by nothing else that Unicode has."""
    return re.findall(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+", text)[:LINES]


def _delimiter(lines: list[str]) -> str:
    """The one that cuts most lines into the same number of columns."""
    votes = {one: _vote(lines, one) for one in CALLED}
    good = {one: width for one, (share, width) in votes.items() if share >= 0.9 and width > 1}
    for one in ("\t", "::"):
        if one in good:
            return one
    marks = {one: width for one, width in good.items() if one in ",;|"}
    if marks:
        return max(marks, key=lambda one: marks[one])
    if " " in good and good[" "] == good.get(BLANKS):
        return " "
    if BLANKS in good and _has_blanks_only(lines):
        return BLANKS
    share, best = max((share, one) for one, (share, width) in votes.items() if one not in (" ", BLANKS))
    return best if share > 0.5 and votes[best][1] > 1 else ","


def _vote(lines: list[str], delimiter: str) -> tuple[float, int]:
    """The share of lines with the commonest number of columns, and that number; none if the first line differs much."""
    rows = split_lines(lines, delimiter, _quoted(lines, delimiter))
    counts = Counter(map(len, rows))
    if not counts:
        return 0.0, 0
    width, lines_with = counts.most_common(1)[0]
    return (lines_with / len(rows) if len(rows[0]) == width else 0.0), width


def _has_blanks_only(lines: list[str]) -> bool:
    return not any(mark in lines[0] for mark in ",;|")


def _quoted(lines: list[str], delimiter: str) -> bool:
    """Whether double quotes wrap fields, rather than being part of a title."""
    if len(delimiter) > 1:
        return False
    mark = re.escape(delimiter)
    opened = closed = 0
    for line in lines:
        if '"' in line:
            body = line.rstrip("\r\n")
            opened += len(re.findall(f'(?:^|{mark})"', body))
            closed += len(re.findall(f'"(?:{mark}|$)', body))
    return delimiter == "," or not opened or opened == closed


def _lines_of_first(lines: list[str], delimiter: str, quoted: bool) -> int:
    """How many lines the header takes; more than one where a quoted name goes over lines."""
    if not quoted:
        return 1
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        next(reader)
    except csv.Error:
        return 1
    return reader.line_num


def _is_header(first: list[str], rest: list[list[str]]) -> bool:
    columns = [[row[at] for row in rest if at < len(row)] for at in range(len(first))]
    usual = sum(is_usual(name) for name in first)
    numbers = sum(
        is_number(name) and bool(column) and all(map(is_number, column))
        for name, column in zip(first, columns, strict=True)
    )
    if usual > numbers:
        return True
    if numbers or (not rest and any(map(is_number, first))):
        return False
    if any(column and sum(map(is_number, column)) > len(column) / 2 for column in columns):
        return True
    return not any(name in column for name, column in zip(first, columns, strict=True))
