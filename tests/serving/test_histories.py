from __future__ import annotations

import sys

import numpy as np
import pytest

from recdistill.errors import DataError
from recdistill.serving.histories import Histories, bag_sums
from recdistill.tables.codecs import CodedTable


@pytest.mark.parametrize("weighted", [False, True])
def test_sums_have_the_same_bits_with_scipy_and_without(monkeypatch: pytest.MonkeyPatch, weighted: bool) -> None:
    draw = np.random.default_rng(5)
    table = CodedTable.of(draw.standard_normal((40, 7)).astype(np.float32))
    weights = draw.random(40).astype(np.float32) if weighted else None
    histories = Histories.from_lists([draw.choice(40, size, replace=False) for size in (0, 1, 40, 17, 23, 5)])
    assert "scipy.sparse" in sys.modules
    with_scipy = bag_sums(table, weights, histories)
    monkeypatch.delitem(sys.modules, "scipy.sparse")
    without = bag_sums(table, weights, histories)
    alone = np.concatenate([bag_sums(table, weights, histories.take(slice(at, at + 1))) for at in range(6)])
    assert with_scipy.tobytes() == without.tobytes() == alone.tobytes()


def test_a_repeated_item_counts_once_with_its_last_weight() -> None:
    users, items = np.array([1, 0, 1, 1]), np.array([4, 2, 0, 4])
    found = Histories.from_pairs(users, items, 3, np.array([9.0, 1.0, 2.0, 0.5]))
    assert found.indptr.tolist() == [0, 1, 3, 3] and found.items.tolist() == [2, 0, 4]
    assert found.weights is not None and found.weights.tolist() == [1.0, 2.0, 0.5]
    assert found.totals.tolist() == [1.0, 2.5, 0.0]
    for chosen in (slice(1, 3), np.array([1, 2])):
        part = found.take(chosen)
        assert part.weights is not None and part.weights.tolist() == [2.0, 0.5] and part.totals.tolist() == [2.5, 0.0]


@pytest.mark.parametrize("columns", [1, 7])
def test_weighted_sums_are_the_same_alone_and_among_many(columns: int) -> None:
    draw = np.random.default_rng(6)
    table = CodedTable.of(draw.standard_normal((60, columns)).astype(np.float32), "int8")
    lists = [draw.choice(60, size, replace=False) for size in draw.integers(0, 60, 40)]
    plain = Histories.from_lists(lists)
    histories = Histories(plain.indptr, plain.items, draw.random(len(plain.items)).astype(np.float32))
    together = bag_sums(table, None, histories)
    alone = [bag_sums(table, None, histories.take(slice(at, at + 1)))[0] for at in range(40)]
    assert together.tobytes() == np.stack(alone).tobytes()
    assert histories.weights is not None
    want = [histories.weights[histories.users == at] @ table.rows(lists_of(histories, at)) for at in range(40)]
    np.testing.assert_allclose(together, want, rtol=1e-4, atol=1e-5)


def lists_of(histories: Histories, user: int) -> np.ndarray:
    return histories.items[histories.users == user]


def test_lists_given_the_oldest_first_have_places_from_the_end() -> None:
    found = Histories.from_lists([[7, 2, 5], [], [3, 1, 3]])
    assert found.items.tolist() == [2, 5, 7, 1, 3]
    assert found.places is not None and found.places.tolist() == [1, 0, 2, 1, 0]


def test_a_repeated_item_stands_where_it_came_last() -> None:
    found = Histories.from_pairs(np.zeros(4, int), np.array([4, 9, 4, 2]), 1, ordered=True)
    assert found.items.tolist() == [2, 4, 9]
    assert found.places is not None and found.places.tolist() == [0, 1, 2]


def test_places_go_along_when_users_are_taken() -> None:
    found = Histories.from_lists([[7, 2, 5], [4], [3, 1]])
    for chosen, places in ((slice(1, 3), [0, 0, 1]), (np.array([2, 0]), [0, 1, 1, 0, 2]), (np.array([1]), [0])):
        part = found.take(chosen)
        assert part.places is not None and part.places.tolist() == places
    plain = Histories(found.indptr, found.items)
    assert plain.take(slice(1, 3)).places is None and plain.take(np.array([2, 0])).places is None


def test_items_that_are_left_out_leave_no_gap_in_the_places() -> None:
    found = Histories.from_lists([[7, 2, 5], [4], [3, 1]])
    left = found.where(found.items != 2)
    assert left.items.tolist() == [5, 7, 4, 1, 3] and left.indptr.tolist() == [0, 2, 3, 5]
    assert left.places is not None and left.places.tolist() == [0, 1, 0, 0, 1]
    assert Histories(found.indptr, found.items).where(found.items != 2).places is None


def test_histories_without_an_order_have_no_places() -> None:
    assert Histories.from_pairs(np.array([0, 0]), np.array([4, 1]), 1).places is None
    assert Histories.from_pairs(np.zeros(0, int), np.zeros(0, int), 2, ordered=True).places is not None


def test_columns_beside_the_items_must_be_as_many() -> None:
    with pytest.raises(DataError, match="histories: 1 places for 2 items; give one for each"):
        Histories(np.array([0, 2]), np.array([0, 1]), None, np.zeros(1, np.int32))
    with pytest.raises(DataError, match="histories: 3 weights for 2 items"):
        Histories(np.array([0, 2]), np.array([0, 1]), np.ones(3, np.float32))
