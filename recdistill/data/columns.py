"""Columns of a log as they come, made into ids with rows, seconds, ratings and parts of a split."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recdistill.data.log import SPLIT_NAMES
from recdistill.data.vocab import Vocab
from recdistill.errors import DataError
from recdistill.registry import nearest

SPELLED_INTEGER = r"^(0|-?[1-9][0-9]{0,18})$"
SPELLED_NUMBER = r"^-?[0-9]+(\.[0-9]*)?$"
SPELLED_NULL = ["", "NULL", "null", "NaN", "nan", "NA", "N/A", "None"]
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def encode_ids(column: pa.ChunkedArray, at: str, *, typed: bool = True) -> tuple[Vocab, np.ndarray]:
    """The sorted vocabulary of a column and its int32 rows; `typed=False` reads integers out of text."""
    column = _id_type(_without_nulls(column, at), at)
    encoded = column.dictionary_encode().unify_dictionaries()
    distinct = encoded.chunk(0).dictionary
    if pa.types.is_large_string(distinct.type):
        distinct = _spelled(distinct, at, column) if not typed else distinct
        if (
            pc.any(pc.equal(pc.binary_length(distinct), 0)).as_py()
            if pa.types.is_large_string(distinct.type)
            else False
        ):
            raise DataError(f"{at} holds an empty id. Fill it in or drop the row.")
    order = pc.sort_indices(distinct).to_numpy()
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    rows = np.concatenate([chunk.indices.to_numpy(zero_copy_only=False) for chunk in encoded.chunks])
    return Vocab(distinct.to_numpy(zero_copy_only=False)[order]), rank[rows]


def seconds(column: pa.ChunkedArray, at: str) -> np.ndarray:
    """int64 seconds, or float64 where there are fractions; dates and timestamps count from 1970 in UTC."""
    kind = _without_nulls(column, at).type
    if pa.types.is_date(kind):
        column, kind = column.cast(pa.timestamp("s")), pa.timestamp("s")
    if pa.types.is_timestamp(kind):
        ticks, unit = column.cast(pa.int64()).to_numpy(), UNITS[kind.unit]
        return ticks // unit if (ticks % unit == 0).all() else ticks / unit
    times = _numbers(column, at, "seconds since 1970, a date or a timestamp")
    if times.dtype.kind in "iu":
        return times.astype(np.int64)
    whole = bool((times == np.floor(times)).all() and (np.abs(times) < 2**53).all())
    return times.astype(np.int64 if whole else np.float64)


def ratings(column: pa.ChunkedArray, at: str) -> np.ndarray:
    """float32; every one of them finite."""
    return _numbers(_without_nulls(column, at), at, "numbers").astype(np.float32)


def split_parts(column: pa.ChunkedArray, at: str) -> np.ndarray:
    """int8 parts out of names or numbers."""
    encoded = _plain(_without_nulls(column, at)).dictionary_encode().unify_dictionaries()
    spelled = {str(number): number for number in SPLIT_NAMES.values()} | SPLIT_NAMES
    parts = []
    for value in encoded.chunk(0).dictionary.to_pylist():
        name = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        if name not in spelled or isinstance(value, bool):
            cure = nearest(name, SPLIT_NAMES)
            raise DataError(f"{at} holds {value!r}; a split column holds train, valid, test or 0, 2, 1. {cure}")
        parts.append(spelled[name])
    rows = np.concatenate([chunk.indices.to_numpy(zero_copy_only=False) for chunk in encoded.chunks])
    return np.array(parts, dtype=np.int8)[rows]


def _without_nulls(column: pa.ChunkedArray, at: str) -> pa.ChunkedArray:
    if column.null_count:
        row = pc.index(column.is_null(), pa.scalar(True)).as_py() + 1
        raise DataError(
            f"{at} has {column.null_count:,} empty or null entries, the first in data row {row:,}. "
            "Fill them in or drop those rows."
        )
    return column


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Without a dictionary: it may hold values that no row has."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _id_type(column: pa.ChunkedArray, at: str) -> pa.ChunkedArray:
    """As int64 or large_string."""
    column = _plain(column)
    kind = column.type
    if pa.types.is_integer(kind):
        too_large = pa.types.is_uint64(kind) and pc.max(column).as_py() > np.iinfo(np.int64).max
        return column.cast(pa.large_string() if too_large else pa.int64())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _whole_numbers(column, at)
    raise DataError(f"{at} holds {kind}; ids are integers or strings.")


def _whole_numbers(column: pa.ChunkedArray | pa.Array, at: str) -> pa.ChunkedArray | pa.Array:
    """Float ids, which a table gets when it once had nulls, as integers where that loses nothing."""
    wide = column.cast(pa.float64()) if pa.types.is_floating(column.type) else column
    try:
        whole = wide.cast(pa.int64())
        if not pa.types.is_floating(wide.type) or pc.max(pc.abs(wide)).as_py() < 2**53:
            return whole
    except pa.ArrowInvalid:
        pass
    odd = next(value for value in wide.to_pylist() if value != value or value % 1 or abs(value) >= 2**53)
    raise DataError(f"{at} holds {odd!r}; ids are integers or strings. Check which column holds the ids.")


def _spelled(distinct: pa.Array, at: str, column: pa.ChunkedArray) -> pa.Array:
    """Text ids as int64 where each is spelled as an integer (007 is not: that would lose its zeros)."""
    integer = pc.match_substring_regex(distinct, SPELLED_INTEGER)
    if pc.all(integer).as_py():
        try:
            return distinct.cast(pa.int64())
        except pa.ArrowInvalid:  # larger than 64 bits
            return distinct
    others = distinct.filter(pc.invert(integer))
    if pc.any(integer).as_py() and pc.all(pc.is_in(others, pa.array(SPELLED_NULL, distinct.type))).as_py():
        row = pc.index(column, others[0]).as_py() + 1
        raise DataError(
            f"{at} holds {others[0].as_py()!r} among integers, the first in data row {row:,}; "
            "ids may not be null. Fill them in or drop those rows."
        )
    if pc.all(pc.match_substring_regex(distinct, SPELLED_NUMBER)).as_py() and _has_point(others):
        return _whole_numbers(distinct.cast(pa.float64()), at)
    return distinct


def _has_point(spelled: pa.Array) -> bool:
    return bool(pc.all(pc.match_substring(spelled, ".")).as_py())


def _numbers(column: pa.ChunkedArray, at: str, expected: str) -> np.ndarray:
    column = _plain(column)
    kind = column.type
    if pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise DataError(f"{at} holds {kind}, such as {column[0].as_py()!r}; it must hold {expected}.")
    numbers = column.to_numpy()
    if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise DataError(
            f"{at} holds {numbers[row]} in data row {row + 1:,}; it must be finite. Drop or mend those rows."
        )
    return numbers
