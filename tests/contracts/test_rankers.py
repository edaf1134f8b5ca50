"""What every registered model must satisfy; a new one inherits these tests by its line in the registry."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recdistill import artifact
from recdistill.data.interactions import Interactions
from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError, DataError
from recdistill.models.base import NotFittedError, Ranker, valid_ndcg
from recdistill.models.registry import MODELS
from recdistill.retrieval.exact import top_k
from recdistill.serving.recommender import Recommender
from recdistill.serving.scorers import Histories
from tests.contracts.conftest import ORDERED, KnownLog, new, rows_of, top_items

Fitted = Callable[[str, KnownLog], Ranker]
BLIND = {"popularity"}
"""Models that see no difference between users, and cannot know whose square is which."""
HALVED = {"two_tower", "deep_tower", "reranked", "self_attention"}
"""Models whose popularity is stored in half floats."""


@pytest.fixture
def served(model: Ranker, tmp_path: Path) -> Recommender:
    return Recommender.load(model.save(tmp_path / "artifact"))


def history(log: KnownLog, user: int) -> list[Any]:
    return log.train.items.ids(rows_of(log.train.csr())[user]).tolist()


def test_a_model_refits_to_the_same_scores(kind: str, model: Ranker, checkerboard: KnownLog) -> None:
    again = new(kind).fit(checkerboard.train, seed=3, device="cpu")
    arguments = checkerboard.histories, checkerboard.rows
    np.testing.assert_allclose(again.score(*arguments), model.score(*arguments), rtol=0, atol=1e-6)


def test_a_fitted_model_fitted_again_is_that_of_the_second_log(
    kind: str, checkerboard: KnownLog, low_rank: KnownLog, fitted: Fitted
) -> None:
    twice = new(kind).fit(checkerboard.train, device="cpu").fit(low_rank.train, seed=3, device="cpu")
    np.testing.assert_array_equal(top_items(twice, low_rank), top_items(fitted(kind, low_rank), low_rank))


def test_the_settings_in_force_refit_the_choice_made_on_valid(kind: str, low_rank: KnownLog) -> None:
    chosen = new(kind).fit(low_rank.train, low_rank.held, seed=3, device="cpu")
    again = MODELS[kind](**chosen.settings()).fit(low_rank.train, seed=3, device="cpu")
    assert chosen.chosen.items() <= chosen.settings().items()
    np.testing.assert_array_equal(top_items(again, low_rank), top_items(chosen, low_rank))


def test_a_saved_model_answers_as_before(model: Ranker, checkerboard: KnownLog, tmp_path: Path) -> None:
    loaded = artifact.load(model.save(tmp_path / "artifact"))
    asked = checkerboard.histories, checkerboard.rows, 10, checkerboard.histories
    for before, after in zip(top_k(model.scorer, *asked), top_k(loaded.scorer, *asked), strict=True):
        np.testing.assert_array_equal(after, before)
    assert loaded.items == model.train_vocab.items
    assert loaded.config["kind"] == model.kind
    assert json.loads(json.dumps(model.settings())) == loaded.config["settings"]
    assert loaded.config["trained_on"]["sha256"] == checkerboard.train.sha256()


def test_the_recommender_ranks_as_the_model_does(served: Recommender, model: Ranker, checkerboard: KnownLog) -> None:
    found = top_items(model, checkerboard)
    for user in (0, 1, 57):
        name = checkerboard.train.users.ids([user])[0]
        want = checkerboard.train.items.ids(found[user]).tolist()
        assert served.recommend(history(checkerboard, user), user=name, k=10) == want


def test_unknown_ids_are_skipped_or_refused(served: Recommender, checkerboard: KnownLog) -> None:
    used = history(checkerboard, 2)
    assert served.recommend([*used, "no such item"], k=5) == served.recommend(used, k=5)
    assert served.recommend(used, user="no such user", k=5) == served.recommend(used, k=5)
    with pytest.raises(DataError, match="no item 'no such item'"):
        served.recommend([*used, "no such item"], k=5, unknown="raise")


def test_a_stranger_without_history_is_answered(served: Recommender) -> None:
    answer = served.recommend([], k=7, with_scores=True)
    assert len({one.item_id for one in answer}) == 7
    assert np.isfinite([one.score for one in answer]).all()


def test_a_stranger_without_history_gets_what_is_popular(kind: str, low_rank: KnownLog, fitted: Fitted) -> None:
    """Popularity to the bit, or, where bytes count, in half floats."""
    model = fitted(kind, low_rank)
    counts = np.bincount(low_rank.train.item_rows, minlength=low_rank.train.n_items)
    scores = model.score(Histories.empty(1), np.array([-1]))[0]
    items = model.top_k(Histories.empty(1), 10, np.array([-1]))[0][0]
    exact = np.log(np.maximum(counts, 0.5)).astype(np.float32)
    np.testing.assert_array_equal(scores, exact.astype(np.float16) if kind in HALVED else exact)
    np.testing.assert_array_equal(counts[items], np.sort(counts)[::-1][:10])


def test_seen_items_are_never_recommended(served: Recommender, model: Ranker, checkerboard: KnownLog) -> None:
    seen = checkerboard.train.csr().toarray() > 0
    items = top_items(model, checkerboard, k=checkerboard.train.n_items)
    users = np.broadcast_to(checkerboard.rows[:, None], items.shape)
    assert not seen[users[items >= 0], items[items >= 0]].any()
    np.testing.assert_array_equal((items >= 0).sum(axis=1), (~seen).sum(axis=1))
    used = history(checkerboard, 4)
    assert not set(used) & set(served.recommend(used, k=checkerboard.train.n_items))


def test_k_above_the_catalogue_is_refused(served: Recommender, model: Ranker, checkerboard: KnownLog) -> None:
    above = checkerboard.train.n_items + 1
    with pytest.raises(ConfigError, match=f"k={above}"):
        model.top_k(checkerboard.histories, above, checkerboard.rows)
    with pytest.raises(ConfigError, match=f"k={above}"):
        served.recommend([], k=above)


def test_order_and_batch_of_users_change_no_answer(model: Ranker, checkerboard: KnownLog) -> None:
    histories, rows = checkerboard.histories, checkerboard.rows
    items, scores = top_k(model.scorer, histories, rows, 10, histories)
    shuffled = np.random.default_rng(5).permutation(len(rows))
    for chosen, batch in [(shuffled, 1024), (shuffled, 7), (shuffled[:1], 1024), (rows, 1)]:
        part = Histories.from_csr(checkerboard.train.csr()[chosen])
        again, again_scores = top_k(model.scorer, part, rows[chosen], 10, part, batch=batch)
        np.testing.assert_array_equal(again, items[chosen])
        np.testing.assert_array_equal(again_scores, scores[chosen])


def test_order_and_repetition_in_a_history_change_no_answer(
    model: Ranker, served: Recommender, checkerboard: KnownLog
) -> None:
    used = history(checkerboard, 6)
    if model.scorer.ordered:
        assert served.recommend([*used, used[0]], k=8) == served.recommend([*used[1:], used[0]], k=8)
        return
    assert served.recommend([*used[::-1], used[0]], k=8, with_scores=True) == served.recommend(
        used, k=8, with_scores=True
    )


def test_vectors_and_bias_are_the_score(model: Ranker, checkerboard: KnownLog) -> None:
    assert model.scorer.vectors == model.has_vectors
    if not model.scorer.vectors:
        return
    users = model.user_vectors(checkerboard.histories, checkerboard.rows)
    bias = 0.0 if model.scorer.item_bias is None else model.scorer.item_bias
    scores = model.score(checkerboard.histories, checkerboard.rows)
    np.testing.assert_allclose(users @ model.item_vectors().T + bias, scores, rtol=1e-4, atol=1e-5)


def test_wanted_squares_of_a_checkerboard_come_first(kind: str, model: Ranker, checkerboard: KnownLog) -> None:
    """Unseen items of the own colour before all others are an NDCG of 1; chance is about .27."""
    reached = valid_ndcg(model.scorer, checkerboard.train, checkerboard.held, k=10)
    assert reached < 0.5 if kind in BLIND else reached > 0.95


def test_low_rank_tastes_are_recovered(kind: str, low_rank: KnownLog, fitted: Fitted) -> None:
    """The held-out items lie among those used, on a circle; chance is about .15."""
    reached = valid_ndcg(fitted(kind, low_rank).scorer, low_rank.train, low_rank.held, k=10)
    assert reached < 0.5 if kind in BLIND else reached > 0.85


def test_a_model_is_blind_to_what_is_not_train(kind: str, low_rank: KnownLog) -> None:
    """Without a choice to make, valid changes nothing."""
    settings = new(kind).fit(low_rank.train, seed=3, device="cpu").settings()
    one = MODELS[kind](**settings).fit(low_rank.train, seed=3, device="cpu")
    relevant = low_rank.held.relevant[::-1]
    other = dataclasses.replace(low_rank.held, relevant=relevant, relevant_count=np.diff(relevant.indptr))
    two = MODELS[kind](**settings).fit(low_rank.train, other, seed=3, device="cpu")
    np.testing.assert_array_equal(top_items(two, low_rank), top_items(one, low_rank))


def test_a_model_that_is_not_fitted_says_so(kind: str, tmp_path: Path) -> None:
    unfitted = new(kind)
    for ask in (lambda: unfitted.scorer, lambda: unfitted.train_vocab, lambda: unfitted.save(tmp_path / "artifact")):
        with pytest.raises(NotFittedError, match=r"not fitted yet. Call .*\.fit\(train\)"):
            ask()
    assert not (tmp_path / "artifact").exists()


def test_an_unknown_setting_is_refused(kind: str) -> None:
    with pytest.raises(ConfigError, match=f"no setting '{kind}.dimm'"):
        MODELS[kind](dimm=3)


def test_an_empty_log_is_refused(kind: str) -> None:
    rows = np.zeros(0, np.int64)
    with pytest.raises(ConfigError, match="the training log is empty"):
        new(kind).fit(Interactions(Vocab(["u"]), Vocab(["i"]), rows, rows))


def test_two_users_and_two_items_are_enough(kind: str) -> None:
    train = Interactions.from_ids(["a", "a", "b"], ["x", "y", "y"], [1, 2, 3] if kind in ORDERED else None)
    model = new(kind).fit(train, device="cpu")
    assert np.isfinite(model.score(Histories.from_csr(train.csr()), np.arange(2))).all()
