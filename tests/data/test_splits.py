from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recdistill.data import splits
from recdistill.data.log import Log
from recdistill.data.readers import read_interactions
from recdistill.data.splits import Split
from recdistill.errors import ConfigError, DataError
from tests.data.logs import items_of, log_of, same_part, train_pairs, wanted

REAL = Path(__file__).parents[3] / "shared" / "data"


def read(rows: list[tuple], *names: str) -> Log:
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", *names])
    return read_interactions(frame, split_column="split" if "split" in names else None)


GIVEN = [
    ("ann", "x", "train"), ("ann", "y", "train"), ("ann", "z", "test"), ("ann", "new", "test"), ("ann", "w", "valid"),
    ("bob", "z", "train"), ("bob", "w", "train"), ("cat", "x", "train"), ("zoe", "x", "test"), ("abe", "y", "test"),
    ("abe", "z", "valid"), ("bob", "z", "test"),
]  # fmt: skip


def test_a_given_split_is_taken_as_it_is_and_its_cold_users_and_items_are_counted() -> None:
    split = splits.given(read(GIVEN, "split"))
    assert train_pairs(split) == [("ann", "x"), ("ann", "y"), ("bob", "w"), ("bob", "z"), ("cat", "x")]
    assert split.train.items.ids().tolist() == ["w", "x", "y", "z"]
    assert wanted(split, split.test) == {"ann": ["z"], "bob": ["z"], "abe": ["y"], "zoe": ["x"]}
    assert list(wanted(split, split.test)) == ["ann", "bob", "abe", "zoe"]  # known by row, then cold by id
    assert split.test.user_rows.tolist() == [0, 1, -1, -1]
    assert split.test.relevant_count.tolist() == [2, 1, 1, 1]
    assert wanted(split, split.valid) == {"ann": ["w"], "abe": ["z"]}
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
    assert {splits.default_name(read(GIVEN, "split")), splits.default_name(read(many, "timestamp"))} <= set(
        splits.SPLITS
    )


