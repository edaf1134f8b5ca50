"""Values of a column made into those of its kind: null, empty and NaN are missing, what does not fit is refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from recdistill.errors import DataError
from recdistill.features.kinds import is_list, is_number, is_text, is_time
from recdistill.features.table import Feature, Kind

SEPARATORS = ("|", ";", ",")
"""What lists in a string may be separated by, the surest first."""


def feature(values: pa.Array, kind: Kind, at: str, *, separator: str | None = None) -> Feature:
    """`values` as `kinds.plain` gives them; `at` names file and column in errors. `separator` splits strings into lists
    (default: "|" where one is there, else ";", else ",")."""
    if kind == "number":
        return Feature(kind, _numbers(values, at))
    if kind == "vector":
        return Feature(kind, _vectors(values, at))
    if kind == "list":
        return Feature(kind, _lists(values, at, separator))
    return Feature(kind, _strings(values, at))


def separator_of(values: pa.Array) -> str | None:
    """What the strings of a column of lists are split by; None where they are lists already."""
    if not is_text(values.type):
        return None
    return next((one for one in SEPARATORS if pc.any(pc.match_substring(values, one)).as_py()), SEPARATORS[0])


def _numbers(values: pa.Array, at: str) -> pa.Array:
    if is_time(values.type):
        values = values.cast(pa.timestamp("us")).cast(pa.int64())
        return pc.divide(values.cast(pa.float64(), safe=False), 1e6)
    if is_text(values.type):
        values = _floats(_blank_to_null(values), at)
    elif not (is_number(values.type) or types.is_boolean(values.type)):
        raise DataError(f"{at} holds {values.type}, not numbers. Give it another kind.")
    numbers = values.cast(pa.float64(), safe=False)
    numbers = pc.if_else(pc.is_nan(numbers), None, numbers)
    _refuse(pc.is_inf(numbers), numbers, at, "Leave it empty where the number is not known.")
    return numbers


def _strings(values: pa.Array, at: str) -> pa.Array:
    """Booleans as true and false, whole numbers without a point."""
    if types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), None, values)
        whole = pc.all(pc.equal(pc.floor(values), values)).as_py() is not False
        values = values.cast(pa.int64()) if whole and _small(values) else values
    if is_list(values.type) or types.is_nested(values.type) or types.is_binary(values.type):
        raise DataError(f"{at} holds {values.type}, not one value in each row. Give it another kind.")
    return _blank_to_null(values.cast(pa.large_string()))


def _small(values: pa.Array) -> bool:
    largest = pc.max(pc.abs(values)).as_py()
    return largest is None or largest < 2**53


def _lists(values: pa.Array, at: str, separator: str | None) -> pa.Array:
    """Levels without the space around them; empty ones are left out, and a list of none is missing."""
    if not is_list(values.type):
        text = _strings(values, at)
        values = pc.split_pattern(text, separator or separator_of(text) or SEPARATORS[0])
    levels = pc.utf8_trim_whitespace(_strings(pc.list_flatten(values), at))
    kept = pc.fill_null(pc.not_equal(levels, ""), False)
    parents = pc.list_parent_indices(values).filter(kept).to_numpy()
    counts = np.bincount(parents, minlength=len(values))
    offsets = np.append(0, np.cumsum(counts))
    nothing = pa.array(np.append(counts == 0, False))
    starts = pc.if_else(nothing, None, pa.array(offsets, pa.int64()))
    return pa.LargeListArray.from_arrays(starts, levels.filter(kept).cast(pa.large_string()))


def _vectors(values: pa.Array, at: str) -> pa.Array:
    """A null or empty list is a missing vector; one with a hole in it is refused."""
    if is_text(values.type):  # numbers separated by blanks
        words = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(_blank_to_null(values)))
        values = pa.LargeListArray.from_arrays(
            _offsets(words), _floats(pc.list_flatten(words).cast(pa.large_string()), at)
        )
    if not is_list(values.type) or not is_number(values.type.value_type):
        raise DataError(f"{at} holds {values.type}, not lists of numbers. Give it another kind.")
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    known = lengths > 0
    if not known.any():
        raise DataError(f"{at} holds no vector in any row. Leave the column out.")
    dimension = int(lengths[known][0])
    if (lengths[known] != dimension).any():
        row = int(np.flatnonzero(known & (lengths != dimension))[0])
        raise DataError(
            f"{at} has {lengths[row]} numbers in data row {row + 1}, {dimension} in rows before it. Give every vector "
            "the same length, or make the column a list."
        )
    flat = pc.list_flatten(values.filter(pa.array(known)))
    whole = flat.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False).reshape(-1, dimension)
    faulty = np.flatnonzero(~np.isfinite(whole).all(axis=1))
    if len(faulty):
        row = int(np.flatnonzero(known)[faulty[0]])
        raise DataError(
            f"{at} has a number that is missing or not finite in data row {row + 1}. Fill it in, or leave the whole "
            "vector out."
        )
    rows = np.where(known, np.cumsum(known) - 1, -1)
    return pa.FixedSizeListArray.from_arrays(pa.array(whole.ravel()), dimension).take(pa.array(rows, mask=~known))


def _offsets(lists: pa.Array) -> pa.Array:
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return pa.array(np.append(0, np.cumsum(counts)), pa.int64())


def _blank_to_null(values: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(values), ""), None, values)


def _floats(values: pa.Array, at: str) -> pa.Array:
    """Spelled numbers; the first that is none is named."""
    text = pc.utf8_trim_whitespace(values)
    try:
        return text.cast(pa.float64())
    except pa.ArrowInvalid:
        for row, one in enumerate(text.to_pylist(), 1):
            try:
                float(one or "0")
            except ValueError:
                raise DataError(f"{at} holds {one!r}, not a number (value {row}). Give it another kind.") from None
        raise


def _refuse(wrong: pa.Array, values: pa.Array, at: str, cure: str) -> None:
    row = pc.index(wrong, True).as_py()
    if row >= 0:
        raise DataError(f"{at} holds {values[row].as_py()} in data row {row + 1}. {cure}")
