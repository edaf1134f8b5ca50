"""Nothing of valid or test, nor of after a cut, reaches what models are fitted on.

Each split is made of a log and of the same log with its held-out rows replaced; train must be the same to the bit.
Items have even ids, so that a replaced one (the next odd id) keeps its place in the order of ids: a seeded draw, which
goes by that order, then falls on the same rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from recdistill.data import splits
from recdistill.data.interactions import HeldOut
from recdistill.data.log import TEST, TRAIN, VALID, Log
from recdistill.data.split import Split
from recdistill.data.vocab import Vocab
from recdistill.errors import DataError
from recdistill.features import read_features
from recdistill.models.popularity import log_counts
from tests.data.logs import same_part

Splitter = Callable[[Log], Split]
TIMED: dict[str, Splitter] = {
    "global_time": splits.global_time,
    "leave_last_n": lambda log: splits.leave_last_n(log, n=2),
    "ratio by time": lambda log: splits.ratio(log, by="time", valid=0.2, test=0.2),
    "user_folds by time": lambda log: splits.user_folds(log, folds=4, by="time", held=0.3),
}
SEEDED: dict[str, Splitter] = {
    "given": splits.given,
    "per_user": lambda log: splits.per_user(log, valid=0.2, test=0.2),
    "ratio": lambda log: splits.ratio(log, valid=0.2, test=0.2, seed=3),
    "random": lambda log: splits.random(log, valid=0.2, test=0.2),
    "user_folds": lambda log: splits.user_folds(log, folds=4, held=0.3),
}
FOLDS = ("user_folds", "user_folds by time")
EVERY = TIMED | SEEDED
seeds = given(seed=st.integers(0, 10_000))
calm = settings(max_examples=25, deadline=None)


def drawn_log(seed: int, *, distinct: bool) -> Log:
    """Some 200 rows of 12 to 20 users; even ids of items; distinct times; with `distinct` no pair is repeated."""
    draw = np.random.default_rng(seed)
    n_users, n_items = int(draw.integers(12, 20)), int(draw.integers(8, 25))
    users, items = draw.integers(0, n_users, 250), draw.integers(0, n_items, 250)
    if distinct:
        kept = np.unique(users * n_items + items)
        users, items = kept // n_items, kept % n_items
    order = draw.permutation(len(users))
    times = draw.permutation(len(users)) * 100 + 1_000_000_000
    values = draw.integers(1, 6, len(users)).astype(np.float32)
    part = draw.choice([TRAIN, TEST, VALID], len(users), p=[0.7, 0.15, 0.15]).astype(np.int8)
    return Log(
        Vocab(np.arange(n_users)), Vocab(2 * np.arange(n_items)), users[order].astype(np.int32),
        items[order].astype(np.int32), times[order], values, part,
    )  # fmt: skip


def held_rows(log: Log, split: Split) -> np.ndarray:
    """Mask of the rows of a log without repeated pairs that the split holds out (histories are not)."""
    train = log.users.rows(split.train.users.ids()), log.items.rows(split.train.items.ids())
    own = set(zip(train[0][split.train.user_rows], train[1][split.train.item_rows], strict=True))
    for held in (split.valid, split.test):
        if held is not None and held.history is not None:
            users, items = held.history.nonzero()
            own |= set(zip(log.users.rows(held.user_ids)[users], train[1][items], strict=True))
    return np.array([pair not in own for pair in zip(log.user_rows, log.item_rows, strict=True)])


def replaced(log: Log, rows: np.ndarray, items: np.ndarray, times: np.ndarray, values: np.ndarray) -> Log:
    """The log with other ids of items, times and values in some rows, its vocabulary made anew."""
    ids, when, worth = log.items.ids(log.item_rows).copy(), log.times.copy(), log.values.copy()
    ids[rows], when[rows], worth[rows] = items, times, values
    vocab, item_rows = np.unique(ids, return_inverse=True)
    changed: dict[str, Any] = {"items": Vocab(vocab), "item_rows": item_rows.astype(np.int32)}
    return replace(log, times=when, values=worth, **changed)


def assert_same_train(a: Split, b: Split) -> None:
    """Rows, vocabularies, times and values to the bit, and what is counted from them."""
    for name in ("user_rows", "item_rows", "times", "values"):
        np.testing.assert_array_equal(getattr(a.train, name), getattr(b.train, name))
    assert a.train.users == b.train.users
    assert a.train.items == b.train.items
    assert a.train.sha256() == b.train.sha256()
    np.testing.assert_array_equal(log_counts(a.train), log_counts(b.train))


def attempt(splitter: Splitter, log: Log) -> Split:
    """A drawn log that is too small for the split is no example; hypothesis says so where most are."""
    try:
        return splitter(log)
    except DataError:
        reject()


def test_every_registered_split_is_tested_here() -> None:
    assert {name.partition(" ")[0] for name in EVERY} == set(splits.SPLITS)


@pytest.mark.parametrize("name", EVERY)
@seeds
@calm
def test_train_is_the_same_whatever_the_held_out_rows_hold(name: str, seed: int) -> None:
    log = drawn_log(seed, distinct=True)
    split = attempt(EVERY[name], log)
    draw = np.random.default_rng(seed + 1)
    rows = held_rows(log, split)
    items = log.items.ids(log.item_rows[rows]) + 1
    values = draw.integers(50, 60, rows.sum()).astype(np.float32)
    times = log.times[rows] + draw.integers(0, 50, rows.sum())  # steps are of 100: no order changes
    if name in SEEDED:
        times = draw.integers(0, 2_000_000_000, rows.sum())
    other = EVERY[name](replaced(log, rows, items, times, values))
    assert rows.any()
    assert_same_train(split, other)
    assert split.test.user_ids.tolist() == other.test.user_ids.tolist()
    assert split.test.relevant_count.tolist() == other.test.relevant_count.tolist()
    assert other.test.relevant.nnz == 0, "items that only held-out rows have are in no vocabulary"


@pytest.mark.parametrize("name", ["global_time", "leave_last_n", "ratio by time"])
@pytest.mark.parametrize("duplicates", ["last", "first", "sum"])
@seeds
@calm
def test_train_holds_what_its_rows_before_the_cut_make_of_it(name: str, duplicates: str, seed: int) -> None:
    """Pairs are repeated here, also after the cut, where they may not reach back; counted again row by row."""
    log = replace(drawn_log(seed, distinct=False), duplicates=duplicates)
    split = attempt(TIMED[name], log)
    cuts = first_cuts(log, split)
    before: dict[tuple[int, int], list[tuple[int, float]]] = {}
    for user, item, time, value in sorted(
        zip(log.user_rows, log.item_rows, log.times.tolist(), log.values.tolist(), strict=True), key=lambda row: row[2]
    ):
        if time < cuts[user]:
            before.setdefault((user, item), []).append((time, value))
    train = split.train
    users, items = log.users.rows(train.users.ids()), log.items.rows(train.items.ids())
    pairs = zip(users[train.user_rows], items[train.item_rows], strict=True)
    found = dict(zip(pairs, zip(train.times.tolist(), train.values.tolist(), strict=True), strict=True))
    place = {"last": -1, "first": 0, "sum": -1}[duplicates]
    sums = {pair: sum(value for _, value in rows) for pair, rows in before.items()}
    assert found == {
        pair: (rows[place][0], sums[pair] if duplicates == "sum" else rows[place][1]) for pair, rows in before.items()
    }


def first_cuts(log: Log, split: Split) -> np.ndarray:
    """(n_users,): the time at which each user's held-out rows begin."""
    if split.name == "global_time":
        return np.full(log.n_users, np.sort(log.times)[round(0.8 * log.n_rows)])
    cuts = np.full(log.n_users, np.inf)
    train = set(
        zip(split.train.users.ids(split.train.user_rows), split.train.items.ids(split.train.item_rows), strict=True)
    )
    for user, item, time in zip(log.users.ids(log.user_rows), log.items.ids(log.item_rows), log.times, strict=True):
        if (user, item) not in train:
            cuts[user] = min(cuts[user], time)
    return cuts


