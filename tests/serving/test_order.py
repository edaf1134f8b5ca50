"""Models that look at the order of a history get it by every door."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

import recdistill as rd
from recdistill.data import splits
from recdistill.data.interactions import Interactions
from recdistill.data.vocab import Vocab
from recdistill.evaluation.evaluator import evaluate_scorer
from recdistill.evaluation.footprint import footprint
from recdistill.knowledge.extract import extract
from recdistill.models.base import Ranker, valid_ndcg
from recdistill.serving.bag import BagScorer
from recdistill.serving.ensemble import EnsembleScorer
from recdistill.serving.histories import Histories
from recdistill.serving.recommender import Recommender
from recdistill.tables.codecs import CodedTable

N = 12


@dataclass(frozen=True, eq=False, kw_only=True)
class NextScorer(BagScorer):
    """After item i comes item i + 1: only the last of a history counts."""

    @property
    def ordered(self) -> bool:
        return True

    def user_vectors(self, histories: Histories, user_rows: np.ndarray | None = None) -> np.ndarray:
        assert histories.places is not None, "an ordered model was asked without an order"
        users = np.zeros((len(histories), N), np.float32)
        last = histories.places == 0
        users[histories.users[last], (histories.items[last] + 1) % N] = 1
        return users


@pytest.fixture
def scorer() -> NextScorer:
    return NextScorer(item_table=CodedTable.of(np.eye(N, dtype=np.float32)))


@pytest.fixture
def recommender(scorer: NextScorer) -> Recommender:
    return Recommender(scorer, Vocab(np.arange(N) * 10), titles=None)


@pytest.mark.parametrize("history", [[30, 70], [70, 30], [30, 70, 30], (50,)])
def test_the_last_of_the_given_list_is_the_most_recent(recommender: Recommender, history: list[int]) -> None:
    want = history[-1] + 10
    assert recommender.recommend(history, k=1) == [want]  # the quick door
    assert recommender.recommend(history, k=1, with_scores=True)[0].item_id == want
    assert recommender.recommend([*history, 999], k=1) == [want]  # not the quick one
    assert recommender.recommend_batch([[20], history], k=1) == [[30], [want]]
    assert recommender.recommend(history, k=1, only=recommender.filter([want, 0])) == [want]
    rows = np.array(history) // 10
    assert recommender.recommend_rows_of_one(rows, k=1).tolist() == [want // 10]


def test_items_without_weight_are_not_the_most_recent(recommender: Recommender) -> None:
    assert recommender.recommend([30, 70], k=1, weights=[1.0, 0.0]) == [40]
    assert recommender.recommend([30, 70], k=1, weights=[0.0, 1.0]) == [80]


def test_an_ensemble_asks_for_the_order_where_a_member_does(scorer: NextScorer) -> None:
    plain = BagScorer(item_table=CodedTable.of(np.eye(N, dtype=np.float32)))
    both = EnsembleScorer(members=(plain, scorer), weights=np.array([[0.0, 1.0]], np.float32))
    assert both.ordered and not plain.ordered
    assert not EnsembleScorer(members=(plain,), weights=np.ones((1, 1), np.float32)).ordered
    assert Recommender(both, Vocab(np.arange(N))).recommend([7, 3], k=1) == [4]


def cycles() -> Interactions:
    """Everyone walks five steps up the circle of items, from anywhere; the clock's hands say when."""
    users = np.repeat(np.arange(40), 5)
    steps = np.tile(np.arange(5), 40)
    return Interactions.from_ids(users, (np.repeat(np.arange(40) * 5 % N, 5) + steps) % N, times=steps * 60 + 7)


def test_measures_and_choices_give_the_order(scorer: NextScorer) -> None:
    from recdistill.data.log import Log

    whole = cycles()
    columns = whole.user_rows.astype(np.int32), whole.item_rows.astype(np.int32), whole.times
    split = splits.leave_last_n(Log(whole.users, whole.items, *columns))
    assert split.valid is not None
    assert evaluate_scorer(scorer, split, metrics=["recall@1", "auc"]).metrics["recall@1"] == 1.0
    assert evaluate_scorer(scorer, split, split.valid, metrics=["recall@1"]).metrics["recall@1"] == 1.0
    backwards = replace(split, history="train", exclude="train")  # without the valid row the last is another
    assert evaluate_scorer(scorer, backwards, metrics=["recall@1"]).metrics["recall@1"] == 0.0
    assert valid_ndcg(scorer, split.train, split.valid, 1) == 1.0
    assert footprint(scorer, split, seconds=0.01).queries_per_second > 0


def test_a_teacher_that_looks_at_the_order_is_asked_with_it(scorer: NextScorer) -> None:
    class Next(Ranker):
        kind = label = about = meaning = "next"
        Config = rd.TwoTower.Config
        softmax_scores = True

        def _fit(self, train, valid, *, seed, device, progress):  # type: ignore[no-untyped-def]
            return scorer

    log = cycles()
    known = extract(Next().fit(log), log, top_k=3)
    last = [log.item_rows[(log.user_rows == user) & (log.times == 4 * 60 + 7)][0] for user in range(40)]
    assert known.top_items[:, 0].tolist() == [(item + 1) % N for item in last]
