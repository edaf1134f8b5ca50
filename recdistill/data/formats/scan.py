"""What the bytes of a text show before it is parsed: numbers that would lose their spelling, quotes, NUL bytes."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

STEP = 1 << 20
"""Bytes looked at together: smaller pieces make the two threads wait for each other, larger ones leave the cache."""
LINE_FEED, RETURN, QUOTE, MINUS, ZERO = b'\n\r"-0'


@dataclass(frozen=True)
class Scan:
    zeros: bool
    """A field begins with a zero that is followed by a digit or an x: as a number it would lose that."""
    quotes: bool
    nul: int | None
    """The place of the first NUL byte."""


def scan(data: pa.Buffer, delimiter: str) -> Scan:
    """In two threads over the whole text; a bit faster than reading it from memory a second time."""
    text = np.frombuffer(data, dtype=np.uint8)
    half = len(text) // 2
    with ThreadPoolExecutor(2) as threads:
        parts = list(
            threads.map(lambda begin, end: _scan(text, begin, end, ord(delimiter)), (0, half), (half, len(text)))
        )
    nul = next((part.nul for part in parts if part.nul is not None), None)
    return Scan(any(part.zeros for part in parts), any(part.quotes for part in parts), nul)


def count_lines(data: pa.Buffer) -> int:
    """Lines that are not blank, whether they end in \\n, \\r\\n or \\r."""
    text = np.frombuffer(data, dtype=np.uint8)
    lines = 0
    for start in range(0, len(text), STEP):
        part = text[max(start - 1, 0) : start + STEP]
        ends = (part == LINE_FEED) | (part == RETURN)
        lines += int((ends[1:] & ~ends[:-1]).sum()) + int(start == 0 and len(part) == 1 and not ends[0])
    return lines + int(len(text) > 1 and text[-1] not in (LINE_FEED, RETURN))


def line_ends_in_quotes(data: pa.Buffer) -> bool:
    """Whether a line ends behind an odd number of quotes: within a field, or behind a quote that is not closed."""
    text, within = np.frombuffer(data, dtype=np.uint8), 0
    while len(text) and text[-1] in (LINE_FEED, RETURN):  # a quote left open in the very last field swallows nothing
        text = text[:-1]
    for start in range(0, len(text), STEP):
        part = text[start : start + STEP]
        quotes = part == QUOTE
        ends = np.flatnonzero((part == LINE_FEED) | (part == RETURN))
        before = np.cumsum(quotes, dtype=np.int32)
        if ((before[ends] + within) & 1).any():
            return True
        within = (within + int(before[-1])) & 1
    return False


def open_quote(data: pa.Buffer, delimiter: str) -> int | None:
    """The row, from 1, of the first field in quotes that goes over lines and is not followed by the field's end."""
    ends = re.escape(delimiter.encode()) + rb"\r\n"
    field = re.compile(rb"(?:\A|(?<=[" + ends + rb']))"(?:[^"]++|"")*+("(?![^' + ends + rb"])|)")
    text, within = data.to_pybytes(), 0
    for found in field.finditer(text):
        if b"\n" in found[0] or b"\r" in found[0]:
            if not found[1]:
                return text.count(b"\n", 0, found.start()) - within + 1
            within += found[0].count(b"\n")
    return None


def _scan(text: np.ndarray, begin: int, end: int, delimiter: int) -> Scan:
    zeros = quotes = False
    for start in range(begin, end, STEP):
        stop = min(start + STEP, end)
        part = text[start:stop]
        if part.min() == 0:
            return Scan(zeros, quotes, start + int(np.argmin(part)))
        quotes = quotes or bool((part == QUOTE).any())
        zeros = zeros or _has_zeros(text, start, stop, delimiter)
    return Scan(zeros, quotes, None)


def _has_zeros(text: np.ndarray, start: int, stop: int, delimiter: int) -> bool:
    """Coarse over all bytes, exact over the few that are left."""
    first, last = max(start, 1), min(stop, len(text) - 1)
    if start == 0 and len(text) > 1 and text[0] == ZERO and _goes_on(text[1:2])[0]:
        return True
    before, after = text[first - 1 : last - 1], text[first + 1 : last + 1]
    maybe = text[first:last] == ZERO
    maybe &= after >= ZERO
    maybe &= (before < MINUS + 1) | (before == delimiter) if delimiter > MINUS else before < MINUS + 1
    if not maybe.any():
        return False
    at = np.flatnonzero(maybe) + first
    at = at[_goes_on(text[at + 1])]
    signed = at[text[at - 1] == MINUS]  # a date has such places too, within a field
    if len(signed) < len(at) or (len(signed) and signed[0] == 1):
        return True
    return bool(_opens(text[signed - 2], delimiter).any())


def _goes_on(after: np.ndarray) -> np.ndarray:
    return ((after >= ZERO) & (after <= ZERO + 9)) | (after == ord("x")) | (after == ord("X"))


def _opens(before: np.ndarray, delimiter: int) -> np.ndarray:
    """Whether a field can begin behind this byte."""
    return (before == delimiter) | (before <= QUOTE)
