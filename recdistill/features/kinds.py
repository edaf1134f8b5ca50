"""Which kind of feature a column is: told by its format, or seen in its values."""

from __future__ import annotations

from typing import get_args

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from recdistill.features.table import Kind

KINDS: tuple[str, ...] = get_args(Kind)
TOLD: dict[str, Kind] = {"token": "category", "token_seq": "list", "float": "number", "float_seq": "vector"}
"""What typed formats call the kinds."""
SHORT = 64
"""Characters of the longest level of a category."""
FEW = 0.5
"""Levels of a category for each of its rows, at most: beyond that the strings are mostly distinct, so text."""
LISTED = 0.05
"""Share of the rows that hold a separator where a column holds lists."""


def plain(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """One array without a dictionary, its strings large, so that nothing of other rows hangs on it."""
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(values, pa.ChunkedArray):  # too long for one array of its type
        values = pa.concat_arrays(values.cast(pa.large_string()).chunks)
    if types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if is_text(values.type):
        values = values.cast(pa.large_string())
    return values


def seen_kind(values: pa.Array) -> Kind | None:
    """The kind that the values of a plain column show; None for what cannot be a feature."""
    kind = values.type
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or is_time(kind):
        return "number"
    if types.is_boolean(kind):
        return "category"
    if is_text(kind):
        return _kind_of_strings(values)
    if is_list(kind):
        return _kind_of_lists(values)
    return None


def is_text(kind: pa.DataType) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def is_time(kind: pa.DataType) -> bool:
    return bool(types.is_timestamp(kind) or types.is_date(kind))


def is_list(kind: pa.DataType) -> bool:
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def is_number(kind: pa.DataType) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def _kind_of_lists(values: pa.Array) -> Kind | None:
    inner = values.type.value_type
    if not is_number(inner):
        return "list" if is_text(inner) or types.is_boolean(inner) or types.is_dictionary(inner) else None
    lengths = pc.list_value_length(values).drop_null()
    lengths = lengths.filter(pc.greater(lengths, 0))
    equal = len(lengths) > 0 and pc.min(lengths).as_py() == pc.max(lengths).as_py()
    if types.is_integer(inner) and not (equal and lengths[0].as_py() > 1):
        return "list"  # codes of levels
    return "vector"


def _kind_of_strings(values: pa.Array) -> Kind:
    known = values.filter(pc.not_equal(pc.utf8_trim_whitespace(values), ""))
    if not len(known):
        return "text"
    if _are_piped(known):
        return "list"
    few = len(pc.unique(known)) <= FEW * len(known)
    return "category" if few and pc.max(pc.utf8_length(known)).as_py() <= SHORT else "text"


def _are_piped(known: pa.Array) -> bool:
    """Short words tied together by "|", not a text with a dash of that look in it."""
    piped = known.filter(pc.match_substring(known, "|"))
    if len(piped) < max(LISTED * len(known), 1):
        return False
    tight = pc.mean(pc.match_substring_regex(piped, r"\S\|\S")).as_py()
    longest = pc.max(pc.utf8_length(pc.list_flatten(pc.split_pattern(piped, "|")))).as_py()
    return bool(tight > 0.5 and longest <= SHORT)
