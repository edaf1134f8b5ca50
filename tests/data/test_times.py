from __future__ import annotations

import datetime
import decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from recdistill.data.times import read_times
from recdistill.errors import DataError

AT = "log.csv: column 't'"
JANUARY = 1577836800  # 2020-01-01
UTC = datetime.UTC


def read(values: Any, kind: pa.DataType | None = None) -> tuple[list, str]:
    times, note = read_times(pa.chunked_array([pa.array(values, kind)]), AT)
    assert times.dtype in (np.int64, np.float64)
    return times.tolist(), note


@pytest.mark.parametrize(
    ("values", "times", "note"),
    [
        ([JANUARY, JANUARY + 1], [JANUARY, JANUARY + 1], "times: seconds since 1970, 2020-01-01 to 2020-01-01 (UTC)"),
        ([JANUARY + 0.5], [JANUARY + 0.5], "seconds"),
        ([JANUARY * 1000, JANUARY * 1000 + 2000], [JANUARY, JANUARY + 2], "milliseconds"),
        ([JANUARY * 1000 + 1], [JANUARY + 0.001], "milliseconds"),
        ([JANUARY * 10**6], [JANUARY], "microseconds"),
        ([JANUARY * 10**9, (JANUARY + 9) * 10**9], [JANUARY, JANUARY + 9], "nanoseconds"),
        ([float(JANUARY * 1000)], [JANUARY], "milliseconds"),
        ([decimal.Decimal("1577836800.25")], [JANUARY + 0.25], "seconds"),
        ([3, 1, 2], [3, 1, 2], "small numbers (1 to 3), taken as an order in time"),
        ([1990, 2020], [1990, 2020], "small numbers"),
        ([0.5, 1.0], [0.5, 1.0], "small numbers"),
        ([90_000_000, 110_000_000, 80_000_000], [90_000_000, 110_000_000, 80_000_000], "small numbers"),
        ([-428720400, JANUARY, JANUARY], [-428720400, JANUARY, JANUARY], "1 of them before 1970"),
        ([0, JANUARY, JANUARY], [0, JANUARY, JANUARY], "seconds since 1970, 1970-01-01 to"),
        ([10**8 + 5, 10**8 - 5, 10**8], [10**8 + 5, 10**8 - 5, 10**8], "seconds"),
        ([20200101, 20200102], [JANUARY, JANUARY + 86400], "dates spelled as numbers, such as 20200101"),
        ([20200132, 20200101], [20200132, 20200101], "small numbers"),
        ([20200230, 20200101], [20200230, 20200101], "small numbers"),
        ([str(JANUARY), f"{JANUARY}.5"], [JANUARY, JANUARY + 0.5], "seconds"),
        (["1.5778368e9"], [JANUARY], "seconds"),
        (["20200101"], [JANUARY], "dates spelled as numbers"),
        ([], [], "times: none"),
    ],
)
def test_numbers_are_read_in_the_unit_that_their_size_shows(values: list, times: list, note: str) -> None:
    kind = pa.int64() if not values else None
    found, said = read(values, kind)
    assert found == times
    assert note in said


@pytest.mark.parametrize(
    ("values", "times", "note"),
    [
        (["2020-01-01", "2020-01-02"], [JANUARY, JANUARY + 86400], "ISO 8601 without a zone, read as UTC"),
        (["2020-01-01 00:00:07"], [JANUARY + 7], "ISO 8601"),
        (["2020-01-01T00:00:07.25"], [JANUARY + 7.25], "ISO 8601"),
        (["2020-01-01T00:00:07,5"], [JANUARY + 7.5], "ISO 8601"),
        (["2020-01-01 00:00:00.0000001"], [JANUARY + 1e-7], "ISO 8601"),
        (["2020-01-01T00:00:00Z", "2020-01-01T02:00:00+02:00"], [JANUARY, JANUARY], "ISO 8601, 2020"),
        (["2020-01-01 02:00:00+0200"], [JANUARY], "ISO 8601"),
        (["2020-01-01 00:00:00 UTC"], [JANUARY], "ISO 8601"),
        (["2020/1/1 7:03", "2020/01/02"], [JANUARY + 7 * 3600 + 180, JANUARY + 86400], "ISO 8601"),
        (["31/12/2019", "01/01/2020"], [JANUARY - 86400, JANUARY], "dates with the day first"),
        (["31.12.2019 23:59"], [JANUARY - 60], "dates with the day first"),
        (["12/31/2019", "1/1/2020"], [JANUARY - 86400, JANUARY], "dates with the month first"),
    ],
)
def test_text_is_read_where_it_has_one_reading(values: list[str], times: list, note: str) -> None:
    found, said = read(values)
    assert found == times
    assert note in said


