from __future__ import annotations

import datetime
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recdistill.data import filters, splits
from recdistill.data.log import TEST, TRAIN, Log
from recdistill.errors import ConfigError, DataError
from tests.data.logs import log_of, train_pairs

DAY = 86_400
ROWS = [
    ("ann", "a", 1 * DAY, 5.0), ("ann", "b", 2 * DAY, 3.0), ("ann", "c", 3 * DAY, 4.0), ("bob", "a", 4 * DAY, 2.0),
    ("bob", "b", 5 * DAY, 4.0), ("cat", "a", 6 * DAY, 4.5), ("cat", "d", 7 * DAY, 1.0), ("ann", "a", 8 * DAY, 1.0),
]  # fmt: skip


def log() -> Log:
    return log_of(ROWS, "times", "values")


def pairs(found: Log) -> list[tuple[Any, Any]]:
    found = found.ordered()
    return list(zip(found.users.ids(found.user_rows).tolist(), found.items.ids(found.item_rows).tolist(), strict=True))


def test_ratings_below_the_threshold_go_and_are_counted() -> None:
    found = filters.rating_at_least(log(), 4)
    assert pairs(found) == [("ann", "a"), ("ann", "c"), ("bob", "b"), ("cat", "a")]
    assert found.items.ids().tolist() == ["a", "b", "c"]
    assert found.users.ids().tolist() == ["ann", "bob", "cat"]
    assert found.notes[-1] == "min_rating 4: 4 of 8 rows are left out, and with them 0 users and 1 items"
    assert filters.rating_at_least(log(), 0).notes[-1] == "min_rating 0: none of 8 rows is left out"


def test_dates_keep_rows_from_since_on_and_before_until() -> None:
    found = filters.dates(log(), since="1970-01-03", until="1970-01-07")
    assert found.times.tolist() == [day * DAY for day in (2, 3, 4, 5)]
    assert found.notes[-1].startswith("since 1970-01-03 until 1970-01-07: 4 of 8 rows are left out")
    assert filters.dates(log(), since=2 * DAY).n_rows == 7
    assert filters.dates(log(), until=datetime.date(1970, 1, 6)).n_rows == 4


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [
        ("1971", 365 * DAY), ("1970-02", 31 * DAY), ("1970-01-02", DAY), ("1970-01-01T01:00", 3600),
        ("1970-01-01 01:00:30+01:00", 30), ("123456", 123456), (7.5, 7.5), (datetime.date(1970, 1, 2), DAY),
        (datetime.datetime(1970, 1, 1, 0, 1), 60),
    ],
)  # fmt: skip
def test_moments_are_read_as_utc(moment: Any, seconds: float) -> None:
    assert filters.seconds_of(moment, "since") == seconds


@pytest.mark.parametrize("moment", ["yesterday", "1970-13", "", "01/02/1970", float("nan"), True])
def test_what_is_no_moment_is_refused(moment: Any) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"since={moment!r}; give an ISO date")):
        filters.dates(log(), since=moment)


def test_a_core_is_counted_again_until_all_have_enough() -> None:
    found = filters.core(log(), users=2, items=2)
    assert pairs(found) == [("ann", "a"), ("ann", "a"), ("ann", "b"), ("bob", "a"), ("bob", "b")]
    assert "and with them 1 users and 2 items" in found.notes[-1]
    assert "(counted over the whole log, test rows included)" in found.notes[-1]
    assert pairs(filters.core(log(), users=0, items=2))[-1] == ("cat", "a")


def by_hand(distinct: set[tuple[int, int]], users: int, items: int) -> set[tuple[int, int]]:
    while True:
        u = {one for one, _ in distinct if sum(a == one for a, _ in distinct) >= users}
        i = {one for _, one in distinct if sum(b == one for _, b in distinct) >= items}
        left = {(a, b) for a, b in distinct if a in u and b in i}
        if left == distinct:
            return left
        distinct = left


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=5, max_size=60),
    st.integers(0, 4),
    st.integers(0, 4),
)
@settings(max_examples=80, deadline=None)
def test_a_core_is_the_one_counted_by_hand(rows: list[tuple[int, int]], users: int, items: int) -> None:
    rows = [*rows, (0, 0), (1, 1)]
    want = by_hand(set(rows), users, items)
    try:
        found = filters.core(log_of(rows), users, items)
    except DataError:
        assert min(len({side[at] for side in want}) for at in (0, 1)) < 2
        return
    assert set(pairs(found)) == want
    assert sorted(pairs(found)) == sorted(row for row in rows if row in want)
    assert found.users.ids().tolist() == sorted({user for user, _ in want})
    assert found.items.ids().tolist() == sorted({item for _, item in want})