@pytest.mark.parametrize(
    ("times", "name"),
    [
        (lambda user, item: item, "leave_last_n"),
        (lambda user, item: 1 + item, "leave_last_n"),
        (lambda user, item: 3 * item, "leave_last_n"),
        (lambda user, item: item + user % 2, "global_time"),
        (lambda user, item: item // 2, "global_time"),
        (lambda user, item: item + 0.5, "global_time"),
        (lambda user, item: 1_700_000_000 + item, "global_time"),
    ],
)
def test_places_in_each_user_s_order_are_no_common_clock(times: Callable[[int, int], float], name: str) -> None:
    log = read([(user, item, times(user, item)) for user in range(5) for item in range(6)], "timestamp")
    assert splits.default_name(log) == name


def test_a_cut_in_time_keeps_equal_times_together() -> None:
    log = read([(user, item, (7 * user + item) // 2) for user in range(10) for item in range(10)], "timestamp")
    split = splits.global_time(log)
    when = {(u, i): t for u, i, t in zip(log.user_rows, log.item_rows, log.times.tolist(), strict=True)}
    last_train = max(when[pair] for pair in train_pairs(split))
    valid = [when[user, item] for user, items in wanted(split, split.valid).items() for item in items]
    test = [when[user, item] for user, items in wanted(split, split.test).items() for item in items]
    assert last_train < min(valid) <= max(valid) < min(test)
    assert len(train_pairs(split)) + len(valid) + len(test) == 100


def test_the_cuts_lie_where_the_shares_say() -> None:
    split = splits.global_time(read([(time % 2, time, time) for time in range(10)], "timestamp"), valid=0.2, test=0.1)
    assert sorted(item for _, item in train_pairs(split)) == list(range(7))
    assert split.valid.relevant_count.tolist() == [1, 1]
    assert split.test.user_ids.tolist() == [1]
    assert split.test.relevant_count.tolist() == [1]
    assert "train before 1970-01-01T00:00:07, valid before 1970-01-01T00:00:09, test from then on" in split.notes[0]


def test_without_a_valid_share_there_is_one_cut() -> None:
    split = splits.global_time(read([(time % 2, time % 5, time) for time in range(10)], "timestamp"), valid=0, test=0.5)
    assert split.valid is None
    assert train_pairs(split) == [(0, 0), (0, 2), (0, 4), (1, 1), (1, 3)]
    assert wanted(split, split.test) == {0: [1, 3], 1: [0, 2, 4]}


def test_a_pair_that_comes_again_after_a_cut_stays_where_it_came_first() -> None:
    first = [(0, "a", 0), (1, "b", 1), (0, "b", 2), (1, "c", 3), (0, "c", 4), (0, "d", 5)]
    valid, test = [(1, "d", 6), (0, "a", 7)], [(1, "d", 8), (1, "a", 9)]
    split = splits.global_time(read(first + valid + test, "timestamp"), valid=0.2, test=0.2)
    assert train_pairs(split) == [(0, "a"), (0, "b"), (0, "c"), (0, "d"), (1, "b"), (1, "c")]
    assert split.train.times.tolist() == [0, 2, 4, 5, 1, 3]
    assert wanted(split, split.valid) == {1: ["d"]}
    assert wanted(split, split.test) == {1: ["a"]}
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
    assert train_pairs(splits.per_user(log, seed=1)) == train_pairs(splits.per_user(log, seed=1))
    assert train_pairs(splits.per_user(log, seed=1)) != train_pairs(splits.per_user(log, seed=2))


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


@pytest.mark.parametrize("kind", ["given", "global_time", "per_user", "strings", "hold_out", "user_folds"])
def test_a_split_survives_its_folder(tmp_path: Path, kind: str) -> None:
    log = read([(user, item, 5.5 * user + item) for user in range(10) for item in range(user + 2)], "timestamp")
    split = {
        "given": lambda: replace(splits.given(read(GIVEN, "split")), history="train+valid"),
        "strings": lambda: splits.per_user(read([(f"u{user}", f"ï{item}") for user in range(4) for item in range(5)])),
        "hold_out": lambda: splits.per_user(log, valid=0).hold_out(),
        "global_time": lambda: splits.global_time(log),
        "user_folds": lambda: splits.user_folds(log, folds=4),
        "per_user": lambda: splits.per_user(log, valid=0),
    }[kind]()
    split.save(tmp_path / "split")
    back = Split.load(tmp_path / "split")
    assert back.train.sha256() == split.train.sha256()
    assert same_part(back.valid, split.valid)
    assert same_part(back.test, split.test)
    assert same_part(back.seen, split.seen)
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
    rest.write_text(text.replace('"schema_version": 2', '"schema_version": 9'))
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
@pytest.mark.parametrize("split", ["global_time", "per_user", "ratio", "random"])
def test_shares_that_leave_no_train_are_refused(split: str, shares: dict) -> None:
    with pytest.raises(ConfigError, match=f"{split}: valid="):
        splits.SPLITS[split](read(SMALL, "timestamp"), **shares)


def test_the_last_rows_of_each_user_by_time_are_left() -> None:
    rows = [("ann", "d", 1), ("ann", "a", 4), ("ann", "c", 2), ("ann", "b", 3), ("bob", "b", 7), ("bob", "a", 9)]
    rows += [("cat", "c", 3), ("cat", "d", 2), ("cat", "a", 1)]
    split = splits.leave_last_n(log_of(rows, "times"))
    assert train_pairs(split) == [("ann", "c"), ("ann", "d"), ("bob", "a"), ("bob", "b"), ("cat", "a")]
    assert split.valid.user_ids.tolist() == split.test.user_ids.tolist() == ["ann", "cat"]
    assert wanted(split, split.valid) == {"ann": ["b"], "cat": ["d"]}
    assert wanted(split, split.test) == {"ann": ["a"], "cat": ["c"]}
    assert (split.history, split.exclude) == ("train+valid", "train+valid")
    assert split.histories(split.test).toarray().tolist() == [[0, 1, 1, 1], [1, 0, 0, 1]]
    assert split.histories(split.valid).toarray().tolist() == [[0, 0, 1, 1], [1, 0, 0, 0]]
    assert "1 users with fewer than 3 rows keep all in train" in split.notes
    alone = splits.leave_last_n(log_of(rows, "times"), n=2, valid=0)
    assert alone.valid is None
    assert wanted(alone, alone.test) == {"ann": ["a", "b"], "cat": ["c", "d"]}


def test_a_pair_counts_where_its_user_took_it_first_and_comes_back_in_no_later_part() -> None:
    first = [("ann", "a", 1), ("ann", "b", 2), ("ann", "c", 3), ("ann", "d", 4), ("bob", "a", 1), ("bob", "b", 2)]
    again = [("ann", "a", 2), ("ann", "a", 9), ("ann", "c", 8)]
    split = splits.leave_last_n(log_of(first + again, "times"))
    assert train_pairs(split) == [("ann", "a"), ("ann", "b"), ("bob", "a"), ("bob", "b")]
    assert split.train.times.tolist() == [2, 2, 1, 2], "the last row before the cut, not the one of time 9"
    assert split.valid.relevant_count.tolist() == split.test.relevant_count.tolist() == [1]
    assert "2 rows after a user's cut repeat a pair from before it: dropped" in split.notes


def test_equal_times_are_ordered_by_neither_the_file_nor_the_ids() -> None:
    rows = [(user, item, 5) for user in range(3) for item in range(40)]
    last = splits.leave_last_n(log_of(rows, "times"), valid=0, n=8)
    assert wanted(last, last.test) == wanted(splits.leave_last_n(log_of(rows[::-1], "times"), valid=0, n=8), last.test)
    assert last.test.relevant_count.tolist() == [8, 8, 8]
    left = sorted(set(range(40)) - {item for _, item in train_pairs(last)})
    assert left != list(range(32, 40))
    assert left != list(range(8))
    words = [(user, f"item {item}", 5.5) for user, item, _ in rows]
    assert splits.leave_last_n(log_of(words, "times"), n=8).test.relevant_count.tolist() == [8, 8, 8]


def test_a_ratio_by_time_takes_the_last_rows() -> None:
    rows = [(user, (3 * place + user) % 10, place) for user in range(4) for place in range(10)]
    split = splits.ratio(log_of(rows, "times"), valid=0.2, test=0.3, by="time")
    for user in range(4):
        assert wanted(split, split.test)[user] == sorted((3 * place + user) % 10 for place in (7, 8, 9))
        assert wanted(split, split.valid)[user] == sorted((3 * place + user) % 10 for place in (5, 6))
    seeded, alias = splits.ratio(log_of(rows, "times"), seed=2), splits.per_user(log_of(rows, "times"), seed=2)
    assert train_pairs(seeded) == train_pairs(alias)
    assert (seeded.name, alias.name) == ("ratio", "per_user")


def test_random_rows_are_taken_over_the_whole_log() -> None:
    log = log_of([(user, item) for user in range(20) for item in range(10)])
    split = splits.random(log, valid=0.1, test=0.25)
    assert int(split.test.relevant_count.sum()) == 50
    assert int(split.valid.relevant_count.sum()) == 20
    assert split.train.n_rows == 130
    assert len(set(split.test.relevant_count.tolist())) > 2
    assert train_pairs(split) == train_pairs(splits.random(log, valid=0.1, test=0.25))
    assert train_pairs(split) != train_pairs(splits.random(log, valid=0.1, test=0.25, seed=1))


@pytest.mark.parametrize("by", ["seed", "time"])
def test_people_of_a_fold_have_a_history_and_a_held_part_and_no_row_in_train(by: str) -> None:
    rows = [(user, item, 100 * user + (7 * item) % 31) for user in range(40) for item in range(5 + user % 7)]
    split = splits.user_folds(log_of([*rows, (99, 0, 1), (99, 1, 2)], "times"), folds=5, fold=4, held=0.4, by=by)
    assert len(split.test) == len(split.valid) == 8
    assert 99 in split.train.users.ids()
    for held in (split.test, split.valid):
        history, asked = items_of(split, held, held.history), wanted(split, held)
        for user in held.user_ids.tolist():
            assert sorted(history[user] + asked[user]) == list(range(5 + user % 7))
            assert len(asked[user]) == int(0.4 * (5 + user % 7) + 0.5)
            order = sorted(range(5 + user % 7), key=lambda item: (7 * item) % 31)
            if by == "time":
                assert asked[user] == sorted(order[-len(asked[user]) :])
    assert (split.histories(split.test) != split.test.history).nnz == 0
    assert (split.excluded(split.test) != split.test.history).nnz == 0
    assert (replace(split, history="train+valid").histories(split.test) != split.test.history).nnz == 0
    folds = [splits.user_folds(log_of(rows, "times"), folds=5, fold=fold) for fold in range(5)]
    assert sorted(user for one in folds for user in one.test.user_ids.tolist()) == list(range(40))
    assert folds[0].valid.user_ids.tolist() == folds[1].test.user_ids.tolist()


def test_seen_people_are_matched_to_the_test_people_by_length_of_history() -> None:
    draw = np.random.default_rng(0)
    sizes = draw.integers(3, 60, 300)
    log = log_of([(user, item) for user, size in enumerate(sizes) for item in draw.permutation(80)[:size].tolist()])
    split = splits.user_folds(log, folds=10)
    seen, test = split.seen, split.test
    assert len(seen) == len(test) == 30
    assert (seen.user_rows >= 0).all()
    assert not set(seen.user_ids.tolist()) & set(np.append(test.user_ids, split.valid.user_ids).tolist())
    lengths = np.sort(np.diff(split.histories(seen).indptr)), np.sort(np.diff(split.histories(test).indptr))
    assert np.abs(lengths[0] - lengths[1]).max() <= 1
    assert (split.histories(seen) != split.train.csr()[seen.user_rows]).nnz == 0
    whole = dict(enumerate(sizes.tolist()))
    for user, rows, count in zip(seen.user_ids.tolist(), seen.user_rows, seen.relevant_count, strict=True):
        assert count == max(1, int(0.2 * whole[user] + 0.5))
        assert split.train.csr()[rows].nnz + count == whole[user]
    assert "30 seen people are matched to the test people by length of history" in " ".join(split.notes)


def test_where_seen_people_are_few_all_of_them_are_taken() -> None:
    rows = [(user, item) for user in range(9) for item in range(4)] + [(20, 0), (20, 1), (21, 2)]
    split = splits.user_folds(log_of(rows), folds=3)
    assert len(split.seen) == 3
    assert splits.user_folds(log_of(rows[:16] + rows[-3:]), folds=3).seen is not None
    few = splits.user_folds(log_of(rows[:8] + rows[-3:]), folds=3)
    assert few.seen is None
    assert "nobody of train is left to compare the test people with" in few.notes


def test_users_without_a_usable_history_are_counted_and_those_with_valid_rows_are_not() -> None:
    split = splits.given(read(GIVEN, "split"))
    assert "2 of 4 test users have no usable history: answered with popularity" in split.notes
    wider = split.hiding(history="train+valid")
    assert "1 of 4 test users have no usable history: answered with popularity" in wider.notes
    assert (wider.history, wider.exclude) == ("train+valid", "train")
    assert sorted(wider.hiding(history="train").notes) == sorted(split.notes)


def test_logs_that_were_read_one_by_one_are_one_split() -> None:
    train = log_of([(1, "x", 3, 5.0), (2, "y", 4, 1.0), (1, "y", 5, 2.0)], "times", "values")
    test = log_of([("2", "x", 6), ("three", "new", 7)], "times")
    split = splits.given_logs(train, test)
    assert train_pairs(split) == [("1", "x"), ("1", "y"), ("2", "y")]
    assert split.train.times.tolist() == [3, 5, 4]
    assert split.train.values is None
    assert split.valid is None
    assert wanted(split, split.test) == {"2": ["x"], "three": []}
    assert split.notes[0] == "given by a log for each part"
    assert "values are left out: test has none" in split.train.notes
    valid = log_of([(2, "x", 1), (5, "y", 2)], "times")
    assert wanted(splits.given_logs(train, test, valid), splits.given_logs(train, test, valid).valid) == {
        "2": ["x"],
        "5": ["y"],
    }
    whole = splits.concatenate({"train": train, "test": valid})
    assert whole.users.ids().tolist() == [1, 2, 5]
    assert whole.split.tolist() == [0, 0, 0, 1, 1]


def test_logs_that_cannot_be_put_together_are_refused() -> None:
    log = log_of([(1, 1), (2, 2)])
    with pytest.raises(ConfigError, match=re.escape("concatenate: no part 'tests'. Did you mean 'test'?")):
        splits.concatenate({"train": log, "tests": log})
    with pytest.raises(ConfigError, match="the part 'test' is missing"):
        splits.concatenate({"train": log})
    own = replace(log, split=np.array([0, 1], np.int8))
    with pytest.raises(DataError, match="has a split column of its own"):
        splits.concatenate({"train": own, "test": log})


TIMED = log_of([(user, item, user + item) for user in range(4) for item in range(3)], "times")


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("leave_last_n", {"n": 0}, "leave_last_n: n=0; it must be a whole number, at least 1"),
        ("leave_last_n", {"valid": 0.1}, "leave_last_n: valid=0.1; it must be a whole number, at least 0"),
        ("ratio", {"by": "rows"}, "ratio: by='rows'; it is 'seed' or 'time'"),
        ("ratio", {"seed": -1}, "ratio: seed=-1; it must be a whole number"),
        ("random", {"seed": True}, "random: seed=True"),
        ("user_folds", {"folds": 2}, "user_folds: folds=2; it must be a whole number, at least 3"),
        ("user_folds", {"fold": 10}, "user_folds: fold=10; with 10 folds it goes from 0 to 9"),
        ("user_folds", {"held": 1}, "user_folds: held=1; it must lie between 0 and 1"),
    ],
)
def test_settings_that_no_split_can_have_are_refused(name: str, settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        splits.SPLITS[name](TIMED, **settings)


def test_splits_that_the_log_does_not_allow_are_refused_with_a_cure() -> None:
    timeless = log_of([(user, item) for user in range(4) for item in range(3)])
    with pytest.raises(DataError, match="leave_last_n needs a timestamp column"):
        splits.leave_last_n(timeless)
    with pytest.raises(DataError, match="user_folds needs a timestamp column"):
        splits.user_folds(timeless, by="time")
    with pytest.raises(DataError, match="No user has 5 different items; leave fewer"):
        splits.leave_last_n(TIMED, n=3)
    with pytest.raises(DataError, match="no rows are left for test"):
        splits.random(TIMED, test=0.01)
    with pytest.raises(DataError, match="1 users have the 3 rows that user_folds needs, too few for 3 folds"):
        splits.user_folds(log_of([(1, 1), (1, 2), (1, 3), (2, 1)]), folds=3)


ids = st.integers(0, 7)
logs = st.lists(st.tuples(ids, ids, st.integers(0, 30)), min_size=15, max_size=80)
calm = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])


@calm
@given(logs, st.sampled_from(["global_time", "per_user", "leave_last_n", "random"]), st.randoms())
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
@given(logs, st.sampled_from(["global_time", "per_user", "leave_last_n", "random"]))
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


def test_a_split_and_its_parts_are_told_in_one_line_each() -> None:
    split = splits.given(read(GIVEN, "split"))
    assert repr(split) == "Split(train 5 rows, valid 2 users, test 4 users; 3 users x 4 items; given)"
    assert repr(replace(split, valid=None)).startswith("Split(train 5 rows, no valid, test 4 users")
    assert repr(split.train) == "Interactions(5 rows; 3 users x 4 items)"
    assert repr(split.test) == "HeldOut(4 users, 2 of them not in train; 5 relevant rows among 4 items of train)"
    timed = replace(split.train, times=np.arange(5))
    assert repr(timed) == "Interactions(5 rows; 3 users x 4 items; with times)"