@seeds
@calm
def test_rows_appended_after_the_last_cut_change_nothing_before_it(seed: int) -> None:
    """The shares are set so that the cuts stay where they were."""
    log = drawn_log(seed, distinct=False)
    split = attempt(splits.global_time, log)
    draw, n, more = np.random.default_rng(seed), log.n_rows, 40
    before = [round(n * share) for share in (0.8, 0.9)]
    longer = replace(
        log,
        user_rows=np.append(log.user_rows, draw.integers(0, log.n_users, more)).astype(np.int32),
        item_rows=np.append(log.item_rows, draw.integers(0, log.n_items, more)).astype(np.int32),
        times=np.append(log.times, log.times.max() + 1 + np.arange(more)),
        values=np.append(log.values, np.full(more, 99)).astype(np.float32),
        split=None,
    )
    shares = {"valid": (before[1] - before[0]) / (n + more), "test": (n + more - before[1]) / (n + more)}
    again = splits.global_time(longer, **shares)
    assert again.notes[0] == split.notes[0], "the cuts moved"
    assert_same_train(split, again)
    assert same_part(split.valid, again.valid)


@pytest.mark.parametrize("name", ["leave_last_n", "ratio by time"])
@seeds
@calm
def test_each_user_s_train_rows_come_before_the_held_out_ones(name: str, seed: int) -> None:
    log = drawn_log(seed, distinct=True)
    split = attempt(TIMED[name], log)
    pairs = zip(log.user_rows, log.item_rows, strict=True)
    when = dict(zip(pairs, log.times.tolist(), strict=True))
    held = {pair for pair, out in zip(when, held_rows(log, split), strict=True) if out}
    for user in range(log.n_users):
        inside = [time for pair, time in when.items() if pair[0] == user and pair not in held]
        outside = [time for pair, time in when.items() if pair[0] == user and pair in held]
        assert max(inside, default=0) < min(outside, default=2**40)


