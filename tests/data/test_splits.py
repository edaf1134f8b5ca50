from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recdistill.data import splits
from recdistill.data.interactions import HeldOut
from recdistill.data.log import Log
from recdistill.data.readers import read_interactions
from recdistill.data.splits import Split
from recdistill.errors import ConfigError, DataError

REAL = Path(__file__).parents[3] / "shared" / "data"


def read(rows: list[tuple], *names: str) -> Log:
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", *names])
    return read_interactions(frame, split_column="split" if "split" in names else None)


def relevant(split: Split, held: HeldOut) -> dict:
    """User to the items that train knows."""
    items = split.train.items.ids()
    return {user: items[held.relevant[at].indices].tolist() for at, user in enumerate(held.user_ids.tolist())}


def train_rows(split: Split) -> list[tuple]:
    train = split.train
    return list(zip(train.users.ids(train.user_rows).tolist(), train.items.ids(train.item_rows).tolist(), strict=True))


def same_part(a: HeldOut | None, b: HeldOut | None) -> bool:
    if a is None or b is None:
        return a is b
    return (
        a.user_ids.tolist() == b.user_ids.tolist()
        and a.user_rows.tolist() == b.user_rows.tolist()
        and a.relevant_count.tolist() == b.relevant_count.tolist()
        and (a.relevant != b.relevant).nnz == 0
    )


GIVEN = [
    ("ann", "x", "train"), ("ann", "y", "train"), ("ann", "z", "test"), ("ann", "new", "test"), ("ann", "w", "valid"),
    ("bob", "z", "train"), ("bob", "w", "train"), ("cat", "x", "train"), ("zoe", "x", "test"), ("abe", "y", "test"),
    ("abe", "z", "valid"), ("bob", "z", "test"),
]  # fmt: skip


def test_a_given_split_is_taken_as_it_is_and_its_cold_users_and_items_are_counted() -> None:
    split = splits.given(read(GIVEN, "split"))
    assert train_rows(split) == [("ann", "x"), ("ann", "y"), ("bob", "w"), ("bob", "z"), ("cat", "x")]
    assert split.train.items.ids().tolist() == ["w", "x", "y", "z"]
    assert relevant(split, split.test) == {"ann": ["z"], "bob": ["z"], "abe": ["y"], "zoe": ["x"]}
    assert list(relevant(split, split.test)) == ["ann", "bob", "abe", "zoe"]  # known by row, then cold by id
    assert split.test.user_rows.tolist() == [0, 1, -1, -1]
    assert split.test.relevant_count.tolist() == [2, 1, 1, 1]
    assert relevant(split, split.valid) == {"ann": ["w"], "abe": ["z"]}
    assert split.users_left_out == 1
    notes = " ".join(split.notes)
    assert "2 of 4 test users are not in train (cold)" in notes
    assert "1 of 5 test rows are of items that are not in train (cold)" in notes
    assert "1 of 5 test rows are in train too" in notes


def test_histories_and_exclusions_follow_their_settings() -> None:
    split = splits.given(read(GIVEN, "split"))
    assert split.histories(split.test).toarray().tolist() == [[0, 1, 1, 0], [1, 0, 0, 1], [0] * 4, [0] * 4]
    wider = replace(split, history="train+valid")
    assert wider.histories(wider.test).toarray().tolist() == [[1, 1, 1, 0], [1, 0, 0, 1], [0, 0, 0, 1], [0] * 4]
    assert (wider.excluded(wider.test) != split.excluded(split.test)).nnz == 0
    assert wider.histories(wider.valid).toarray().tolist() == [[0, 1, 1, 0], [0] * 4]
    assert replace(split, exclude="train+valid").excluded(split.test).toarray()[2].tolist() == [0, 0, 0, 1]
    assert wider.histories(wider.test).has_sorted_indices
    with pytest.raises(ConfigError, match=re.escape("split.history: 'all'")):
        replace(split, history="all")
    with pytest.raises(ConfigError, match=re.escape("split.exclude: 'nothing'")):
        replace(split, exclude="nothing")


def test_the_default_is_given_then_time_then_per_user() -> None:
    many = [(user, item, 10 * user + item) for user in range(5) for item in range(6)]
    assert splits.default(read(GIVEN, "split")).name == "given"
    assert splits.default(read(many, "timestamp")).name == "global_time"
    assert splits.default(read([row[:2] for row in many])).name == "per_user"
    assert set(splits.SPLITS) == {"given", "global_time", "per_user"}


