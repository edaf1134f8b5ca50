from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix

from recdistill.data import interactions
from recdistill.data.interactions import pair_csr, sorted_order, stable_order
from recdistill.data.log import Log
from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError


def log(rows: list[tuple], **settings: object) -> Log:
    """Of (user, item, time, value), three users and four items."""
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    users, items = columns[0].astype(np.int32), columns[1].astype(np.int32)
    return Log(Vocab("abc"), Vocab([5, 6, 7, 8]), users, items, columns[2], columns[3].astype(np.float32), **settings)


ROWS = [(1, 2, 30, 3), (0, 1, 10, 1), (1, 2, 20, 2), (0, 1, 10, 5), (2, 0, 5, 4)]


def rows(made: Log) -> list[tuple]:
    return list(
        zip(*(getattr(made, name).tolist() for name in ("user_rows", "item_rows", "times", "values")), strict=True)
    )


def test_the_order_is_that_of_user_item_time_and_place() -> None:
    assert rows(log(ROWS).ordered()) == [(0, 1, 10, 1), (0, 1, 10, 5), (1, 2, 20, 2), (1, 2, 30, 3), (2, 0, 5, 4)]


def test_a_log_is_sorted_once_and_not_copied_where_it_is_in_order() -> None:
    made = log(ROWS)
    assert made.ordered() is made.ordered()
    assert made.ordered().ordered() is made.ordered()
    in_order = log(sorted(ROWS))
    assert in_order.ordered().user_rows is in_order.user_rows


def test_repeated_rows_are_noted_once_when_the_log_is_put_in_order() -> None:
    made = log(ROWS, notes=("read",))
    note = "2 repeated (user, item) rows: the last of each by time is kept"
    assert made.notes == ("read",)
    assert made.ordered().notes == ("read", note)
    assert log(sorted(ROWS)).ordered().notes == (note,)
    assert made.ordered().take(np.array([0, 1, 2])).ordered().notes == ("read", note)
    assert made.interactions().notes == ("read", note)


def test_within_the_parts_of_a_split_only_what_is_repeated_in_one_part_is_noted() -> None:
    split = np.array([0, 0, 1, 1, 1], dtype=np.int8)
    assert log(ROWS, split=split).ordered().notes == ()
    ordered = log(ROWS, split=np.array([1, 0, 1, 1, 1], dtype=np.int8)).ordered()
    assert ordered.split.tolist() == [0, 1, 1, 1, 1]
    assert ordered.notes == (
        "1 repeated (user, item) rows, within the same part of the split: the last of each by time is kept",
    )


@pytest.mark.parametrize(
    ("duplicates", "times", "values"),
    [("last", [10, 30, 5], [5, 3, 4]), ("first", [10, 20, 5], [1, 2, 4]), ("sum", [10, 30, 5], [6, 5, 4])],
)
def test_the_rule_for_repeated_rows_is_obeyed(duplicates: str, times: list, values: list) -> None:
    unique = log(ROWS, duplicates=duplicates).unique()
    assert (unique.times.tolist(), unique.values.tolist()) == (times, values)
    assert unique.values.dtype == np.float32
    assert unique.unique().values.tolist() == values


def test_without_values_a_sum_counts_the_rows() -> None:
    plain = Log(
        Vocab("ab"), Vocab("xy"), np.array([0, 1, 0], np.int32), np.array([0, 1, 0], np.int32), duplicates="sum"
    )
    assert plain.unique().values.tolist() == [2, 1]


def test_a_rule_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"duplicates: 'frist'\. Did you mean 'first'"):
        log(ROWS, duplicates="frist")


def test_rows_that_are_taken_keep_the_rule_and_lose_the_split() -> None:
    taken = log(ROWS, duplicates="first", split=np.array([0, 1, 0, 1, 2])).take(
        np.array([True, False, True, False, True])
    )
    assert (taken.duplicates, taken.split, taken.n_rows) == ("first", None, 3)


pairs = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)


@settings(max_examples=80, deadline=None)
@given(pairs)
def test_the_matrix_and_the_order_are_those_of_a_plain_sort(table: list[tuple[int, int, int]]) -> None:
    users, items, times = (np.array(column, dtype=np.int32) for column in zip(*table, strict=True))
    places = np.arange(len(users))
    assert sorted_order(users, items, 4, times).tolist() == np.lexsort((places, times, items, users)).tolist()
    assert sorted_order(users, items, 4, None).tolist() == np.lexsort((places, items, users)).tolist()
    expected = (coo_matrix((np.ones(len(users)), (users, items)), shape=(3, 4)).toarray() > 0).astype(np.float32)
    made = pair_csr(users, items, (3, 4))
    made.check_format()
    assert (made.toarray() == expected).all() and made.dtype == np.float32 and made.has_sorted_indices


@pytest.mark.parametrize("n_items", [50, 2**31 - 1])
def test_the_matrix_is_the_same_in_pieces_and_with_wide_keys(monkeypatch: pytest.MonkeyPatch, n_items: int) -> None:
    draw = np.random.default_rng(0)
    users, items = draw.integers(0, 40, 5_000, np.int32), draw.integers(0, 50, 5_000, np.int32)
    whole = pair_csr(users, items, (40, 50))
    monkeypatch.setattr(interactions, "PIECE", 512)
    pieces = pair_csr(users, items, (40, n_items))
    pieces.check_format()
    assert (pieces.indices.tolist(), pieces.indptr.tolist()) == (whole.indices.tolist(), whole.indptr.tolist())


def test_keys_too_wide_to_share_a_number_with_their_place_are_sorted_all_the_same() -> None:
    keys = np.array([2**62, 5, 2**62, 0])
    assert stable_order(keys).tolist() == [3, 1, 0, 2]
    assert stable_order(np.array([], dtype=np.int64)).tolist() == []
