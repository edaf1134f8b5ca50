"""A column of times, whatever it came as, made into seconds since 1970 in UTC, and what it was taken for."""

from __future__ import annotations

import datetime
import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recdistill.data.chunks import Numbers, gathered
from recdistill.data.columns import refuse_nulls
from recdistill.data.text_times import SPELLED_NUMBER, parse_text_times
from recdistill.errors import DataError

EXPECTED = "seconds since 1970, a date or a timestamp"
TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
UNITS = (("seconds", 1), ("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9))
LEAST = 10**8
"""Seconds of 1973: what is smaller than this throughout is a position, a day or a year rather than seconds."""
EARLIEST, LATEST = -2_208_988_800, 7_258_118_400
"""1900 and 2200; beyond lie slips of the pen and words for "never"."""
GAP = 4


def read_times(column: pa.ChunkedArray | Numbers, at: str) -> tuple[np.ndarray, str]:
    """Times (int64, or float64 where there are fractions), and a note for people on what they were taken for.

    Numbers are seconds, milliseconds, microseconds or nanoseconds by their magnitude. Small ones are an order in time
    and stay as they are.
    """
    if isinstance(column, Numbers):
        return _from_found(column, at)
    column = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
    column = refuse_nulls(column, at)
    if _is_text(column.type):
        if not pc.all(pc.match_substring_regex(column, SPELLED_NUMBER)).as_py():
            dates, how = parse_text_times(column.cast(pa.large_string()), at)
            return _from_arrow(dates, at, how)
        column = _spelled_numbers(column)
    if pa.types.is_date(column.type):
        return _from_arrow(column.cast(pa.timestamp("s")), at, "dates")
    if pa.types.is_timestamp(column.type):
        return _from_arrow(column, at, "timestamps")
    return _from_found(_numbers(column, at), at)


def _from_found(found: Numbers, at: str) -> tuple[np.ndarray, str]:
    numbers, low, high = found.values, found.low, found.high
    if not (math.isfinite(low) and math.isfinite(high)):
        row = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise DataError(
            f"{at} holds {numbers[row]} in data row {row + 1:,}; it must be finite. Drop or mend those rows."
        )
    if numbers.dtype.kind == "i" and len(numbers) and _unit_of(low) == _unit_of(high) == 0 and high <= LATEST:
        return numbers, f"times: {UNITS[0][0]} since 1970, {_day(low)} to {_day(high)} (UTC)"  # without another look
    return _from_numbers(numbers, at)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _spelled_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    column = pc.utf8_trim_whitespace(column.cast(pa.large_string()))
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        return column.cast(pa.float64())


def _numbers(column: pa.ChunkedArray, at: str) -> Numbers:
    """int64 or float64."""
    kind = column.type
    if pa.types.is_decimal(kind) or pa.types.is_floating(kind):
        column = column.cast(pa.float64())
    elif pa.types.is_uint64(kind) and (pc.max(column).as_py() or 0) > np.iinfo(np.int64).max:
        raise DataError(f"{at} holds {pc.max(column).as_py()}; it must hold {EXPECTED}.")
    elif pa.types.is_integer(kind):
        column = column.cast(pa.int64())
    else:
        found = column[0].as_py() if len(column) else None
        raise DataError(f"{at} holds {kind}, such as {found!r}; it must hold {EXPECTED}.")
    return gathered(column.chunks, len(column), np.int64 if pa.types.is_integer(column.type) else np.float64)


def _from_arrow(column: pa.ChunkedArray, at: str, how: str) -> tuple[np.ndarray, str]:
    times = _divided(column.cast(pa.int64()).to_numpy(), TICKS[column.type.unit])
    _refuse_far(times, times, at)
    return times, f"times: {how}, {_range(times)}"


def _from_numbers(numbers: np.ndarray, at: str) -> tuple[np.ndarray, str]:
    if not len(numbers):
        return numbers, "times: none"
    place = _unit_of(float(numbers.min()))
    if place is None or place != _unit_of(float(numbers.max())):
        size = np.abs(numbers.astype(np.float64))
        place = _unit_of(float(np.median(size)))
        if place is None:
            return _order_in_time(numbers, size, at)
        lowest, highest = LEAST * 1000**place, LEAST * 1000 ** (place + 1)
        odd = (size >= LEAST) & ((size < lowest) | (size >= highest)) | _apart(size, lowest)
        _refuse_mixed(numbers, odd, UNITS[place][0], at)
    unit, ticks = UNITS[place]
    times = _divided(numbers, ticks)
    _refuse_far(times, numbers, at, unit)
    zeros = int((numbers == 0).sum())
    also = f"; {zeros:,} rows have the time 0, taken as 1970" if zeros else ""
    return times, f"times: {unit} since 1970, {_range(times)}{also}"


def _unit_of(size: float) -> int | None:
    """The place in UNITS of a number of this magnitude; None where it is too small for any."""
    if size < LEAST:
        return None
    return next(place for place in range(4) if place == 3 or size < LEAST * 1000 ** (place + 1))


def _apart(size: np.ndarray, lowest: float) -> np.ndarray:
    """Numbers other than 0 that are far below all that are times: cut in two, -1 for "not known"."""
    small = (size > 0) & (size < lowest)
    lone = small.any() and size[small].max() * GAP < size[size >= lowest].min()
    return small if lone else np.zeros(len(size), dtype=bool)


def _order_in_time(numbers: np.ndarray, size: np.ndarray, at: str) -> tuple[np.ndarray, str]:
    """Positions, days, years; numbers spelled like 20240131 are dates."""
    large = size >= LEAST
    if large.any() and (size[large].min() > GAP * max(size[~large].max(), 1.0) or size.max() >= 1000 * LEAST):
        _refuse_mixed(numbers, large, "small numbers", at)
    dates = _compact_dates(numbers)
    if dates is not None:
        return dates, f"times: dates spelled as numbers, such as {int(numbers[0])}, {_range(dates)}"
    note = f"times: small numbers ({_short(numbers.min())} to {_short(numbers.max())}), taken as an order in time"
    return _divided(numbers, 1), note


def _compact_dates(numbers: np.ndarray) -> np.ndarray | None:
    """Seconds of dates that are written 20240131, or None where one of the numbers is none."""
    if not ((numbers >= 19000101) & (numbers <= 22001231) & (numbers % 1 == 0)).all():
        return None
    whole = numbers.astype(np.int64)
    years, months, days = whole // 10000, whole // 100 % 100, whole % 100
    if not ((months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)).all():
        return None
    first = ((years - 1970) * 12 + months - 1).astype("datetime64[M]")
    dates = first.astype("datetime64[D]") + (days - 1)
    if (dates.astype("datetime64[M]") != first).any():
        return None
    seconds: np.ndarray = dates.astype("datetime64[s]").astype(np.int64)
    return seconds


def _refuse_mixed(numbers: np.ndarray, odd: np.ndarray, unit: str, at: str) -> None:
    if odd.any():
        row = int(np.flatnonzero(odd)[0])
        raise DataError(
            f"{at} holds {_short(numbers[row])} in data row {row + 1:,}, while most of its times are {unit} "
            f"(such as {_short(numbers[np.flatnonzero(~odd)[0]])}). Give all times in one unit."
        )


def _refuse_far(times: np.ndarray, as_given: np.ndarray, at: str, unit: str = "") -> None:
    if len(times) and (times.min() < EARLIEST or times.max() > LATEST):
        far = (times < EARLIEST) | (times > LATEST)
        row = int(np.flatnonzero(far)[0])
        found = f"{_short(as_given[row])} ({_day(times[row])} as {unit})" if unit else _day(times[row])
        raise DataError(
            f"{at} holds {found} in data row {row + 1:,}; times lie between the years 1900 and 2200. "
            "Mend or drop those rows."
        )


def _divided(ticks: np.ndarray, each: int) -> np.ndarray:
    """Seconds; integers where nothing is lost."""
    if ticks.dtype.kind == "i":
        if each == 1:
            return ticks
        return ticks // each if (ticks % each == 0).all() else ticks / each
    times = ticks / each
    whole = bool((times == np.floor(times)).all() and (np.abs(times) < 2**53).all())
    return times.astype(np.int64 if whole else np.float64)


def _range(times: np.ndarray) -> str:
    if not len(times):
        return "none"
    before = int((times < 0).sum()) if times.min() < 0 else 0
    said = f", {before:,} of them before 1970" if before else ""
    return f"{_day(times.min())} to {_day(times.max())} (UTC){said}"


def _day(second: float) -> str:
    try:
        return (datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=float(second))).date().isoformat()
    except OverflowError:
        return f"{second:g} seconds from 1970"


def _short(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else str(number)