@pytest.mark.parametrize(
    ("column", "times"),
    [
        (pa.array([datetime.date(2020, 1, 1)]), [JANUARY]),
        (pa.array([datetime.date(2020, 1, 1)], pa.date64()), [JANUARY]),
        (pa.array([JANUARY * 1000 + 500], pa.timestamp("ms")), [JANUARY + 0.5]),
        (pa.array([datetime.datetime(2020, 1, 1, tzinfo=UTC)], pa.timestamp("us", "Asia/Tokyo")), [JANUARY]),
        (pa.array([JANUARY * 10**9], pa.timestamp("ns", "UTC")), [JANUARY]),
        (pa.array(["2020-01-01", "2020-01-01"]).dictionary_encode(), [JANUARY, JANUARY]),
        (pa.array([JANUARY], pa.uint64()), [JANUARY]),
        (pa.array([1, 2], pa.int16()), [1, 2]),
    ],
)
def test_typed_columns_are_seconds_in_utc(column: pa.Array, times: list) -> None:
    assert read_times(pa.chunked_array([column]), AT)[0].tolist() == times


def test_numbers_beyond_64_bits_are_refused() -> None:
    with pytest.raises(DataError, match="holds 18446744073709551615; it must hold seconds since 1970"):
        read([2**64 - 1], pa.uint64())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([JANUARY, JANUARY * 1000, JANUARY], "holds 1577836800000 in data row 2, while most of its times are seconds"),
        ([JANUARY * 1000, JANUARY, JANUARY * 1000], "holds 1577836800 in data row 2, .* are milliseconds"),
        ([0, 0, 0, JANUARY], "holds 1577836800 in data row 4, while most of its times are small numbers"),
        ([-1, JANUARY, JANUARY], "holds -1 in data row 1, while most of its times are seconds"),
        ([JANUARY, JANUARY, 15778], "holds 15778 in data row 3, while most of its times are seconds"),
        ([1, 2, 10**12], "holds 1000000000000 in data row 3, while most .* small numbers"),
        ([JANUARY, JANUARY, 99999999999], r"99999999999 \(5138-11-16 as seconds\) in data row 3; times lie between"),
        ([JANUARY * 1000, JANUARY * 1000, 9 * 10**13], r"90000000000000 \(4821-.* as milliseconds\) in data row 3"),
        ([-62135596800, JANUARY, JANUARY], r"-62135596800 \(0001-01-01 as seconds\) in data row 1"),
        ([9.0e18], r"9000000000000000000 \(2255-.* as nanoseconds\)"),
        ([1e30], "seconds from 1970"),
        ([datetime.datetime(9999, 1, 1)], "holds 9999-01-01 in data row 1; times lie between"),
        ([datetime.date(1, 1, 1)], "holds 0001-01-01 in data row 1; times lie between"),
        (["0001-01-01", "2020-01-01"], "holds 0001-01-01 in data row 1"),
        ([JANUARY, None], "has 1 empty or null entries, the first in data row 2"),
        ([JANUARY, float("nan")], "holds nan in data row 2; it must be finite"),
        ([JANUARY, float("inf")], "holds inf in data row 2"),
        ([True], "holds bool, such as True; it must hold seconds since 1970"),
        ([[1]], "holds list"),
        (["01/02/2020", "03/04/2020"], "can be read with the day or with the month first. Write them as YYYY-MM-DD"),
        (["13/02/2020", "03/24/2020"], "can be read with the day or with the month first"),
        (["2020-01-01", "2020-02-30"], "holds '2020-02-30' in data row 2; there is no such date"),
        (["2020-01-01 25:00:00"], "no such date or time"),
        (["2020-01-01", "soon"], "holds text, such as 'soon' in data row 2; it must hold seconds since 1970"),
        (["2020-01-01", str(JANUARY)], "'2020-01-01' and, in data row 2, '1577836800': times of two kinds"),
        (["2020-01-01", "31/12/2020"], "times of two kinds"),
        (["2020-01-01", "2020-01-01T01:00Z"], "data row 2, '2020-01-01T01:00Z': some times have a zone and some have"),
        (["5/1/20"], "holds text, such as '5/1/20' in data row 1"),
    ],
)
def test_times_that_cannot_be_sure_are_refused_in_one_line_with_the_row(values: list, message: str) -> None:
    with pytest.raises(DataError, match=message) as refused:
        read(values)
    assert str(refused.value).startswith(AT)
    assert "\n" not in str(refused.value)


def test_times_of_0_among_others_are_counted() -> None:
    column = pa.chunked_array([[0, 1_200_000_000, 0, 1_200_000_001]])
    times, note = read_times(column, "log: column 'time'")
    assert times.tolist() == [0, 1_200_000_000, 0, 1_200_000_001]
    assert "2 rows have the time 0, taken as 1970" in note
