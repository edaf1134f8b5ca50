from __future__ import annotations

import numpy as np
import pytest

from recdistill.serving import products
from recdistill.serving.products import RoundedTable, rounded
from recdistill.tables.codecs import CodedTable


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("columns", [1, 3, 64, 600])
def test_products_are_as_near_the_truth_as_float32_ones(columns: int) -> None:
    queries, items = draw(7, columns), draw(90, columns, seed=1)
    exact = queries.astype(np.float64) @ items.T.astype(np.float64)
    lengths = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(items, axis=1)
    found = RoundedTable(CodedTable.of(items)).times(queries)
    assert found.dtype == np.float32
    assert (np.abs(found - exact) / lengths).max() < 2e-6


@pytest.mark.parametrize("columns", [1, 5, 512])
def test_sums_of_rounded_numbers_are_whole_numbers_that_double_precision_holds(columns: int) -> None:
    rows = np.full((1, columns), np.float32(0.99999994))
    numbers = rounded(rows).numbers
    assert (numbers == np.rint(numbers)).all()
    assert columns * numbers.max() ** 2 <= 2.0**53


def test_no_batch_and_no_order_of_columns_changes_a_bit() -> None:
    queries, items = draw(65, 48), draw(333, 48, seed=1)
    together = RoundedTable(CodedTable.of(items)).times(queries)
    shuffled = np.random.default_rng(2).permutation(48)
    again = RoundedTable(CodedTable.of(items[:, shuffled])).times(queries[:, shuffled])
    np.testing.assert_array_equal(again, together)
    for user in (0, 31, 64):
        np.testing.assert_array_equal(
            RoundedTable(CodedTable.of(items)).times(queries[user : user + 1])[0], together[user]
        )


@pytest.mark.parametrize("codec", ["fp32", "int8"])
def test_tiles_change_nothing(monkeypatch: pytest.MonkeyPatch, codec: str) -> None:
    queries, table = draw(20, 16), CodedTable.of(draw(100, 16, seed=1), codec)
    whole = RoundedTable(table).times(queries)
    monkeypatch.setattr(products, "TILE_BYTES", 2_000)
    np.testing.assert_array_equal(RoundedTable(table).times(queries), whole)


def test_rows_of_any_size_and_of_zeros_are_multiplied() -> None:
    items = np.array([[0, 0], [1e-20, 2e-20], [3e15, -1e15]], np.float32)
    found = RoundedTable(CodedTable.of(items)).times(np.array([[1e10, 2e10], [0, 0]], np.float32))
    np.testing.assert_allclose(found, [[0, 5e-10, 1e25], [0, 0, 0]], rtol=1e-6)
