"""Groups of users and items that can be counted by eye."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recdistill.evaluation.evaluator import evaluate_scorer
from recdistill.evaluation.groups import groups, history_groups, popularity_groups
from recdistill.serving.scorers import BagScorer


def test_each_popularity_group_holds_a_third_of_the_train_rows() -> None:
    assert popularity_groups(np.array([1, 6, 2, 3])).tolist() == [2, 0, 2, 1]  # 12 rows: 6 | 3 (crosses 8) | 2 1
    assert popularity_groups(np.array([5, 5, 5])).tolist() == [0, 1, 2]
    assert popularity_groups(np.array([7])).tolist() == [0]


def test_the_shares_of_the_groups_are_near_a_third_on_a_long_tail() -> None:
    popularity = np.random.default_rng(0).zipf(1.6, size=2_000).clip(max=400)
    group = popularity_groups(popularity)
    shares = [popularity[group == place].sum() / popularity.sum() for place in range(3)]
    assert shares == pytest.approx([1 / 3] * 3, abs=0.02)
    assert popularity[group == 0].min() >= popularity[group == 1].max()
    assert popularity[group == 1].min() >= popularity[group == 2].max()


def test_history_groups_are_terciles_and_say_their_borders() -> None:
    lengths = np.array([9, 1, 2, 3, 4, 5, 6, 7, 8, 0])
    found = history_groups(lengths)
    assert [name for name, _ in found] == ["≤ 3 rows", "4-6 rows", "≥ 7 rows"]
    assert [sorted(lengths[members].tolist()) for _, members in found] == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


def test_equal_lengths_stay_together_and_nobody_is_lost() -> None:
    [(name, members)] = history_groups(np.array([5, 5, 5, 0]))
    assert (name, members.tolist()) == ("≤ 5 rows", [True, True, True, False])
    lengths = np.array([2, 2, 2, 2, 3, 9])
    assert [name for name, _ in history_groups(lengths)] == ["≤ 2 rows", "≥ 3 rows"]
    assert np.sum([members for _, members in history_groups(lengths)], axis=0).tolist() == [1] * 6
    assert history_groups(np.zeros(3, np.int64)) == []


@pytest.fixture
def found(make_split) -> dict:
    """Train rows per item 3 2 1 1 1 0: item 0 is head, 1 and 2 mid, the rest tail; low rows are shown first."""
    split = make_split(
        [[0], [0, 1], [0, 1, 2, 3, 4], []],
        [[1, 5], [2], [], [0, 4]],
        6,
        unknown=[0, 1, 2, 0],
        user_rows=[0, 1, 2, -1],
    )
    evaluation = evaluate_scorer(
        BagScorer(item_bias=np.arange(6, 0, -1, dtype=np.float32)), split, metrics=["recall@2"]
    )
    assert evaluation.items.tolist() == [[1, 2], [2, 3], [5, -1], [0, 1]]
    return groups(evaluation, split, k=2)


def test_popularity_groups_count_only_their_own_relevant_items(found) -> None:
    rows = found["popularity"]
    assert [row["group"] for row in rows] == ["head", "mid", "tail"]
    assert [row["items"] for row in rows] == [1, 2, 3]
    assert [row["users"] for row in rows] == [1, 2, 2]
    assert [row["share_of_relevant"] for row in rows] == pytest.approx([1 / 5, 2 / 5, 2 / 5])
    assert [row["share_of_recommended"] for row in rows] == pytest.approx([1 / 7, 4 / 7, 2 / 7])
    assert [row["recall@2"] for row in rows] == [1, 1, 0]


def test_history_groups_hold_the_means_of_their_users(found) -> None:
    assert [row["users"] for row in found["history"]] == [1, 1, 1]
    assert [row["group"] for row in found["history"]] == ["≤ 1 rows", "2 rows", "≥ 3 rows"]
    assert [row["recall@2"] for row in found["history"]] == [1 / 2, 1 / 2, 0]


def test_cold_users_and_cold_items_are_counted(found) -> None:
    cold = found["cold"]
    assert cold["users"] == 1
    assert cold["recall@2"] == 1 / 2
    assert cold["relevant_unknown"] == 3
    assert cold["share_of_relevant"] == 3 / 8
    assert cold["users_with_unknown"] == 2


def test_people_with_a_history_of_their_own_are_not_cold(make_split, scorer_of) -> None:
    split = make_split([[0], [1]], [[1], [0], [2]], 3, user_rows=[-1, -1, -1])
    history = csr_matrix(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]], dtype=np.float32))
    unseen = replace(split, test=replace(split.test, history=history))
    scorer = scorer_of(np.eye(2, 3))
    assert groups(evaluate_scorer(scorer, unseen, metrics=["hit@1"]), unseen)["cold"]["users"] == 1
    assert groups(evaluate_scorer(scorer, split, metrics=["hit@1"]), split)["cold"]["users"] == 3


def test_a_log_without_cold_users_gives_null_not_a_number(make_split, scorer_of) -> None:
    split = make_split([[0], [1]], [[1], [0]], 3)
    found = groups(evaluate_scorer(scorer_of(np.eye(2, 3)), split, metrics=["hit@1"]), split)
    assert found["cold"]["users"] == 0
    assert found["cold"]["recall@1"] is None
    json.dumps(found, allow_nan=False)


def test_the_groups_of_users_who_were_left_out_do_not_shift_the_others(make_split, scorer_of) -> None:
    scores = np.tile(np.array([4, 3, 2, 1], np.float32), (3, 1))
    split = make_split([[0], [0], [0, 1, 2]], [[], [2], [3]], 4)
    found = groups(evaluate_scorer(scorer_of(scores), split, metrics=["recall@1"]), split)
    rows = [(row["group"], row["users"], row["recall@1"]) for row in found["history"]]
    assert rows == [("≤ 1 rows", 1, 0), ("≥ 2 rows", 1, 1)]
