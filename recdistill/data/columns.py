"""Columns of a log as they come, made into ids with rows, ratings and parts of a split."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recdistill.data.chunks import PIECE, Numbers, gathered
from recdistill.data.log import SPLIT_NAMES
from recdistill.data.vocab import Vocab
from recdistill.errors import DataError
from recdistill.registry import nearest

SPELLED_INTEGER = r"^(0|-?[1-9][0-9]{0,18})$"
SPELLED_NUMBER = r"^-?[0-9]+(\.[0-9]*)?$"
SPELLED_NULL = ["", "NULL", "null", "NaN", "nan", "NA", "N/A", "None"]
MODERATE = 1 << 22
"""Integers within a range of this many, or of twice the number of rows, are looked up in a table of the range."""


def encode_ids(column: pa.ChunkedArray | Numbers, at: str, *, typed: bool = True) -> tuple[Vocab, np.ndarray]:
    """The sorted vocabulary of a column and its int32 rows; `typed=False` reads integers out of text."""
    if isinstance(column, Numbers):
        if column.high - column.low < max(MODERATE, 2 * len(column)):
            rows = column.values if column.values.dtype == np.int32 else np.empty(len(column), dtype=np.int32)
            return _by_table([column.values], rows, int(column.low), int(column.high))
        column = column.column()
    column = _id_type(refuse_nulls(column, at), at)
    if pa.types.is_integer(column.type):
        low, high = _range(column)
        if high - low < max(MODERATE, 2 * len(column)):
            rows = np.empty(len(column), dtype=np.int32)
            return _by_table([chunk.to_numpy() for chunk in column.chunks], rows, low, high)
    return _by_dictionary(column, at, typed)


def ratings(column: pa.ChunkedArray | Numbers, at: str) -> np.ndarray:
    """float32; every one of them finite."""
    if isinstance(column, Numbers) and math.isfinite(column.low) and math.isfinite(column.high):
        return column.values
    column = column.column() if isinstance(column, Numbers) else column
    return _numbers(refuse_nulls(column, at), at, "numbers", np.float32)


def split_parts(column: pa.ChunkedArray, at: str) -> np.ndarray:
    """int8 parts out of names or numbers."""
    distinct, rows = _distinct(_plain(refuse_nulls(column, at)))
    spelled = {str(number): number for number in SPLIT_NAMES.values()} | SPLIT_NAMES
    parts = []
    for value in distinct.to_pylist():
        name = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        if name not in spelled or isinstance(value, bool):
            cure = nearest(name, SPLIT_NAMES)
            raise DataError(f"{at} holds {value!r}; a split column holds train, valid, test or 0, 2, 1. {cure}")
        parts.append(spelled[name])
    return np.array(parts, dtype=np.int8)[rows]


def _range(column: pa.ChunkedArray) -> tuple[int, int]:
    ends = pc.min_max(column).as_py()
    return (ends["min"], ends["max"]) if len(column) else (0, -1)


def _by_table(chunks: Sequence[np.ndarray], rows: np.ndarray, low: int, high: int) -> tuple[Vocab, np.ndarray]:
    """Marks each id in a table of all that the range has; its rank among the marked is its row.

    `rows` (int32) is written; it may be the ids' own memory.
    """
    low = low if low < 0 or low > MODERATE else 0  # what begins near 0 needs no subtraction
    there = np.zeros(high - low + 1, dtype=bool)
    for part in _pieces(chunks, low):
        there[part] = True
    rank = np.cumsum(there, dtype=np.int32)
    rank -= 1
    start = 0
    for part in _pieces(chunks, low):
        rank.take(part, out=rows[start : start + len(part)], mode="clip")  # all are within: no check, no copy
        start += len(part)
    return Vocab(np.flatnonzero(there) + low), rows


def _pieces(chunks: Sequence[np.ndarray], low: int) -> Iterator[np.ndarray]:
    """The ids, counted from `low`, in pieces that stay in the processor's cache."""
    for ids in chunks:
        for start in range(0, len(ids), PIECE):
            piece = ids[start : start + PIECE].astype(np.int64, copy=False)
            yield piece - low if low else piece


def _by_dictionary(column: pa.ChunkedArray, at: str, typed: bool) -> tuple[Vocab, np.ndarray]:
    distinct, rows = _distinct(column)
    distinct = distinct if typed or pa.types.is_integer(distinct.type) else _spelled(distinct, at, column)
    if pa.types.is_integer(distinct.type):
        ids, rank = np.unique(distinct.to_numpy(), return_inverse=True)  # "1" and "1.0" have become the same
        return Vocab(ids), rank.astype(np.int32)[rows]
    if pc.any(pc.equal(pc.binary_length(distinct), 0)).as_py():
        raise DataError(f"{at} holds an empty id. Fill it in or drop the row.")
    order = pc.sort_indices(distinct).to_numpy()
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return Vocab(distinct.to_numpy(zero_copy_only=False)[order]), rank[rows]


