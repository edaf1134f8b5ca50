from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recdistill.data.interactions import HeldOut, Interactions
from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError
from recdistill.models import ease, ease_low_rank
from recdistill.models.base import valid_ndcg
from recdistill.models.ease import EASE, gram_matrix, item_weights, regularizations
from recdistill.models.ease_low_rank import low_rank_gram
from recdistill.models.popularity import Popularity
from recdistill.serving.scorers import Histories, ItemScorer, LowRankScorer
from tests.models.conftest import draw_log


def need(n_items: int, **settings: Any) -> int:
    return EASE(**settings).memory_bytes(n_items=n_items, n_users=1000, n_rows=10_000)


def test_weights_are_steck_s_closed_form() -> None:
    """Against a double precision inverse: B = I - P · diag(1 / diag P)."""
    train = draw_log()
    dense = train.csr().toarray().astype(np.float64)
    inverse = np.linalg.inv(dense.T @ dense + 7.0 * np.eye(train.n_items))
    want = np.eye(train.n_items) - inverse / np.diag(inverse)
    np.testing.assert_allclose(item_weights(gram_matrix(train.csr()), 7.0), want, rtol=1e-4, atol=1e-6)


def test_weights_solve_the_regression_of_each_item_on_the_others() -> None:
    """Stationary: the gradient of ‖X - XB‖² + λ‖B‖² is zero off the diagonal, where B is held at zero."""
    train = draw_log()
    dense = train.csr().toarray().astype(np.float64)
    weights = item_weights(gram_matrix(train.csr()), 3.0).astype(np.float64)
    gradient = dense.T @ (dense @ weights - dense) + 3.0 * weights
    assert np.abs(gradient - np.diag(np.diag(gradient))).max() < 1e-3
    assert not np.diag(weights).any()


def test_tiles_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    csr = draw_log().csr()
    whole = item_weights(gram_matrix(csr), 5.0)
    monkeypatch.setattr(ease, "TILE_ROWS", 7)
    np.testing.assert_array_equal(item_weights(gram_matrix(csr), 5.0), whole)


def test_the_gram_matrix_is_left_as_it_was() -> None:
    gram = gram_matrix(draw_log().csr())
    before = gram.copy()
    item_weights(gram, 5.0)
    np.testing.assert_array_equal(gram, before)


def test_scores_are_sums_over_the_history_and_popularity_without_one() -> None:
    train = draw_log()
    model = EASE(regularization=5.0).fit(train)
    weights = item_weights(gram_matrix(train.csr()), 5.0)
    scores = model.score(Histories.from_lists([[4, 1], []]))
    popularity = Popularity().fit(train).score(Histories.empty(1))[0]
    np.testing.assert_allclose(scores, [weights[1] + weights[4], popularity], rtol=1e-5, atol=1e-7)


def test_the_best_of_five_is_chosen_on_valid() -> None:
    train, valid = draw_log(), held_out_of(draw_log(seed=1))
    model = EASE().fit(train, valid)
    reached = [
        valid_ndcg(EASE(regularization=value).fit(train).scorer, train, valid) for value in regularizations(train)
    ]
    assert len(set(reached)) > 1
    assert model.chosen == {"regularization": regularizations(train)[int(np.argmax(reached))]}


def test_a_regularization_that_is_given_is_not_chosen() -> None:
    train = draw_log()
    model = EASE(regularization=6.0).fit(train, held_out_of(draw_log(seed=1)))
    assert (model.chosen, model.settings()) == ({}, {"regularization": 6.0, "form": "auto", "dim": 512})


def test_without_valid_the_middle_is_taken() -> None:
    train = draw_log()
    assert EASE().fit(train).chosen == {"regularization": regularizations(train)[2]}


@pytest.mark.parametrize(
    ("rows", "items", "published"), [(42_135, 4_489, 50), (796_244, 3_043, 800), (33e6, 41_140, 200)]
)
def test_the_values_tried_include_the_published_best(rows: float, items: int, published: float) -> None:
    class Counts:
        n_rows, n_items = rows, items

    nearest = min(abs(np.log(value / published)) for value in regularizations(Counts()))  # type: ignore[arg-type]
    assert nearest < np.log(1.42)


def test_a_regularization_lost_in_rounding_is_refused() -> None:
    twins = Interactions.from_ids(["a", "a", "b", "b"], ["x", "y", "x", "y"])
    with pytest.raises(ConfigError, match="ease: regularization = 1e-12 is too small"):
        EASE(regularization=1e-12).fit(twins)


def test_memory_grows_with_the_square_of_the_catalogue() -> None:
    assert need(41_000, form="full") == 3 * 4 * 41_000**2
    model = EASE().fit(draw_log())
    assert 3 * model.scorer.item_to_item.nbytes == need(model.scorer.n_items)


# low rank


