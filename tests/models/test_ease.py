from __future__ import annotations

import numpy as np
import pytest

from recdistill.data.interactions import HeldOut, Interactions
from recdistill.errors import ConfigError
from recdistill.models import ease
from recdistill.models.base import valid_ndcg
from recdistill.models.ease import EASE, gram_matrix, item_weights, regularizations
from recdistill.models.popularity import Popularity
from recdistill.serving.scorers import Histories
from tests.models.conftest import draw_log


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
    assert (model.chosen, model.settings()) == ({}, {"regularization": 6.0})


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
    assert EASE.memory_bytes(41_000) == 3 * 4 * 41_000**2
    model = EASE().fit(draw_log())
    assert 3 * model.scorer.item_to_item.nbytes == EASE.memory_bytes(model.scorer.n_items)


def held_out_of(other: Interactions) -> HeldOut:
    csr = other.csr()
    return HeldOut(other.users.ids(), np.arange(other.n_users), csr, np.diff(csr.indptr))
