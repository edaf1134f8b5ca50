"""The whole way from a scorer to numbers, on splits whose answer is known."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score, roc_auc_score

from recdistill.data.interactions import HeldOut
from recdistill.data.readers import read_interactions
from recdistill.data.splits import default as default_split
from recdistill.errors import ConfigError
from recdistill.evaluation.beyond import BEYOND
from recdistill.evaluation.evaluator import evaluate_scorer
from recdistill.evaluation.ranking import RANKING
from recdistill.serving.scorers import ItemScorer
from recdistill.tables.codecs import CodedTable, encode

SCORES = np.array([[5, 4, 3, 2, 1, 0], [0, 1, 2, 3, 4, 5], [3, 5, 4, 0, 1, 2]], np.float32)
TRAIN = [[0], [5, 4], [2]]


def random_world(make_split, seed: int, users: int = 30, items: int = 40):
    """Scores without ties, and a split where each user has train rows and other relevant items."""
    rng = np.random.default_rng(seed)
    order = rng.permuted(np.tile(np.arange(items), (users, 1)), axis=1)
    train = [row[: rng.integers(1, 8)].tolist() for row in order]
    relevant = [row[10 : 10 + rng.integers(1, 12)].tolist() for row in order]
    scores = rng.permuted(np.tile(np.arange(items, dtype=np.float32), (users, 1)), axis=1)
    return scores, make_split(train, relevant, items)


def test_lists_and_means_by_hand(make_split, scorer_of) -> None:
    split = make_split(TRAIN, [[1, 3], [0], [3, 4, 5]], 6)
    found = evaluate_scorer(scorer_of(SCORES), split, metrics=["recall@2", "mrr@3", "coverage@2", "novelty@1"])
    assert found.items.tolist() == [[1, 2, 3], [3, 2, 1], [1, 0, 5]]
    assert found.users.tolist() == [100, 101, 102]
    assert found.per_user["recall@2"].tolist() == [1 / 2, 0, 0]
    assert found.per_user["mrr@3"].tolist() == [1, 0, 1 / 3]
    assert found.metrics["recall@2"] == pytest.approx(1 / 6)
    assert found.metrics["mrr@3"] == pytest.approx(4 / 9)
    assert found.metrics["coverage@2"] == 4 / 6
    assert found.standard_errors["recall@2"] == pytest.approx(np.std([1 / 2, 0, 0], ddof=1) / math.sqrt(3))


def test_a_train_item_that_is_relevant_too_cannot_be_found_but_counts(make_split, scorer_of) -> None:
    split = make_split(TRAIN, [[0, 1], [0], [1]], 6)
    found = evaluate_scorer(scorer_of(SCORES), split, metrics=["recall@3"])
    assert found.per_user["recall@3"].tolist() == [1 / 2, 0, 1]


def test_padding_is_never_a_hit(make_split, scorer_of) -> None:
    """A user who has used all but one item gets a list of one, even if all the others are relevant."""
    split = make_split([[0, 1, 2, 3, 5], [0], [2]], [[0, 1, 2, 3, 5], [1], [1]], 6)
    found = evaluate_scorer(scorer_of(SCORES), split, metrics=["recall@5", "hit@5", "ndcg@5", "map@5"])
    assert found.items[0].tolist() == [4, -1, -1, -1, -1]
    assert [values[0] for values in found.per_user.values()] == [0, 0, 0, 0]


def test_cold_items_lower_recall(make_split, scorer_of) -> None:
    known = evaluate_scorer(scorer_of(SCORES), make_split(TRAIN, [[1], [3], [1]], 6), metrics=["recall@2", "ndcg@2"])
    cold = evaluate_scorer(
        scorer_of(SCORES), make_split(TRAIN, [[1], [3], [1]], 6, unknown=[1, 0, 3]), metrics=["recall@2", "ndcg@2"]
    )
    assert known.per_user["recall@2"].tolist() == [1, 1, 1]
    assert cold.per_user["recall@2"].tolist() == [1 / 2, 1, 1 / 4]
    assert cold.metrics["ndcg@2"] < known.metrics["ndcg@2"]


def test_users_without_relevant_items_are_left_out_and_counted(make_split, scorer_of) -> None:
    found = evaluate_scorer(scorer_of(SCORES), make_split(TRAIN, [[1], [], [1]], 6), metrics=["hit@1"])
    assert found.users.tolist() == [100, 102]
    assert found.held_index.tolist() == [0, 2]
    assert found.users_left_out == 1
    assert found.metrics["hit@1"] == 1


def test_a_user_whose_relevant_items_are_all_cold_stays_and_scores_0(make_split, scorer_of) -> None:
    split = make_split(TRAIN, [[1], [], [1]], 6, unknown=[0, 1, 0])
    found = evaluate_scorer(scorer_of(SCORES), split, metrics=["hit@1"])
    assert found.per_user["hit@1"].tolist() == [1, 0, 1]


def test_test_users_are_matched_with_their_own_train_row(make_split, scorer_of) -> None:
    split = make_split(TRAIN, [[1], [3]], 6, user_rows=[2, 1])
    found = evaluate_scorer(scorer_of(SCORES), split, metrics=["hit@1"])
    assert found.items[:, 0].tolist() == [1, 3]


def test_a_user_unknown_to_training_is_ranked_without_exclusions(make_split, scorer_of) -> None:
    split = make_split(TRAIN, [[1], [0, 1, 2, 3, 4, 5]], 6, user_rows=[0, -1])
    found = evaluate_scorer(scorer_of(SCORES), split, metrics=["recall@6"])
    assert sorted(found.items[1].tolist()) == [0, 1, 2, 3, 4, 5]
    assert found.per_user["recall@6"][1] == 1


def test_what_is_excluded_follows_the_split(make_split, scorer_of) -> None:
    split = make_split(TRAIN, [[2], [1], [0]], 6)
    seen_later = make_split(TRAIN, [[1], [3], [1]], 6).test
    both = replace(split, valid=seen_later, exclude="train+valid")
    metrics = ["hit@1"]
    assert evaluate_scorer(scorer_of(SCORES), split, metrics=metrics).items[:, 0].tolist() == [1, 3, 1]
    assert evaluate_scorer(scorer_of(SCORES), both, metrics=metrics).items[:, 0].tolist() == [2, 2, 0]
    assert evaluate_scorer(scorer_of(SCORES), both, both.valid, metrics=metrics).metrics == {"hit@1": 1}


def test_a_user_is_made_of_the_history_of_the_split_not_of_what_is_excluded(make_split) -> None:
    step = np.roll(np.eye(6, dtype=np.float32), 1, axis=1)  # item i speaks for i + 1
    next_item = ItemScorer(item_to_item=CodedTable("fp32", encode("fp32", step)))
    split = make_split([[0], [2]], [[1], [5]], 6)
    both = replace(split, valid=make_split([[0], [2]], [[3], [4]], 6).test, exclude="train+valid")
    assert evaluate_scorer(next_item, both, metrics=["hit@1"]).items[:, 0].tolist() == [1, 3]
    as_history = replace(both, history="train+valid", exclude="train")
    found = evaluate_scorer(next_item, as_history, metrics=["hit@2", "auc"])
    assert [set(row) for row in found.items.tolist()] == [{1, 4}, {3, 5}]
    assert found.per_user["auc"].tolist() == [3.5 / 4, 3.5 / 4]


@pytest.mark.parametrize("seed", range(3))
def test_full_rankings_agree_with_scikit_learn(make_split, scorer_of, seed: int) -> None:
    scores, split = random_world(make_split, seed)
    found = evaluate_scorer(scorer_of(scores), split, metrics=["ndcg@40", "ndcg@5", "auc"])
    wanted, seen = split.test.relevant.toarray() > 0, split.train.csr().toarray() > 0
    for u in range(len(scores)):
        y, s = wanted[u][~seen[u]], scores[u][~seen[u]]
        assert found.per_user["ndcg@40"][u] == pytest.approx(ndcg_score([y], [s]), abs=1e-12)
        assert found.per_user["ndcg@5"][u] == pytest.approx(ndcg_score([y], [s], k=5), abs=1e-12)
        assert found.per_user["auc"][u] == pytest.approx(roc_auc_score(y, s), abs=1e-12)


METRICS = [f"{name}@5" for name in (*RANKING, *BEYOND)] + ["auc"]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 31), st.randoms(use_true_random=False))
def test_neither_the_order_of_users_nor_the_batch_changes_a_result(make_split, scorer_of, seed, batch, random) -> None:
    scores, split = random_world(make_split, seed)
    order = list(range(len(scores)))
    random.shuffle(order)
    test = split.test
    shuffled = HeldOut(test.user_ids[order], test.user_rows[order], test.relevant[order], test.relevant_count[order])
    scorer = scorer_of(np.floor(scores / 3))  # ties, also at the cut-off
    plain = evaluate_scorer(scorer, split, metrics=METRICS)
    other = evaluate_scorer(scorer, split, shuffled, metrics=METRICS, batch=batch)
    assert other.items.tolist() == plain.items[order].tolist()
    assert {name: values.tolist() for name, values in other.per_user.items()} == {
        name: values[order].tolist() for name, values in plain.per_user.items()
    }
    assert other.metrics == plain.metrics


def test_a_constant_scorer_scores_what_chance_scores(make_split, constant_scorer) -> None:
    """Popular items come first in the catalogue, so that ties broken by row would find three times too many."""
    rng = np.random.default_rng(0)
    users, items, wanted, k = 1_000, 1_000, 10, 100
    weight = np.linspace(2, 0.001, items)
    draws = np.argsort(-(np.log(weight) + rng.gumbel(size=(users, items))), axis=1)[:, : wanted + 1]
    split = make_split([[row[0]] for row in draws.tolist()], [row[1:] for row in draws.tolist()], items)
    found = evaluate_scorer(constant_scorer(items), split, metrics=[f"recall@{k}", "auc"])

    share = split.test.relevant.sum(axis=0).A1 / (users * wanted)  # what the fixed order of items draws k of
    error = math.hypot(found.standard_errors[f"recall@{k}"], share.std(ddof=1) * math.sqrt(k * (1 - k / items)))
    chance = k / (items - 1)
    by_row = share[:k].sum()
    assert by_row - chance > 10 * error, "the test must see the difference"
    assert abs(found.metrics[f"recall@{k}"] - chance) < 5 * error
    assert found.per_user["auc"].tolist() == [0.5] * users


def test_lists_can_be_kept_longer_than_the_largest_cut_off(make_split, scorer_of) -> None:
    split = make_split(TRAIN, [[1], [3], [1]], 6)
    assert evaluate_scorer(scorer_of(SCORES), split, metrics=["hit@1"], k=4).items.shape == (3, 4)
    assert evaluate_scorer(scorer_of(SCORES), split, metrics=["auc"]).items.shape == (3, 6)
    with pytest.raises(ConfigError, match="k=1: lists must hold between 3"):
        evaluate_scorer(scorer_of(SCORES), split, metrics=["hit@3"], k=1)
    with pytest.raises(ConfigError, match="and 6 items"):
        evaluate_scorer(scorer_of(SCORES), split, metrics=["hit@3"], k=7)


def test_nothing_to_measure_is_refused(make_split, scorer_of) -> None:
    with pytest.raises(ConfigError, match="no held-out user has a relevant item"):
        evaluate_scorer(scorer_of(SCORES), make_split(TRAIN, [[], [], []], 6), metrics=["hit@1"])
    with pytest.raises(ConfigError, match="'recall@7': k is above the catalogue of 6 items"):
        evaluate_scorer(scorer_of(SCORES), make_split(TRAIN, [[1], [3], [1]], 6), metrics=["recall@7"])


ML_1M = Path(__file__).parents[3] / "shared" / "data" / "ml-1m-lcfn" / "interactions.parquet"


@pytest.mark.real_log
@pytest.mark.skipif(not ML_1M.exists(), reason=f"needs {ML_1M.parent.name}, a log that is not distributed")
def test_ease_on_movielens_scores_what_is_known_of_it() -> None:
    """λ = 800: Recall@20 .2761, NDCG@20 .2677, measured elsewhere under the same protocol."""
    split = default_split(read_interactions(ML_1M, split_column="split"))
    train = split.train.csr().astype(np.float64)
    inverse = np.linalg.inv((train.T @ train).toarray() + 800 * np.eye(split.train.n_items))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    scorer = ItemScorer(item_to_item=CodedTable("fp32", encode("fp32", weights.astype(np.float32))))
    found = evaluate_scorer(scorer, split, metrics=["recall@20", "ndcg@20"])
    assert {name: round(value, 4) for name, value in found.metrics.items()} == {"recall@20": 0.2761, "ndcg@20": 0.2677}