def test_at_full_rank_the_low_rank_form_is_the_full_one() -> None:
    train = draw_log()
    histories = Histories.from_csr(train.csr())
    full, low = (EASE(regularization=5.0, form=form).fit(train) for form in ("full", "low_rank"))
    assert isinstance(low.scorer, LowRankScorer)
    np.testing.assert_allclose(low.score(histories), full.score(histories), rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(low.score(Histories.empty(1)), full.score(Histories.empty(1)))
    each = Histories.from_lists([[item] for item in range(train.n_items)])
    assert np.abs(low.score(each).diagonal()).max() < 1e-5, "an item says nothing of itself"


def test_a_low_rank_gram_matrix_keeps_its_diagonal_and_its_leading_directions() -> None:
    train = wide_log()
    csr = train.csr()
    gram = low_rank_gram(csr, 8)
    counts = np.bincount(train.item_rows, minlength=train.n_items)
    made = gram.factors.astype(np.float64) @ gram.factors.T
    assert gram.factors.shape == (train.n_items, 8)
    np.testing.assert_allclose(np.diag(made) + gram.rest, counts, rtol=1e-4)
    scale = np.sqrt(np.maximum(counts, 1))
    exact = np.linalg.eigvalsh(gram_matrix(csr).astype(np.float64) / np.outer(scale, scale))[::-1]
    np.testing.assert_allclose(np.linalg.eigvalsh(made / np.outer(scale, scale))[::-1][:6], exact[:6], rtol=1e-3)


def test_the_closed_form_is_the_inverse_of_the_approximated_gram_matrix() -> None:
    gram = low_rank_gram(wide_log().csr(), 8)
    dense = gram.factors.astype(np.float64) @ gram.factors.T + np.diag(gram.rest) + 4.0 * np.eye(len(gram.rest))
    inverse = np.linalg.inv(dense)
    want = np.eye(len(dense)) - inverse / np.diag(inverse)
    each = Histories.from_lists([[item] for item in range(len(dense))])
    np.testing.assert_allclose(gram.scorer(4.0).score(each), want, rtol=1e-3, atol=1e-5)


def test_tiles_of_the_low_rank_form_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    train = wide_log()
    histories = Histories.from_csr(train.csr())
    whole = low_rank_gram(train.csr(), 8).scorer(4.0).score(histories)
    monkeypatch.setattr(ease_low_rank, "TILE_ROWS", 17)
    tiled = low_rank_gram(train.csr(), 8).scorer(4.0).score(histories)
    np.testing.assert_allclose(tiled, whole, rtol=1e-3, atol=1e-4)


def test_large_catalogues_take_the_low_rank_form(monkeypatch: pytest.MonkeyPatch) -> None:
    train = draw_log()
    assert isinstance(EASE().fit(train).scorer, ItemScorer)
    monkeypatch.setattr(ease, "FULL_ITEMS", train.n_items - 1)
    assert isinstance(EASE().fit(train).scorer, LowRankScorer)
    assert isinstance(EASE(form="full").fit(train).scorer, ItemScorer)


def test_the_low_rank_form_chooses_on_valid_and_has_no_seed() -> None:
    train, valid = draw_log(), held_out_of(draw_log(seed=1))
    model = EASE(form="low_rank", dim=4).fit(train, valid, seed=1)
    assert model.chosen["regularization"] in regularizations(train)
    again = EASE(**model.settings()).fit(train, seed=2)
    histories = Histories.from_csr(train.csr())
    np.testing.assert_array_equal(again.score(histories), model.score(histories))


def test_memory_of_the_low_rank_form_grows_with_the_catalogue() -> None:
    assert need(1_000_000) == need(1_000_000, form="low_rank", dim=512)
    assert need(1_000_000, dim=112) == 8 * 4 * 1_000_000 * 128
    assert need(20_000) == need(20_000, form="full") == 3 * 4 * 20_000**2
    assert need(20_001) < need(20_000) / 10


def test_memory_that_the_low_rank_form_fills_is_what_it_says() -> None:
    import tracemalloc

    csr = wide_log(n_users=2_000, n_items=6_000).csr()
    tracemalloc.start()
    low_rank_gram(csr, 112).scorer(10.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.5 < peak / need(6_000, form="low_rank", dim=112) <= 1.1


@pytest.mark.parametrize(("settings", "message"), [({"dim": 0}, "ease: dim = 0"), ({"form": "small"}, "ease.form")])
def test_forms_and_dimensions_that_are_none_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EASE(**settings)


def wide_log(n_users: int = 300, n_items: int = 120) -> Interactions:
    """Six tastes over many items, few of them used by each."""
    draw = np.random.default_rng(2)
    taste = draw.integers(0, 6, n_users)
    used = draw.integers(0, n_items // 6, (n_users, 9)) * 6 + np.where(
        draw.random((n_users, 9)) < 0.8, taste[:, None], 0
    )
    chosen = np.zeros((n_users, n_items), bool)
    chosen[np.repeat(np.arange(n_users), 9), used.ravel()] = True
    return Interactions(Vocab(np.arange(n_users)), Vocab(np.arange(n_items)), *np.nonzero(chosen))


def held_out_of(other: Interactions) -> HeldOut:
    csr = other.csr()
    return HeldOut(other.users.ids(), np.arange(other.n_users), csr, np.diff(csr.indptr))