def test_a_cut_in_time_keeps_equal_times_together() -> None:
    log = read([(user, item, (7 * user + item) // 2) for user in range(10) for item in range(10)], "timestamp")
    split = splits.global_time(log)
    when = {(u, i): t for u, i, t in zip(log.user_rows, log.item_rows, log.times.tolist(), strict=True)}
    last_train = max(when[pair] for pair in train_rows(split))
    valid = [when[user, item] for user, items in relevant(split, split.valid).items() for item in items]
    test = [when[user, item] for user, items in relevant(split, split.test).items() for item in items]
    assert last_train < min(valid) <= max(valid) < min(test)
    assert len(train_rows(split)) + len(valid) + len(test) == 100


def test_the_cuts_lie_where_the_shares_say() -> None:
    split = splits.global_time(read([(time % 2, time, time) for time in range(10)], "timestamp"), valid=0.2, test=0.1)
    assert sorted(item for _, item in train_rows(split)) == list(range(7))
    assert split.valid.relevant_count.tolist() == [1, 1]
    assert split.test.user_ids.tolist() == [1]
    assert split.test.relevant_count.tolist() == [1]
    assert "train before 1970-01-01T00:00:07, valid before 1970-01-01T00:00:09, test from then on" in split.notes[0]


def test_without_a_valid_share_there_is_one_cut() -> None:
    split = splits.global_time(read([(time % 2, time % 5, time) for time in range(10)], "timestamp"), valid=0, test=0.5)
    assert split.valid is None
    assert train_rows(split) == [(0, 0), (0, 2), (0, 4), (1, 1), (1, 3)]
    assert relevant(split, split.test) == {0: [1, 3], 1: [0, 2, 4]}


def test_a_pair_that_comes_again_after_a_cut_stays_where_it_came_first() -> None:
    first = [(0, "a", 0), (1, "b", 1), (0, "b", 2), (1, "c", 3), (0, "c", 4), (0, "d", 5)]
    valid, test = [(1, "d", 6), (0, "a", 7)], [(1, "d", 8), (1, "a", 9)]
    split = splits.global_time(read(first + valid + test, "timestamp"), valid=0.2, test=0.2)
    assert train_rows(split) == [(0, "a"), (0, "b"), (0, "c"), (0, "d"), (1, "b"), (1, "c")]
    assert split.train.times.tolist() == [0, 2, 4, 5, 1, 3]
    assert relevant(split, split.valid) == {1: ["d"]}
    assert relevant(split, split.test) == {1: ["a"]}
    assert "2 rows after a cut repeat a pair from before it: dropped" in split.notes


def test_per_user_shares_leave_one_row_for_train_and_spare_small_users() -> None:
    rows = [(user, item) for user in range(1, 31) for item in range(user)]
    split = splits.per_user(read(rows), valid=0.1, test=0.2)
    kept = np.bincount(split.train.user_rows)
    users = split.train.users.ids()
    assert users.tolist() == list(range(1, 31))
    assert kept[:2].tolist() == [1, 2]
    tested = dict(zip(split.test.user_ids.tolist(), split.test.relevant_count.tolist(), strict=True))
    checked = dict(zip(split.valid.user_ids.tolist(), split.valid.relevant_count.tolist(), strict=True))
    for user in range(3, 31):
        assert tested[user] == max(1, int(0.2 * user + 0.5))
        assert checked[user] == max(1, int(0.1 * user + 0.5))
        assert kept[user - 1] == user - tested[user] - checked[user] >= 1
    assert split.users_left_out == 2


def test_extreme_shares_leave_a_row_for_each_part() -> None:
    split = splits.per_user(read([(user, item) for user in range(6) for item in range(4)]), valid=0.49, test=0.49)
    assert np.bincount(split.train.user_rows).tolist() == [1] * 6
    assert (split.valid.relevant_count + split.test.relevant_count).tolist() == [3] * 6


def test_the_seed_decides_what_is_drawn() -> None:
    log = read([(user, item) for user in range(20) for item in range(10)])
    assert train_rows(splits.per_user(log, seed=1)) == train_rows(splits.per_user(log, seed=1))
    assert train_rows(splits.per_user(log, seed=1)) != train_rows(splits.per_user(log, seed=2))


def test_without_valid_a_share_of_train_chooses_and_test_stays_out_of_sight() -> None:
    rows = [(user, item, "train" if item < 20 else "test") for user in range(8) for item in range(22)]
    rows += [(9, 0, "train"), (9, 1, "train"), (9, 2, "test")]
    split = splits.given(read(rows, "split"))
    chosen = split.selection()
    assert split.valid is None
    assert chosen.test is chosen.valid
    assert chosen.train.users == split.train.users
    assert chosen.train.items == split.train.items
    assert chosen.valid.relevant_count.tolist() == [2] * 8
    assert np.bincount(chosen.train.user_rows).tolist() == [18] * 8 + [2]
    both = chosen.train.csr()[:8] + chosen.valid.relevant
    assert (both != split.train.csr()[:8]).nnz == 0
    assert chosen.users_left_out == 1
    assert (replace(chosen, history="train+valid").histories(chosen.test) != chosen.train.csr()[:8]).nnz == 0
    assert chosen.selection() is chosen
    assert not same_part(split.hold_out(seed=1).valid, chosen.valid)
    with pytest.raises(ConfigError, match=re.escape("share=1; it must lie between 0 and 1")):
        split.hold_out(share=1)


@pytest.mark.parametrize("kind", ["given", "global_time", "per_user", "strings", "hold_out"])
def test_a_split_survives_its_folder(tmp_path: Path, kind: str) -> None:
    log = read([(user, item, 5.5 * user + item) for user in range(10) for item in range(user + 2)], "timestamp")
    split = {
        "given": lambda: replace(splits.given(read(GIVEN, "split")), history="train+valid"),
        "strings": lambda: splits.per_user(read([(f"u{user}", f"ï{item}") for user in range(4) for item in range(5)])),
        "hold_out": lambda: splits.per_user(log, valid=0).hold_out(),
        "global_time": lambda: splits.global_time(log),
        "per_user": lambda: splits.per_user(log, valid=0),
    }[kind]()
    split.save(tmp_path / "split")
    back = Split.load(tmp_path / "split")
    assert back.train.sha256() == split.train.sha256()
    assert same_part(back.valid, split.valid)
    assert same_part(back.test, split.test)
    assert (back.test is back.valid) == (split.test is split.valid)
    assert (back.name, back.history, back.exclude, back.notes) == (
        split.name,
        split.history,
        split.exclude,
        split.notes,
    )
    assert back.users_left_out == split.users_left_out
    assert back.train.notes == split.train.notes
    assert (back.histories(back.test) != split.histories(split.test)).nnz == 0


def test_a_folder_that_is_not_a_whole_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=re.escape("not a saved split; split.json is missing")):
        Split.load(tmp_path)
    folder = tmp_path / "split"
    splits.given(read(GIVEN, "split")).save(folder)
    arrays, rest = (folder / "split.safetensors"), (folder / "split.json")
    whole, text = arrays.read_bytes(), rest.read_text()
    arrays.write_bytes(whole[:-9])
    with pytest.raises(DataError, match="cannot be read"):
        Split.load(folder)
    arrays.write_bytes(whole)
    rest.write_text(text.replace('"schema_version": 1', '"schema_version": 9'))
    with pytest.raises(DataError, match="a split of schema 9"):
        Split.load(folder)
    other = splits.given(read([*GIVEN, ("bob", "y", "train")], "split"))
    other.save(tmp_path / "other")
    rest.write_text(text)
    arrays.write_bytes((tmp_path / "other" / "split.safetensors").read_bytes())
    with pytest.raises(DataError, match="not those that were saved"):
        Split.load(folder)


SMALL = [(1, 1, 5), (1, 2, 5), (2, 1, 5)]


def test_logs_that_cannot_be_split_are_refused_with_a_cure() -> None:
    log = read(SMALL, "timestamp")
    with pytest.raises(DataError, match="no split column was read"):
        splits.given(log)
    with pytest.raises(
        DataError, match=re.escape("no rows are left for train out of 3. Too few rows or too few different times")
    ):
        splits.global_time(log)
    with pytest.raises(DataError, match=re.escape("no rows are left for valid out of 3. No user has 3 rows")):
        splits.per_user(log)
    with pytest.raises(DataError, match="global_time needs a timestamp column"):
        splits.global_time(read([row[:2] for row in SMALL]))
    two_each = [(1, 1, "train"), (1, 2, "train"), (2, 1, "train"), (2, 2, "test")]
    with pytest.raises(DataError, match="no user has the 3 train rows"):
        splits.given(read(two_each, "split")).hold_out()


@pytest.mark.parametrize("lonely", [[(1, 1, "train"), (1, 2, "train")], [(1, 1, "train"), (2, 1, "train")]])
def test_a_train_part_of_one_user_or_one_item_is_refused(lonely: list) -> None:
    with pytest.raises(DataError, match=r"the train part of the split given has \d users and \d items; at least two"):
        splits.given(read([*lonely, (3, 3, "test")], "split"))


@pytest.mark.parametrize("shares", [{"valid": -0.1}, {"test": 0}, {"valid": 0.5, "test": 0.5}, {"test": 1.5}])
@pytest.mark.parametrize("split", ["global_time", "per_user"])
def test_shares_that_leave_no_train_are_refused(split: str, shares: dict) -> None:
    with pytest.raises(ConfigError, match=f"{split}: valid="):
        splits.SPLITS[split](read(SMALL, "timestamp"), **shares)


ids = st.integers(0, 7)
logs = st.lists(st.tuples(ids, ids, st.integers(0, 30)), min_size=15, max_size=80)
calm = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])