@pytest.mark.parametrize("name", FOLDS)
@seeds
@calm
def test_no_row_of_a_test_or_valid_person_is_in_train(name: str, seed: int) -> None:
    split = attempt(EVERY[name], drawn_log(seed, distinct=False))
    people = [set(held.user_ids.tolist()) for held in (split.test, split.valid)]
    assert not people[0] & people[1]
    assert not (people[0] | people[1]) & set(split.train.users.ids().tolist())
    assert (split.test.user_rows == -1).all()
    assert (split.valid.user_rows == -1).all()


@pytest.mark.parametrize("name", FOLDS)
@seeds
@calm
def test_train_is_the_same_whatever_unseen_people_did(name: str, seed: int) -> None:
    """All rows of theirs, history included, are replaced."""
    log = drawn_log(seed, distinct=True)
    split = attempt(EVERY[name], log)
    unseen = np.isin(log.user_rows, log.users.rows(np.append(split.test.user_ids, split.valid.user_ids)))
    values = np.full(unseen.sum(), 88, np.float32)
    other = EVERY[name](replaced(log, unseen, log.items.ids(log.item_rows[unseen]) + 1, log.times[unseen], values))
    assert unseen.any()
    assert_same_train(split, other)


@pytest.mark.parametrize("name", EVERY)
@seeds
@calm
def test_no_held_out_pair_is_in_train_or_in_a_history(name: str, seed: int) -> None:
    log = drawn_log(seed, distinct=name == "given")
    split = attempt(EVERY[name], log)
    own = replace(split, history="train", exclude="train")
    held: list[HeldOut] = [part for part in (split.valid, split.test, split.seen) if part is not None]
    for part in held:
        assert own.histories(part).multiply(part.relevant).nnz == 0


@pytest.mark.parametrize("name", EVERY)
def test_statistics_of_features_are_of_what_train_holds(name: str) -> None:
    """Items that only held-out rows have are described by nothing that training sees."""
    log = drawn_log(7, distinct=True)
    split = EVERY[name](log)
    rows = held_rows(log, split)
    swapped = replaced(log, rows, log.items.ids(log.item_rows[rows]) + 1, log.times[rows], log.values[rows])
    ids = np.arange(60)
    table = pd.DataFrame(
        {"item_id": ids, "year": np.where(ids % 2, 3000, 1990 + ids), "kind": np.where(ids % 2, "x", "y")}
    )
    told = []
    for one in (log, swapped):
        train = EVERY[name](replace(one, item_features=read_features(table, of="item"))).train
        assert train.item_features is not None
        told.append(train.item_features.of(train.items).describe())
    assert told[0] == told[1]
