"""Dates and times that are spelled out: ISO 8601 and its neighbours; what has two readings is refused."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from recdistill.errors import DataError

SPELLED_NUMBER = r"^\s*[-+]?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?\s*$"
TIME = (
    r"(?P<time>(?:[T ]\s*[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?)?)"
    r"\s*(?P<zone>(?:Z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?)?)"
)
YEAR_FIRST = r"^\s*(?P<year>[0-9]{4})[-/.](?P<month>[0-9]{1,2})[-/.](?P<day>[0-9]{1,2})" + TIME + r"\s*$"
YEAR_LAST = r"^\s*(?P<first>[0-9]{1,2})[-/.](?P<second>[0-9]{1,2})[-/.](?P<year>[0-9]{4})" + TIME + r"\s*$"
ISO = "YYYY-MM-DD hh:mm:ss"


def parse_text_times(column: pa.ChunkedArray, at: str) -> tuple[pa.ChunkedArray, str]:
    """Timestamps in UTC, and how the text was read."""
    flat = column.combine_chunks()
    flat = flat.combine_chunks() if isinstance(flat, pa.ChunkedArray) else flat
    parts = pc.extract_regex(flat, YEAR_FIRST)
    if not parts.null_count:
        return _timestamps(flat, parts, "month", "day", at, "dates and times in ISO 8601")
    parts = pc.extract_regex(flat, YEAR_LAST)
    if parts.null_count:
        return _refuse(flat, at)
    first, second = (pc.greater(_field(parts, name).cast(pa.int64()), 12) for name in ("first", "second"))
    if pc.any(first).as_py() == pc.any(second).as_py():
        row = pc.index(first, pa.scalar(True)).as_py() if pc.any(first).as_py() else 0
        raise DataError(
            f"{at} holds dates such as {flat[row].as_py()!r} (data row {row + 1:,}) that can be read with the day or "
            f"with the month first. Write them as {ISO}."
        )
    day_first = pc.any(first).as_py()
    month, day = ("second", "first") if day_first else ("first", "second")
    return _timestamps(flat, parts, month, day, at, f"dates with the {'day' if day_first else 'month'} first")


def _timestamps(
    flat: pa.Array, parts: pa.StructArray, month: str, day: str, at: str, how: str
) -> tuple[pa.ChunkedArray, str]:
    zones = _field(parts, "zone")
    bare = pc.equal(pc.binary_length(zones), 0)
    if pc.any(bare).as_py() and not pc.all(bare).as_py():
        row = pc.index(bare, pa.scalar(not bare[0].as_py())).as_py()
        raise DataError(
            f"{at} holds {flat[0].as_py()!r} and, in data row {row + 1:,}, {flat[row].as_py()!r}: some times have "
            "a zone and some have none. Give all of them one."
        )
    spelled = pc.binary_join_element_wise(
        pc.binary_join_element_wise(_field(parts, "year"), _two(parts, month), _two(parts, day), _text("-")),
        _clock(_field(parts, "time")),
        _offset(zones),
        _text(""),
    )
    zone = None if pc.all(bare).as_py() else "UTC"
    fine = pc.any(pc.match_substring_regex(spelled, r"\.[0-9]{7}")).as_py()
    kind = pa.timestamp("ns" if fine else "us", zone)
    try:
        return pa.chunked_array([spelled.cast(kind)]), how + ("" if zone else " without a zone, read as UTC")
    except pa.ArrowInvalid:
        row = _first_fault(spelled, lambda some: some.cast(kind))
        raise DataError(
            f"{at} holds {flat[row].as_py()!r} in data row {row + 1:,}; there is no such date or time. Mend that row."
        ) from None


def _text(value: str) -> pa.Scalar:
    return pa.scalar(value, pa.large_string())


def _field(parts: pa.StructArray, name: str) -> pa.Array:
    return pc.fill_null(pc.struct_field(parts, name), "")


def _two(parts: pa.StructArray, name: str) -> pa.Array:
    return pc.utf8_lpad(_field(parts, name), 2, "0")


def _clock(times: pa.Array) -> pa.Array:
    times = pc.replace_substring_regex(times, r"^[T ]\s*", " ")
    times = pc.replace_substring_regex(times, r"^ ([0-9]):", r" 0\1:")
    return pc.replace_substring(times, ",", ".")


def _offset(zones: pa.Array) -> pa.Array:
    """`Z` or `+hh:mm`."""
    zones = pc.replace_substring_regex(zones, r"^(UTC|GMT)$", "Z")
    return pc.replace_substring_regex(zones, r"^([+-][0-9]{2}):?([0-9]{2})$", r"\1:\2")


def _refuse(flat: pa.Array, at: str) -> tuple[pa.ChunkedArray, str]:
    known = pc.or_(pc.match_substring_regex(flat, YEAR_FIRST), pc.match_substring_regex(flat, YEAR_LAST))
    known = pc.or_(known, pc.match_substring_regex(flat, SPELLED_NUMBER))
    odd = pc.index(known, pa.scalar(False)).as_py()
    if odd < 0:  # two kinds in one column
        kinds = pc.match_substring_regex(flat, YEAR_FIRST)
        odd = pc.index(kinds, pa.scalar(not kinds[0].as_py())).as_py()
        odd = odd if odd > 0 else 1
        raise DataError(
            f"{at} holds {flat[0].as_py()!r} and, in data row {odd + 1:,}, {flat[odd].as_py()!r}: times of two kinds. "
            f"Give all of them as {ISO} or in seconds since 1970."
        )
    raise DataError(
        f"{at} holds text, such as {flat[odd].as_py()!r} in data row {odd + 1:,}; it must hold seconds since 1970, "
        f"a date or a timestamp ({ISO})."
    )


def _first_fault(column: pa.Array, read: Callable[[pa.Array], object]) -> int:
    """The first place that `read` cannot take, by halving."""
    low, high = 0, len(column)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            read(column[low:middle])
            low = middle
        except pa.ArrowInvalid:
            high = middle
    return low
