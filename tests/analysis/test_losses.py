"""Differences of NDCG split among users and wanted items, by hand and by what must add up."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recdistill.analysis.losses import losses
from recdistill.data.interactions import HeldOut, Interactions
from recdistill.data.splits import Split
from recdistill.evaluation.evaluator import Evaluation
from recdistill.evaluation.ranking import hits_of, ndcg

# Item 0 is the head: four of the eight train rows; users 0 and 1 have one row, 2 and 3 have three.
TRAIN = [(0, 0), (1, 0), (2, 0), (2, 1), (2, 2), (3, 0), (3, 1), (3, 3)]
WANTED = np.array([[0, 1, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 1, 1], [0, 0, 1, 0, 0]], dtype=np.float32)
TEACHER = [[1, 2, 3, 4], [3, 1, 2, 4], [3, 4, -1, -1], [4, 2, -1, -1]]
STUDENT = [[1, 3, 4, 2], [1, 2, 4, -1], [4, 3, -1, -1], [2, 4, -1, -1]]


def small_split(unknown: int = 0) -> Split:
    users, items = zip(*TRAIN, strict=True)
    train = Interactions.from_ids([*users, 4], [*items, 4])
    relevant = csr_matrix(WANTED)
    count = np.diff(relevant.indptr).astype(np.int64) + unknown
    return Split(train, None, HeldOut(np.arange(4), np.arange(4), relevant, count), "given")


def evaluation(split: Split, lists: list[list[int]], k: int = 4) -> Evaluation:
    items = np.array(lists)
    hits = hits_of(items, split.test.relevant)
    values = ndcg(hits, split.test.relevant_count, k)
    return Evaluation(split.test.user_ids, np.arange(4), items, {f"ndcg@{k}": values}, {}, 0)


def test_what_users_and_wanted_items_lose_adds_up_to_the_whole() -> None:
    split = small_split()
    teacher, student = evaluation(split, TEACHER), evaluation(split, STUDENT)
    found = losses(split, {0: teacher, 1: teacher}, {0: student, 1: evaluation(split, TEACHER)}, k=4)
    difference = (student.per_user["ndcg@4"] - teacher.per_user["ndcg@4"]) / 2
    assert found["total"]["difference"] == pytest.approx(difference.mean())
    by_users = sum(row["difference"] * row["users"] for row in found["by_history"])
    by_items = sum(row["difference"] * row["users"] for row in found["by_popularity"] if row["users"])
    assert by_users == pytest.approx(difference.sum())
    assert by_items == pytest.approx(difference.sum())


def test_shares_are_of_a_loss_that_is_beyond_the_spread() -> None:
    split = small_split()
    teacher = evaluation(split, TEACHER)
    nothing = evaluation(split, [[-1] * 4] * 4)
    found = losses(split, {0: teacher}, {0: nothing}, k=4)
    assert found["total"]["beyond_spread"]
    assert sum(row["share"] for row in found["by_history"]) == pytest.approx(1.0)
    assert sum(row["share"] for row in found["by_popularity"]) == pytest.approx(1.0)
    level = losses(split, {0: teacher}, {0: teacher}, k=4)
    assert level["total"]["share"] is None
    assert all(row["share"] is None for row in level["by_history"])


def test_hits_are_counted_as_lost_and_gained() -> None:
    split = small_split()
    found = losses(split, {0: evaluation(split, TEACHER, 3)}, {0: evaluation(split, STUDENT, 3)}, k=3)
    rows = found["by_popularity"]
    # in three the teacher hits items 1, 2 (user 0), 3 (1), 3, 4 (2), 2 (3); the student has not 2 (0) and 3 (1)
    assert [sum(row[name] for row in rows) for name in ("teacher_hits", "lost", "gained")] == [6, 2, 0]
    assert {row["item"] for row in found["items"]["lost"]} == {"2", "3"}
    assert found["items"]["gained"] == []
    assert found["users_who"] == {"lose": 0.5, "gain": 0.25, "same": 0.25}


def test_histories_of_different_length_are_groups() -> None:
    split = small_split()
    found = losses(split, {0: evaluation(split, TEACHER)}, {0: evaluation(split, STUDENT)}, k=4)
    assert [(row["group"], row["users"]) for row in found["by_history"]] == [("≤ 1 rows", 2), ("≥ 2 rows", 2)]


def test_wanted_items_that_train_never_saw_are_counted_apart() -> None:
    split = small_split(unknown=1)
    found = losses(split, {0: evaluation(split, TEACHER)}, {0: evaluation(split, STUDENT)}, k=4)
    new = found["by_popularity"][-1]
    assert (new["group"], new["wanted"]) == ("new", 4)
    assert new["share_of_wanted"] == pytest.approx(4 / 10)
    known = small_split()
    found = losses(known, {0: evaluation(known, TEACHER)}, {0: evaluation(known, STUDENT)}, k=4)
    assert "new" not in [row["group"] for row in found["by_popularity"]]