@calm
@given(logs, st.sampled_from(["global_time", "per_user"]), st.randoms())
def test_the_order_of_rows_changes_no_split(rows: list, name: str, random) -> None:
    """Rows that differ in the time alone are told apart by it, so that any order of the file is the same log."""
    shuffled = random.sample(rows, len(rows))
    try:
        split = splits.SPLITS[name](read(rows, "timestamp"))
    except DataError:
        return
    again = splits.SPLITS[name](read(shuffled, "timestamp"))
    assert split.train.sha256() == again.train.sha256()
    assert same_part(split.valid, again.valid)
    assert same_part(split.test, again.test)


@calm
@given(logs, st.data())
def test_random_items_after_the_last_cut_change_nothing_before_it(rows: list, data: st.DataObject) -> None:
    try:
        split = splits.global_time(read(rows, "timestamp"))
    except DataError:
        return
    ordered = sorted(time for _, _, time in rows)
    cut = ordered[min(round(len(rows) * 0.9), len(rows) - 1)]
    swapped = [(u, data.draw(st.integers(0, 12)) if t >= cut else i, t) for u, i, t in rows]
    try:
        blind = splits.global_time(read(swapped, "timestamp"))
    except DataError as fault:
        assert "left for test" in str(fault)  # all of them came to repeat earlier pairs
        return
    assert split.train.sha256() == blind.train.sha256()
    assert same_part(split.valid, blind.valid)


