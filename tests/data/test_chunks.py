"""Columns of numbers that are decoded bit by bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from recdistill.data import chunks
from recdistill.data.chunks import HasNulls, gathered
from recdistill.data.formats import parquet as parquet_format
from recdistill.data.readers import read_interactions
from recdistill.errors import DataError


def test_the_ends_are_found_and_int32_is_widened_where_it_must_be() -> None:
    small, large = pa.array([5, -3]), pa.array([2**40])
    found = gathered([small], 2, np.int32)
    assert (found.values.dtype, found.values.tolist(), found.low, found.high) == (np.int32, [5, -3], -3, 5)
    found = gathered([small, large], 3, np.int32)
    assert (found.values.dtype, found.values.tolist(), found.high) == (np.int64, [5, -3, 2**40], 2**40)


def test_nan_shows_in_the_ends() -> None:
    found = gathered([pa.array([1.0, float("nan")]), pa.array([2.0])], 3, np.float32)
    assert np.isnan(found.low)
    assert np.isnan(found.high)


def test_nulls_and_wrong_promises_are_told() -> None:
    with pytest.raises(HasNulls):
        gathered([pa.array([1, None])], 2, np.int64)
    for promised in (1, 3):
        with pytest.raises(ValueError, match="promised"):
            gathered([pa.array([1, 2])], promised, np.int64)


@pytest.mark.parametrize("offset", [0, -7, 2**31 - 40, 2**33, 2**62])
@pytest.mark.parametrize("spread", [1, 10**9])
def test_every_range_of_ids_reads_as_the_whole_column_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offset: int, spread: int
) -> None:
    monkeypatch.setattr(chunks, "PIECE", 16)
    monkeypatch.setattr(parquet_format, "BATCH", 50)
    draw = np.random.default_rng(0)
    table = pa.table(
        {
            "user_id": draw.integers(0, 60, 400) * spread + offset,
            "item_id": draw.integers(0, 30, 400),
            "timestamp": draw.integers(10**9, 2 * 10**9, 400),
            "rating": draw.integers(1, 11, 400) / 2,
        }
    )
    parquet.write_table(table, tmp_path / "log.parquet", row_group_size=90)
    read, given = read_interactions(tmp_path / "log.parquet"), read_interactions(table)
    for one, other in ((read.users, given.users), (read.items, given.items)):
        assert one.ids().tolist() == other.ids().tolist()
    for name in ("user_rows", "item_rows", "times", "values"):
        one, other = getattr(read, name), getattr(given, name)
        assert one.dtype == other.dtype
        assert (one == other).all()


@pytest.mark.parametrize(
    ("column", "cells", "message"),
    [
        ("user_id", [1, None, 3], "data row 2"),
        ("timestamp", [10**9, None, 10**9], "data row 2"),
        ("timestamp", [1e9, 1e9, float("inf")], "inf in data row 3"),
        ("rating", [1.0, float("nan"), 2.0], "nan in data row 2"),
    ],
)
def test_faults_are_named_by_row(tmp_path: Path, column: str, cells: list, message: str) -> None:
    table = {"user_id": [1, 2, 3], "item_id": [1, 2, 3], "timestamp": [10**9] * 3, "rating": [1.0, 2.0, 3.0]}
    parquet.write_table(pa.table(table | {column: cells}), tmp_path / "log.parquet")
    with pytest.raises(DataError, match=message):
        read_interactions(tmp_path / "log.parquet")
