"""The place of each row in its user's own order, alone and over parts of a split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recdistill.data import splits
from recdistill.data.interactions import HeldOut, Interactions
from recdistill.data.known import known_histories
from recdistill.data.log import Log
from recdistill.data.order import by_user_and_time
from recdistill.data.readers import read_interactions
from recdistill.data.split import Split
from recdistill.data.vocab import Vocab
from recdistill.errors import DataError
from recdistill.serving.histories import Histories


def told(histories: Histories) -> list[list[int]]:
    """Each user's items, the oldest first."""
    assert histories.places is not None
    found = []
    for user in range(len(histories)):
        one = slice(histories.indptr[user], histories.indptr[user + 1])
        assert sorted(histories.places[one]) == list(range(one.stop - one.start))
        found.append(histories.items[one][np.argsort(-histories.places[one])].tolist())
    return found


def log_of(rows: list[tuple[int, int, float]], split: list[int] | None = None) -> Log:
    users, items, times = (np.array(column) for column in zip(*rows, strict=True))
    parts = None if split is None else np.array(split, np.int8)
    user_vocab, item_vocab = Vocab(np.unique(users)), Vocab(np.unique(items))
    rows_of = user_vocab.rows(users).astype(np.int32), item_vocab.rows(items).astype(np.int32)
    return Log(user_vocab, item_vocab, *rows_of, times, None, parts)


@pytest.mark.parametrize("kind", [int, float])
def test_the_last_row_by_time_has_the_place_0(kind: type) -> None:
    times = [kind(one) for one in (30, 10, 20, 5, 4)]
    log = Interactions.from_ids([1, 1, 1, 2, 2], [7, 8, 9, 7, 9], times=times)
    places = log.places()
    assert places is not None and places.dtype == np.int32 and places.tolist() == [0, 2, 1, 0, 1]
    assert log.places() is places
    assert told(log.histories(ordered=True)) == [[1, 2, 0], [2, 0]]
    assert told(log.histories(np.array([1, -1, 0]), ordered=True)) == [[2, 0], [], [1, 2, 0]]


def test_without_times_there_is_no_order() -> None:
    log = Interactions.from_ids([1, 1, 2], [7, 8, 7])
    assert log.places() is None and log.histories(ordered=True).places is None


def test_histories_that_no_one_wants_in_order_are_those_of_the_matrix() -> None:
    log = Interactions.from_ids([1, 1, 2], [8, 7, 7], times=[1, 2, 3])
    found, plain = log.histories(), Histories.from_csr(log.csr())
    assert found.places is None
    assert found.items.tolist() == plain.items.tolist() and found.indptr.tolist() == plain.indptr.tolist()
    assert found.items.dtype == plain.items.dtype and found.indptr.dtype == plain.indptr.dtype


def test_of_equal_times_the_order_is_that_of_the_items_whatever_the_file() -> None:
    users, items = np.repeat([1, 2], 6), np.tile(np.arange(6) * 11, 2)
    log = Interactions.from_ids(users, items, times=np.zeros(12))
    shuffled = np.random.default_rng(1).permutation(12)
    again = Interactions.from_ids(users[shuffled], items[shuffled], times=np.zeros(12))
    assert told(log.histories(ordered=True)) == told(again.histories(ordered=True))
    first, second = told(log.histories(ordered=True))
    assert first == second and first != sorted(first)


def test_of_equal_times_the_later_part_comes_last() -> None:
    vocab, users = Vocab(np.arange(4)), np.zeros(4, int)
    for parts in ([1, 0, 0, 1], [0, 1, 1, 0]):
        order = by_user_and_time(users, np.zeros(4, int), np.arange(4), vocab, np.array(parts))
        assert np.array(parts)[order].tolist() == [0, 0, 1, 1]


def test_valid_rows_of_known_items_come_where_their_time_is() -> None:
    rows = [(1, 10, 5), (1, 20, 1), (1, 30, 9), (1, 40, 3), (2, 30, 1), (2, 40, 2), (2, 10, 8), (1, 50, 10), (2, 50, 0),
            (2, 20, 9), (3, 10, 4)]  # fmt: skip
    parts = [0, 0, 2, 2, 0, 0, 2, 1, 0, 1, 1]
    both = replace(splits.given(log_of(rows, parts)), history="train+valid")
    items = both.train.items.ids()
    assert both.test.user_ids.tolist() == [1, 2, 3]
    found = both.bags(both.test, ordered=True)
    assert [items[one].tolist() for one in told(found)] == [[20, 40, 10, 30], [50, 30, 40, 10], []]
    plain = both.bags(both.test)
    assert plain.places is None
    assert plain.items.tolist() == found.items.tolist() and plain.indptr.tolist() == found.indptr.tolist()
    assert told(both.bags(both.valid, ordered=True)) == told(both.train.histories(both.valid.user_rows, ordered=True))