@calm
@given(st.lists(st.tuples(ids, ids, st.sampled_from(["train", "valid", "test"])), min_size=15, max_size=80), st.data())
def test_random_test_items_change_nothing_in_train_valid_or_vocabulary(rows: list, data: st.DataObject) -> None:
    rows = [(0, 0, "train"), (1, 1, "train"), (2, 2, "test"), *rows]
    swapped = [(u, data.draw(st.integers(0, 12)) if part == "test" else i, part) for u, i, part in rows]
    split, blind = splits.given(read(rows, "split")), splits.given(read(swapped, "split"))
    assert split.train.sha256() == blind.train.sha256()
    assert same_part(split.valid, blind.valid)
    chosen = [one for one in (split, blind) if one.valid is None and np.bincount(one.train.user_rows).max() >= 3]
    for one in chosen:
        assert one.hold_out().train.sha256() == split.hold_out().train.sha256()
        assert same_part(one.hold_out().valid, split.hold_out().valid)


@calm
@given(logs, st.sampled_from(["global_time", "per_user"]))
def test_no_pair_is_in_two_parts_and_none_is_lost(rows: list, name: str) -> None:
    try:
        split = splits.SPLITS[name](read(rows, "timestamp"))
    except DataError:
        return
    pairs = {(user, item) for user, item, _ in rows}
    counted = split.train.n_rows + split.valid.relevant_count.sum() + split.test.relevant_count.sum()
    assert counted == len(pairs)
    for held in (split.valid, split.test):
        known = held.user_rows >= 0
        own = split.train.csr()[held.user_rows[known]]
        assert own.multiply(held.relevant[np.flatnonzero(known)]).nnz == 0
        assert split.train.users.rows(held.user_ids).tolist() == held.user_rows.tolist()
        assert (np.diff(held.user_rows[known]) > 0).all()
        assert not known[int(known.sum()) :].any()


def test_the_whole_log_can_be_one_train_part() -> None:
    whole = read([(1, 5, 1), (2, 6, 2), (1, 5, 9)], "timestamp").interactions()
    assert (whole.n_users, whole.n_items, whole.n_rows) == (2, 2, 2)
    assert read(GIVEN, "split").unique().split is None
    assert whole.times.tolist() == [9, 2]


@pytest.mark.real_log
@pytest.mark.skipif(not REAL.is_dir(), reason="the real logs are not beside the checkout")
def test_cold_test_items_of_a_real_log_count_as_relevant() -> None:
    split = splits.given(
        read_interactions(REAL / "citeulike-t-derrd-loo" / "interactions.parquet", split_column="split")
    )
    assert split.train.n_rows == 115142
    assert int(split.test.relevant_count.sum()) == 5219
    assert split.test.relevant.nnz == 5219 - 258  # 4.9 % of the test items never occur in train
