from __future__ import annotations

import numpy as np

from recdistill.data.interactions import Interactions
from recdistill.data.vocab import Vocab
from recdistill.models.popularity import Popularity
from recdistill.serving.scorers import Histories


def test_everyone_gets_the_most_used_items_first_without_their_own() -> None:
    train = Interactions.from_ids(["p", "p", "q", "q", "r"], ["tea", "milk", "tea", "bread", "tea"])
    model = Popularity().fit(train)
    own = Histories.from_csr(train.csr())
    items, _ = model.top_k(own, 1, exclude=own)
    assert train.items.ids(items[:, 0]).tolist()[:2] == ["bread", "milk"]
    assert train.items.ids(model.top_k(Histories.empty(1), 1)[0][0]).tolist() == ["tea"]


def test_the_softmax_of_scores_is_an_items_share_of_the_log() -> None:
    train = Interactions.from_ids(["p", "q", "r", "p"], ["a", "a", "a", "b"])
    scores = np.exp(Popularity().fit(train).score(Histories.empty(1)))[0]
    np.testing.assert_allclose(scores / scores.sum(), [0.75, 0.25], rtol=1e-6)


def test_an_item_that_nobody_used_comes_last_with_a_finite_score() -> None:
    users, items = Vocab(["p"]), Vocab(["a", "unused"])
    scores = Popularity().fit(Interactions(users, items, np.array([0]), np.array([0]))).score(Histories.empty(1))[0]
    assert np.isfinite(scores).all()
    assert scores[1] < scores[0]