def test_duplicates_are_counted_and_the_rule_is_kept_for_the_split() -> None:
    parts = [*ROWS, ("dan", "a", 9 * DAY, 1.0), ("dan", "b", 10 * DAY, 1.0)]
    for keep, value, day in (("last", 1.0, 8), ("first", 5.0, 1), ("sum", 6.0, 8)):
        found = filters.duplicates(log_of(parts, "times", "values"), keep)
        assert found.duplicates == keep
        assert found.n_rows == 10
        assert sum("1 repeated (user, item) rows" in note for note in found.notes) == 1
        train = splits.global_time(found, valid=0, test=0.2).train
        assert (train.values[0], train.times[0]) == (value, day * DAY)
    again = filters.duplicates(filters.duplicates(log(), "last"), "first")
    assert [note for note in again.notes if "repeated" in note] == [
        "1 repeated (user, item) rows: the first of each by time is kept"
    ]
    assert "no (user, item) is repeated" in filters.duplicates(log_of(ROWS[:7], "times", "values"), "sum").notes[-1]


def test_only_and_without_take_lists_and_files_of_ids(tmp_path: Path) -> None:
    assert pairs(filters.only(log(), users=["ann", "bob"], items=["a", "b"]))[-1] == ("bob", "b")
    found = filters.without(log(), users=["cat", "nobody"])
    assert found.users.ids().tolist() == ["ann", "bob"]
    assert found.notes[-1].startswith("without 2 listed users (1 of them unknown): 2 of 8 rows are left out")
    listed = tmp_path / "ids.txt"
    listed.write_bytes("\ufeffa\r\n\r\n b \r\na\r\n".encode())
    assert set(pairs(filters.only(log(), items=str(listed)))) == set(pairs(filters.only(log(), items=["a", "b"])))
    numbers = log_of([(1, 10), (2, 20), (3, 10)])
    listed.write_text("1\n3\n99\n")
    assert pairs(filters.without(log_of([(1, 10), (2, 20), (3, 10), (4, 10)]), users=listed)) == [(2, 20), (4, 10)]
    assert filters.only(numbers, users=np.array([1, 2])).n_rows == 2


def test_a_list_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only users cannot be read"):
        filters.only(log(), users=tmp_path / "none.txt")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(DataError, match="without items cannot be read \\(it is not UTF-8 text\\)"):
        filters.without(log(), items=tmp_path / "latin.txt")


def test_values_are_cut_and_then_their_logarithm_is_taken() -> None:
    found = filters.values(log(), transform="log", cap=4)
    np.testing.assert_allclose(found.values, np.log1p(np.minimum([row[3] for row in ROWS], 4)), rtol=1e-6)
    assert found.values.dtype == np.float32
    assert found.notes[-1] == "values: cut at 4, then log(1 + value)"


@pytest.mark.parametrize("given_parts", [False, True])
def test_where_repeated_pairs_are_summed_it_is_the_sum_that_is_transformed(given_parts: bool) -> None:
    draw = np.random.default_rng(0)
    rows = [(int(u), int(i), t, float(v)) for t, (u, i, v) in enumerate(draw.integers(1, 15, (300, 3)))]
    whole = log_of(rows, "times", "values", duplicates="sum")
    if given_parts:
        whole = replace(whole, split=draw.choice([TRAIN, TEST], whole.n_rows).astype(np.int8))
    split = splits.given if given_parts else lambda log: splits.global_time(log, valid=0, test=0.3)
    plain, changed = split(whole), split(filters.values(whole, transform="log", cap=20))
    assert train_pairs(plain) == train_pairs(changed)
    np.testing.assert_allclose(changed.train.values, np.log1p(np.minimum(plain.train.values, 20)), rtol=1e-5)
    counted = split(filters.values(replace(whole, values=None), transform="log"))
    np.testing.assert_allclose(
        counted.train.values, np.log1p(split(replace(whole, values=None)).train.values), rtol=1e-5
    )