@pytest.mark.parametrize("name", ["leave_last_n", "global_time", "ratio"])
def test_the_history_at_test_ends_with_what_came_last(name: str) -> None:
    draw = np.random.default_rng(3)
    users = np.repeat(np.arange(30), 12)
    items = np.concatenate([draw.permutation(40)[:12] for _ in range(30)])
    times = np.where(draw.random(360) < 0.3, 1_000, draw.integers(0, 50, 360) * 40)
    log = log_of(list(zip(users.tolist(), items.tolist(), times.tolist(), strict=True)))
    split = replace(splits.SPLITS[name](log), history="train+valid")
    when = {(user, item): time for user, item, time in zip(users.tolist(), items.tolist(), times.tolist(), strict=True)}
    ids, own = split.train.items.ids(), split.test.user_ids
    for user, history in zip(own.tolist(), told(split.bags(split.test, ordered=True)), strict=True):
        stamps = [when[user, int(ids[item])] for item in history]
        assert stamps == sorted(stamps)
    assert (
        split.valid is not None
        and split.bags(split.test).items.tolist() == split.histories(split.test).indices.tolist()
    )


def test_people_never_seen_have_an_order_of_their_own() -> None:
    draw = np.random.default_rng(4)
    rows = [(user, int(item), int(draw.integers(0, 1_000))) for user in range(60) for item in draw.permutation(30)[:9]]
    split = splits.user_folds(log_of(rows), folds=4, by="time")
    when = {(user, item): time for user, item, time in rows}
    ids = split.train.items.ids()
    for held in (split.test, split.valid):
        assert held is not None and held.history is not None
        for user, history in zip(held.user_ids.tolist(), told(split.bags(held, ordered=True)), strict=True):
            stamps = [when[user, int(ids[item])] for item in history]
            assert len(stamps) > 3 and stamps == sorted(stamps)


def test_the_order_survives_a_saved_split(tmp_path: Path) -> None:
    draw = np.random.default_rng(5)
    rows = [(user, int(item), int(draw.integers(0, 1_000))) for user in range(40) for item in draw.permutation(20)[:8]]
    for split in (splits.leave_last_n(log_of(rows)), splits.user_folds(log_of(rows), folds=3)):
        split.save(tmp_path)
        back = Split.load(tmp_path)
        assert told(back.bags(back.test, ordered=True)) == told(split.bags(split.test, ordered=True))


def test_chosen_people_keep_their_times() -> None:
    draw = np.random.default_rng(6)
    rows = [(user, int(item), int(draw.integers(0, 1_000))) for user in range(40) for item in draw.permutation(20)[:8]]
    split = splits.user_folds(log_of(rows), folds=3)
    chosen = np.array([5, 0, 3])
    part = split.test.take(chosen)
    assert part.user_ids.tolist() == split.test.user_ids[chosen].tolist()
    assert told(known_histories(part, split.train, ordered=True)) == told(
        known_histories(split.test, split.train, ordered=True).take(chosen)
    )


def test_a_split_without_times_in_valid_has_histories_without_order() -> None:
    draw = np.random.default_rng(7)
    rows = [(user, int(item), int(draw.integers(0, 1_000))) for user in range(40) for item in draw.permutation(20)[:8]]
    split = splits.leave_last_n(log_of(rows))
    assert split.valid is not None
    untimed = replace(split, valid=replace(split.valid, relevant_times=None))
    assert untimed.bags(untimed.test, ordered=True).places is None
    assert untimed.bags(untimed.test, ordered=True).items.tolist() == split.bags(split.test).items.tolist()


def test_times_of_held_out_rows_must_be_as_many() -> None:
    log = Interactions.from_ids([1, 1, 2], [7, 8, 7])
    with pytest.raises(DataError, match="held-out part: 2 relevant_times for 3 entries; give one for each"):
        HeldOut(log.users.ids(), np.arange(2), log.csr(), np.array([2, 1]), relevant_times=np.zeros(2))


def test_a_column_of_places_is_named_and_can_be_used() -> None:
    frame = pd.DataFrame([(1, 10, 0), (1, 20, 1), (2, 20, 0), (2, 10, 1)], columns=["user_id", "item_id", "pos"])
    told = read_interactions(frame).notes
    assert "column 'pos' may be the place in each user's order; --columns timestamp=pos uses it" in told
    log = read_interactions(frame, columns={"timestamp": "pos"})
    assert "times: small numbers (0 to 1), taken as an order in time" in log.notes
    assert told_items(log.interactions()) == [[0, 1], [1, 0]]


def told_items(log: Interactions) -> list[list[int]]:
    return told(log.histories(ordered=True))
