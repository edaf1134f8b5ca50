from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest

from recdistill.data.interactions import HeldOut, Interactions
from recdistill.errors import ConfigError
from recdistill.models import als
from recdistill.models.als import ALS, default_alpha, regularizations
from recdistill.models.base import valid_ndcg
from recdistill.serving.scorers import FoldInScorer, Histories
from recdistill.tables.codecs import CodedTable
from tests.models.conftest import draw_log


def loss(train: Interactions, scorer: FoldInScorer) -> float:
    """Hu, Koren and Volinsky's, with confidence alpha where used and 1 elsewhere."""
    used = train.csr().toarray()
    assert scorer.user_table is not None
    users, items = scorer.user_table.matrix().astype(np.float64), scorer.item_table.matrix().astype(np.float64)
    confidence = 1 + (scorer.alpha - 1) * used
    squares = np.square(users).sum() + np.square(items).sum()
    return float((confidence * np.square(used - users @ items.T)).sum() + scorer.regularization * squares)


def fit(train: Interactions, **settings: float) -> FoldInScorer:
    scorer = ALS(**{"dim": 4, "regularization": 1.0, "alpha": 3.0, **settings}).fit(train).scorer
    assert isinstance(scorer, FoldInScorer)
    return scorer


def test_more_iterations_come_closer_to_the_minimum() -> None:
    train = draw_log()
    losses = [loss(train, fit(train, iterations=iterations)) for iterations in (1, 3, 30)]
    assert losses[0] > losses[1] > losses[2]


def test_no_small_step_from_the_result_lowers_the_loss() -> None:
    train, draw = draw_log(), np.random.default_rng(0)
    scorer = fit(train, iterations=200)
    least = loss(train, scorer)
    for _ in range(20):
        moved = {}
        for name in ("user_table", "item_table"):
            table = getattr(scorer, name).matrix()
            step = 0.01 * draw.standard_normal(table.shape).astype(np.float32)
            moved[name] = CodedTable.of(table + step)
        assert loss(train, dataclasses.replace(scorer, **moved)) > least


def test_people_with_and_without_an_id_get_the_very_same_scores() -> None:
    train = draw_log()
    scorer, histories = fit(train), Histories.from_csr(train.csr())
    known = scorer.score(histories, np.arange(train.n_users))
    np.testing.assert_array_equal(scorer.score(histories), known)


def test_fitting_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(draw_log())
    assert capfd.readouterr() == ("", "")


def test_the_number_of_threads_changes_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    train = draw_log()
    two = fit(train).item_vectors()
    monkeypatch.setattr(als, "cores", lambda: 1)
    np.testing.assert_array_equal(fit(train).item_vectors(), two)


def test_another_seed_starts_elsewhere() -> None:
    train = draw_log()
    one, two = (ALS(dim=4, iterations=1).fit(train, seed=seed).item_vectors() for seed in (0, 1))
    assert not np.allclose(one, two)


def test_the_best_of_four_is_chosen_on_valid() -> None:
    train, other = draw_log(), draw_log(seed=1)
    valid = HeldOut(other.users.ids(), np.arange(60), other.csr(), np.diff(other.csr().indptr))
    model = ALS(dim=4).fit(train, valid)
    alpha = default_alpha(train)
    tried = regularizations(train, alpha)
    reached = [valid_ndcg(fit(train, alpha=alpha, regularization=value), train, valid) for value in tried]
    assert len(set(reached)) > 1
    assert model.chosen == {"alpha": alpha, "regularization": tried[int(np.argmax(reached))]}


def test_what_is_given_is_not_chosen() -> None:
    model = ALS(dim=4, alpha=2.0, regularization=3.0).fit(draw_log())
    assert model.chosen == {}
    assert (model.scorer.config()["alpha"], model.scorer.config()["regularization"]) == (2.0, 3.0)


def test_sparser_logs_trust_an_interaction_more() -> None:
    class Counts:
        n_users, n_items, n_rows = 1_000, 2_000, 20_000

    sparse = default_alpha(Counts())  # type: ignore[arg-type]
    assert sparse == pytest.approx(7.0)
    assert 1.0 <= default_alpha(draw_log()) < sparse


def test_factors_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"als: found no finite factors .* alpha = 1e\+38"):
        fit(draw_log(), alpha=1e38)