def test_filters_keep_the_split_column_and_refuse_to_empty_a_part() -> None:
    parts = np.array([0, 0, 0, 0, 0, 1, 1, 1], np.int8)
    found = filters.rating_at_least(replace(log(), split=parts), 4)
    assert found.split.tolist() == [0, 0, 0, 1]
    with pytest.raises(DataError, match="until 1970-01-05 leaves 3 of 8 rows, none of them of the part test"):
        filters.dates(split_log(), until="1970-01-05")


def split_log() -> Log:
    rows = [
        ("ann", "a", DAY),
        ("bob", "b", 2 * DAY),
        ("ann", "b", 3 * DAY),
        ("bob", "a", 9 * DAY),
        ("ann", "c", 9 * DAY),
    ]
    rows += [("bob", "c", 9 * DAY), ("bob", "d", 9 * DAY), ("ann", "d", 9 * DAY)]
    return log_of([(*row, "train" if row[2] < 9 * DAY else "test") for row in rows], "times", "split")


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("min_rating 9", lambda: filters.rating_at_least(log(), 9)),
        ("since 1999", lambda: filters.dates(log(), since="1999")),
        ("core of at least 3 different items", lambda: filters.core(log(), 3, 0)),
        ("only 1 listed users", lambda: filters.only(log(), users=["ann"])),
        ("without 3 listed items", lambda: filters.without(log(), items=["a", "b", "c"])),
    ],
)
def test_a_filter_that_leaves_too_little_is_named(name: str, call: Any) -> None:
    with pytest.raises(DataError, match=rf"log: {name}.* leaves \d of 8 rows, with \d users and \d items"):
        call()


def test_settings_that_no_filter_can_have_are_refused() -> None:
    plain = log_of([row[:2] for row in ROWS])
    with pytest.raises(DataError, match="min_rating needs a rating column"):
        filters.rating_at_least(plain, 4)
    with pytest.raises(DataError, match="since and until need a timestamp column"):
        filters.dates(plain, since="2020")
    with pytest.raises(DataError, match="cap and transform need a rating column"):
        filters.values(plain, cap=3)
    with pytest.raises(ConfigError, match="min_rating='x'; it must be a number"):
        filters.rating_at_least(log(), "x")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="values: cap=nan; it must be a number"):
        filters.values(log(), cap=float("nan"))
    with pytest.raises(ConfigError, match="transform='sqrt'; it is 'log'"):
        filters.values(log(), transform="sqrt")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="core: users=-1; it must be a whole number"):
        filters.core(log(), users=-1)
    with pytest.raises(ConfigError, match="is not before until"):
        filters.dates(log(), since="2020", until="2020")
    with pytest.raises(ConfigError, match="duplicates: 'both'"):
        filters.duplicates(log(), "both")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=re.escape("no filter 'min_ratings'. Did you mean 'min_rating'?")):
        filters.apply(log(), {"min_ratings": 3})
    negative = replace(log(), values=np.full(8, -2, np.float32))
    with pytest.raises(DataError, match="the log of 1 \\+ -2 is not a number"):
        filters.values(negative, transform="log")


def test_filters_are_applied_in_a_fixed_order() -> None:
    named = {"cap": 4.0, "core": 2, "min_rating": 2, "until": "1970-01-08", "duplicates": "sum", "without_items": ["c"]}
    found, turned = filters.apply(log(), named), filters.apply(log(), dict(reversed(named.items())))
    assert pairs(found) == pairs(turned) == [("ann", "a"), ("ann", "b"), ("bob", "a"), ("bob", "b")]
    assert found.values.tolist() == turned.values.tolist() == [4, 3, 2, 4]
    starts = ["min_rating 2", "until", "without 1", "duplicates sum", "core of at least", "values"]
    assert [start for note, start in zip(found.notes, starts, strict=True) if note.startswith(start)] == starts
    assert filters.apply(log(), {}).n_rows == 8
    assert pairs(filters.apply(log(), {"item_core": 2, "users": ["ann", "bob"]}))[-1] == ("bob", "b")
