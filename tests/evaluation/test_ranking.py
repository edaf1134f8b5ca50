"""Ranking metrics by hand for five users, against scikit-learn, and against sets and loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score, roc_auc_score

from recdistill.evaluation.ranking import RANKING, auc, hits_of

LISTS = np.array([[3, 1, 4, 0], [2, 0, 1, 5], [5, 6, 7, 0], [1, 2, -1, -1], [0, 1, 2, 3]])
RELEVANT = [[1, 4], [2], [1, 2, 3, 4], [2], [0, 1, 2, 3, 4]]
COUNT = np.array([2, 1, 4, 2, 5])  # the fourth user wants one item more, which training has never seen
LOG3 = 1 / math.log2(3)


def csr(lists: list[list[int]], n_items: int = 8) -> sp.csr_matrix:
    dense = np.zeros((len(lists), n_items), np.float32)
    for row, items in enumerate(lists):
        dense[row, items] = 1
    return sp.csr_matrix(dense)


@pytest.mark.parametrize(
    ("name", "k", "expected"),
    [
        ("recall", 3, [1, 1, 0, 1 / 2, 3 / 5]),
        ("precision", 3, [2 / 3, 1 / 3, 0, 1 / 3, 1]),
        ("f1", 3, [4 / 5, 1 / 2, 0, 2 / 5, 3 / 4]),
        ("hit", 3, [1, 1, 0, 1, 1]),
        ("mrr", 3, [1 / 2, 1, 0, 1 / 2, 1]),
        ("map", 3, [7 / 12, 1, 0, 1 / 4, 1]),
        ("ndcg", 3, [(LOG3 + 1 / 2) / (1 + LOG3), 1, 0, LOG3 / (1 + LOG3), 1]),
        ("recall", 1, [0, 1, 0, 0, 1 / 5]),
        ("precision", 1, [0, 1, 0, 0, 1]),
        ("f1", 1, [0, 1, 0, 0, 1 / 3]),
        ("mrr", 1, [0, 1, 0, 0, 1]),
        ("map", 1, [0, 1, 0, 0, 1]),
        ("ndcg", 1, [0, 1, 0, 0, 1]),
        ("recall", 4, [1, 1, 0, 1 / 2, 4 / 5]),
        ("map", 4, [7 / 12, 1, 0, 1 / 4, 1]),
    ],
)
def test_five_users_by_hand(name: str, k: int, expected: list[float]) -> None:
    found = RANKING[name](hits_of(LISTS, csr(RELEVANT)), COUNT, k)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_an_empty_place_is_never_a_hit() -> None:
    everything = csr([list(range(8))] * 2)
    lists = np.array([[7, -1, -1], [-1, -1, -1]])
    assert hits_of(lists, everything).tolist() == [[True, False, False], [False, False, False]]


def test_hits_are_the_users_own_relevant_items_only() -> None:
    lists = np.array([[0, 7], [0, 7]])
    assert hits_of(lists, csr([[7], [0]])).tolist() == [[False, True], [True, False]]
    assert not hits_of(lists, csr([[], []])).any()


def test_a_relevant_item_unknown_to_training_lowers_what_is_divided_by_it() -> None:
    hits = hits_of(LISTS[:1], csr(RELEVANT[:1]))
    for name in ("recall", "f1", "ndcg", "map"):
        known, cold = (float(RANKING[name](hits, np.array([count]), 3)[0]) for count in (2, 3))
        assert cold < known, name
    assert RANKING["precision"](hits, np.array([3]), 3) == RANKING["precision"](hits, np.array([2]), 3)


def random_rankings(seed: int, users: int = 40, items: int = 30) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    wanted = rng.random((users, items)) < 0.2
    wanted[np.arange(users), rng.integers(items, size=users)] = True
    wanted[:, 0] = False
    wanted[~wanted.any(axis=1), 1] = True
    return rng.permuted(np.tile(np.arange(items, dtype=np.float64), (users, 1)), axis=1), wanted


@pytest.mark.parametrize("k", [1, 5, 20, 30])
def test_ndcg_is_that_of_scikit_learn(k: int) -> None:
    scores, wanted = random_rankings(0)
    hits = hits_of(np.argsort(-scores, axis=1), sp.csr_matrix(wanted))
    found = RANKING["ndcg"](hits, wanted.sum(axis=1), k)
    expected = [ndcg_score(wanted[u : u + 1], scores[u : u + 1], k=k) for u in range(len(scores))]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_map_of_a_full_ranking_is_the_average_precision_of_scikit_learn() -> None:
    scores, wanted = random_rankings(1)
    hits = hits_of(np.argsort(-scores, axis=1), sp.csr_matrix(wanted))
    expected = [average_precision_score(w, s) for w, s in zip(wanted, scores, strict=True)]
    np.testing.assert_allclose(RANKING["map"](hits, wanted.sum(axis=1), 30), expected, atol=1e-12)


def test_auc_is_that_of_scikit_learn_ties_and_excluded_items_included() -> None:
    scores, wanted = random_rankings(2)
    scores = np.floor(scores / 4).astype(np.float32)  # groups of four ties
    barred = np.random.default_rng(3).random(scores.shape) < 0.3
    barred &= ~wanted
    found = auc(scores, sp.csr_matrix(wanted), wanted.sum(axis=1), sp.csr_matrix(barred))
    expected = [roc_auc_score(w[~b], s[~b]) for w, s, b in zip(wanted, scores, barred, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_auc_by_hand() -> None:
    scores = np.array([[4, 3, 2, 1], [1, 1, 1, 1], [4, 3, 2, 1]], np.float32)
    relevant, nothing = csr([[1], [2], [0, 1]], 4), csr([[], [], []], 4)
    assert auc(scores, relevant, np.array([1, 1, 2]), nothing).tolist() == [2 / 3, 1 / 2, 1]
    assert auc(scores, relevant, np.array([2, 1, 2]), nothing).tolist() == [1 / 3, 1 / 2, 1], "a cold item loses"
    assert auc(scores, relevant, np.array([1, 1, 2]), csr([[0], [], [0]], 4)).tolist() == [1, 1 / 2, 1 / 2]
    assert auc(scores, relevant, np.array([1, 1, 2]), csr([[0, 2, 3], [], []], 4))[0] == 1 / 2, "nobody to beat"


@st.composite
def lists_and_relevant(draw: st.DrawFn) -> tuple[np.ndarray, list[list[int]], np.ndarray]:
    users, k = draw(st.integers(1, 6)), draw(st.integers(1, 8))
    lists = np.full((users, k), -1)
    for row in range(users):
        items = draw(st.permutations(range(8)))[: draw(st.integers(0, k))]
        lists[row, : len(items)] = items
    relevant = [sorted(draw(st.sets(st.integers(0, 7)))) for _ in range(users)]
    cold = [draw(st.integers(0 if one else 1, 3)) for one in relevant]
    return lists, relevant, np.array([len(one) for one in relevant]) + cold


def by_loops(name: str, items: list[int], relevant: set[int], count: int, k: int) -> float:
    ranks = [rank for rank, item in enumerate(items[:k], start=1) if item in relevant]
    p, r = len(ranks) / k, len(ranks) / count
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, count) + 1))
    return {
        "recall": r,
        "precision": p,
        "f1": 2 * p * r / (p + r) if ranks else 0.0,
        "hit": float(bool(ranks)),
        "mrr": 1 / ranks[0] if ranks else 0.0,
        "map": sum((n / rank) for n, rank in enumerate(ranks, start=1)) / min(k, count),
        "ndcg": sum(1 / math.log2(rank + 1) for rank in ranks) / ideal,
    }[name]


@given(lists_and_relevant(), st.integers(1, 8))
def test_every_metric_is_what_sets_and_loops_say(data: tuple[np.ndarray, list[list[int]], np.ndarray], k: int) -> None:
    lists, relevant, count = data
    k = min(k, lists.shape[1])
    hits = hits_of(lists, csr(relevant))
    for name in RANKING:
        expected = [
            by_loops(name, row.tolist(), set(w), c, k) for row, w, c in zip(lists, relevant, count, strict=True)
        ]
        np.testing.assert_allclose(RANKING[name](hits, count, k), expected, atol=1e-12, err_msg=name)


@given(lists_and_relevant(), st.randoms(use_true_random=False))
def test_the_order_of_the_users_changes_no_users_value(data, random) -> None:
    lists, relevant, count = data
    order = list(range(len(lists)))
    random.shuffle(order)
    hits, turned = hits_of(lists, csr(relevant)), hits_of(lists[order], csr([relevant[u] for u in order]))
    for name in RANKING:
        metric, k = RANKING[name], lists.shape[1]
        assert metric(turned, count[order], k).tolist() == metric(hits, count, k)[order].tolist()