def _distinct(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """The distinct values in the order of their first rows, and int32 places in it."""
    encoded = column.dictionary_encode()
    if not encoded.num_chunks:
        return pa.array([], column.type), np.empty(0, dtype=np.int32)
    first = encoded.chunk(0).dictionary
    if not all(chunk.dictionary.equals(first) for chunk in encoded.chunks):  # one call gives one dictionary to all
        encoded = encoded.unify_dictionaries()
    rows = np.concatenate([chunk.indices.to_numpy(zero_copy_only=False) for chunk in encoded.chunks])
    return encoded.chunk(0).dictionary, rows


def refuse_nulls(column: pa.ChunkedArray, at: str) -> pa.ChunkedArray:
    """The column as it is; refused with the first row where something is missing."""
    if column.null_count:
        row = pc.index(column.is_null(), pa.scalar(True)).as_py() + 1
        raise DataError(
            f"{at} has {column.null_count:,} empty or null entries, the first in data row {row:,}. "
            "Fill them in, or drop those rows with --drop-null."
        )
    return column


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Without a dictionary: it may hold values that no row has."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _id_type(column: pa.ChunkedArray, at: str) -> pa.ChunkedArray:
    """As int32, int64, string or large_string."""
    column = _plain(column)
    kind = column.type
    if pa.types.is_int32(kind) or pa.types.is_int64(kind):
        return column
    if pa.types.is_integer(kind):
        too_large = pa.types.is_uint64(kind) and len(column) and pc.max(column).as_py() > np.iinfo(np.int64).max
        return column.cast(pa.large_string() if too_large else pa.int64())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column if pa.types.is_string(kind) else column.cast(pa.large_string())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _whole_numbers(column, at)
    raise DataError(f"{at} holds {kind}; ids are integers or strings.")


def _whole_numbers(column: pa.ChunkedArray | pa.Array, at: str) -> pa.ChunkedArray | pa.Array:
    """Float ids, which a table gets when it once had nulls, as integers where that loses nothing."""
    wide = column.cast(pa.float64()) if pa.types.is_floating(column.type) else column
    try:
        whole = wide.cast(pa.int64())
        if not pa.types.is_floating(wide.type) or not len(wide) or pc.max(pc.abs(wide)).as_py() < 2**53:
            return whole
    except pa.ArrowInvalid:
        pass
    odd = next(value for value in wide.to_pylist() if value != value or value % 1 or abs(value) >= 2**53)
    raise DataError(f"{at} holds {odd!r}; ids are integers or strings. Check which column holds the ids.")


def _spelled(distinct: pa.Array, at: str, column: pa.ChunkedArray) -> pa.Array:
    """Text ids as int64 where each is spelled as an integer (007 is not: that would lose its zeros)."""
    trimmed = pc.utf8_trim_whitespace(distinct)
    if pc.all(pc.match_substring_regex(trimmed, SPELLED_INTEGER)).as_py():
        try:
            return trimmed.cast(pa.int64())
        except pa.ArrowInvalid:  # larger than 64 bits
            return distinct
    integer = pc.match_substring_regex(distinct, SPELLED_INTEGER)
    others = distinct.filter(pc.invert(integer))
    if pc.any(integer).as_py() and pc.all(pc.is_in(others, pa.array(SPELLED_NULL, distinct.type))).as_py():
        row = pc.index(column, others[0]).as_py() + 1
        raise DataError(
            f"{at} holds {others[0].as_py()!r} among integers, the first in data row {row:,}; "
            "ids may not be null. Fill them in, or drop those rows with --drop-null."
        )
    if pc.all(pc.match_substring_regex(distinct, SPELLED_NUMBER)).as_py() and _has_point(others):
        return _whole_numbers(distinct.cast(pa.float64()), at)
    return distinct


def _has_point(spelled: pa.Array) -> bool:
    return bool(pc.all(pc.match_substring(spelled, ".")).as_py())


def _numbers(column: pa.ChunkedArray, at: str, expected: str, dtype: type) -> np.ndarray:
    column = _plain(column)
    kind = column.type
    if pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        such = column[0].as_py()
        comma = isinstance(such, str) and re.fullmatch(r"\s*-?[0-9]+,[0-9]*\s*", such)
        cure = " That is a decimal comma: replace it by a point and make the column numbers." if comma else ""
        raise DataError(f"{at} holds {kind}, such as {such!r}; it must hold {expected}.{cure}")
    found = gathered(column.chunks, len(column), dtype)
    if not (math.isfinite(found.low) and math.isfinite(found.high)):
        given = column.to_numpy()
        row = int(np.flatnonzero(~np.isfinite(given))[0])
        raise DataError(f"{at} holds {given[row]} in data row {row + 1:,}; it must be finite. Drop or mend those rows.")
    return found.values
