"""The public door: models side by side, readable, and what it refuses."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError, DataError
from recdistill.evaluation.evaluate import evaluate

SCORES = np.tile(np.arange(30, 0, -1, dtype=np.float32), (3, 1))


@pytest.fixture
def split(make_split):
    return make_split([[0], [1], [2]], [[1], [0], [0, 29]], 30)


def test_models_stand_side_by_side_under_their_names(split, scorer_of) -> None:
    report = evaluate({"good": scorer_of(SCORES), "bad": scorer_of(-SCORES)}, split, metrics=["recall@1", "ndcg@1"])
    assert report.metrics == {
        "good": {"recall@1": pytest.approx(2.5 / 3), "ndcg@1": 1},
        "bad": {"recall@1": pytest.approx(0.5 / 3), "ndcg@1": pytest.approx(1 / 3)},
    }


def test_the_table_shows_models_metrics_and_protocol(split, scorer_of) -> None:
    models = {"teacher": scorer_of(SCORES), "s": scorer_of(-SCORES)}
    report = evaluate(models, split, metrics=["recall@1", "precision@10"])
    assert str(report).splitlines() == [
        "3 users, all 30 items ranked, train items excluded",
        "",
        "model     recall@1  precision@10",
        "teacher     0.8333        0.1000",
        "s           0.1667        0.0333",
    ]


def test_the_default_is_recall_and_ndcg_at_20_on_test(split, scorer_of) -> None:
    report = evaluate({"a": scorer_of(SCORES)}, split)
    assert list(report.metrics["a"]) == ["recall@20", "ndcg@20"]
    assert evaluate({"a": scorer_of(SCORES)}, split, held=split.test).metrics == report.metrics


def test_two_models_are_compared_on_the_same_users(split, scorer_of) -> None:
    report = evaluate({"a": scorer_of(SCORES), "b": scorer_of(-SCORES)}, split)
    found = report.compare("a", "b", "recall@20")
    assert found.difference == pytest.approx(report.metrics["a"]["recall@20"] - report.metrics["b"]["recall@20"])
    assert report.agreement("a", "a") == {"overlap@20": 1.0, "rbo": pytest.approx(1.0)}
    assert report.agreement("a", "b")["overlap@20"] == pytest.approx(11 / 20)


def test_a_ranker_is_evaluated_by_its_scorer(split, scorer_of) -> None:
    vocab = SimpleNamespace(users=split.train.users, items=split.train.items)
    ranker = SimpleNamespace(scorer=scorer_of(SCORES), train_vocab=vocab)
    assert evaluate({"x": ranker}, split).metrics == evaluate({"x": scorer_of(SCORES)}, split).metrics


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (["recal@20"], "Did you mean 'recall@20'"),
        ("ndgc@20", "Did you mean 'ndcg@20'"),
        (["recall@31"], "'recall@31': k is above the catalogue of 30 items"),
    ],
)
def test_an_unknown_metric_or_too_large_a_k_is_refused(split, scorer_of, metrics, message) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate({"a": scorer_of(SCORES)}, split, metrics=metrics)


def test_a_split_of_another_log_is_refused(split, scorer_of) -> None:
    scorer = scorer_of(SCORES)
    with pytest.raises(DataError, match=r"small: ranks other items \(29\) than the split \(30\)"):
        evaluate({"small": scorer_of(SCORES[:, :29])}, split)
    others = SimpleNamespace(scorer=scorer, items=Vocab(np.arange(30)), users=split.train.users)
    with pytest.raises(DataError, match=r"x: ranks other items \(30\)"):
        evaluate({"x": others}, split)
    others = SimpleNamespace(scorer=scorer, items=split.train.items, users=Vocab(np.arange(3)))
    with pytest.raises(DataError, match=r"x: knows other users \(3\) than the split \(3\)"):
        evaluate({"x": others}, split)


def test_a_model_without_a_user_table_may_come_from_other_users(split, constant_scorer) -> None:
    model = SimpleNamespace(scorer=constant_scorer(30), items=split.train.items, users=Vocab(np.arange(3)))
    assert set(evaluate({"x": model}, split).metrics) == {"x"}


def test_what_is_not_a_model_or_was_not_evaluated_is_refused(split, scorer_of) -> None:
    with pytest.raises(DataError, match="x: a dict cannot be evaluated"):
        evaluate({"x": {}}, split)
    with pytest.raises(DataError, match="no model to evaluate"):
        evaluate({}, split)
    report = evaluate({"student": scorer_of(SCORES)}, split, metrics=["recall@20", "coverage@20"])
    with pytest.raises(DataError, match=r"no model 'studnet' was evaluated\. Did you mean 'student'"):
        report["studnet"]
    with pytest.raises(DataError, match="'coverage@20' was not measured user by user"):
        report.compare("student", "student", "coverage@20")
