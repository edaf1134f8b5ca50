"""Rows with something missing, left out where that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from recdistill.data.columns import SPELLED_INTEGER, SPELLED_NULL


def without_nulls(
    read: Mapping[str, pa.ChunkedArray], names: Mapping[str, str], *, typed: bool
) -> tuple[dict[str, pa.ChunkedArray], tuple[str, ...]]:
    """The rows that have all of the columns, and a note that counts what each column lacked.

    NaN is null; in text (`typed=False`) so are the empty string and, among integers, words such as NULL.
    """
    missing = {role: _missing(column, typed) for role, column in read.items()}
    counts = {role: pc.sum(mask).as_py() or 0 for role, mask in missing.items()}
    if not any(counts.values()):
        return dict(read), ()
    kept = pc.invert(reduce(pc.or_, missing.values()))
    left = {role: column.filter(kept) for role, column in read.items()}
    dropped = len(kept) - pc.sum(kept).as_py()
    each = ", ".join(f"{counts[role]:,} without {names[role]!r}" for role in read if counts[role])
    return left, (f"{dropped:,} rows with something missing were left out: {each}",)


def _missing(column: pa.ChunkedArray, typed: bool) -> pa.ChunkedArray:
    if pa.types.is_floating(column.type):
        return pc.is_null(column, nan_is_null=True)
    null = pc.is_null(column)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return null
    null = pc.or_(null, pc.equal(pc.fill_null(column, ""), ""))
    if typed:
        return null
    word = pc.fill_null(pc.is_in(column, pa.array(SPELLED_NULL, column.type)), True)
    rest = column.filter(pc.invert(word))
    if pc.any(word).as_py() and pc.all(pc.match_substring_regex(rest, SPELLED_INTEGER)).as_py():
        return pc.or_(null, word)
    return null
