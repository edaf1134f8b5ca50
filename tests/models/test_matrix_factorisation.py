from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from recdistill.data.interactions import HeldOut, Interactions
from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError
from recdistill.models.base import valid_ndcg
from recdistill.models.embedding_rules import EmbeddingPlan, plan
from recdistill.models.embedding_training import Embeddings, bpr_loss, bsl_loss, softmax_loss
from recdistill.models.fold_in_map import HISTORY_POWER, nearest_map
from recdistill.models.matrix_factorisation import MatrixFactorisation, MatrixFactorisationConfig
from recdistill.objectives.labels.bsl import BSL, BSLConfig
from recdistill.objectives.labels.softmax import Softmax, SoftmaxConfig
from recdistill.serving.scorers import Histories, LinearFoldInScorer
from recdistill.training.batches import Batch, UserBatches
from tests.models.conftest import N_ITEMS, N_USERS, draw_log

LOSSES = ["softmax", "bpr", "bsl"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def held_out() -> tuple[Interactions, HeldOut]:
    """Two tastes; of each user's own items half are train, half are asked for."""
    draw = np.random.default_rng(0)
    own = np.add.outer(np.arange(60), np.arange(30)) % 2 == 0
    train = own & (draw.random(own.shape) < 0.5)
    hidden = np.nonzero(own & ~train)
    log = Interactions(Vocab(np.arange(60)), Vocab(np.arange(30)), *np.nonzero(train))
    relevant = Interactions(log.users, log.items, *hidden).csr()
    return log, HeldOut(log.users.ids(), np.arange(60), relevant, np.diff(relevant.indptr))


def settings(loss: str = "softmax", **changes: Any) -> EmbeddingPlan:
    return plan(MatrixFactorisationConfig(loss=loss, **changes), draw_log())  # type: ignore[arg-type]


def model(dim: int = 4) -> Embeddings:
    generator = torch.Generator().manual_seed(0)
    return Embeddings(*(torch.randn(rows, dim, generator=generator) for rows in (N_USERS, N_ITEMS)))


def batch() -> Batch:
    batches = UserBatches(
        draw_log().csr(), batch_users=20, history_power=0.0, history_dropout=0.0,
        generator=np.random.default_rng(0), device=torch.device("cpu"),
    )  # fmt: skip
    return next(iter(batches))


@pytest.mark.parametrize("loss", LOSSES)
def test_each_loss_ranks_what_is_wanted_first(loss: str) -> None:
    log, valid = held_out()
    fitted = MatrixFactorisation(loss=loss, dim=4, epochs=20, batch_users=32).fit(log, device="cpu")
    assert valid_ndcg(fitted.scorer, log, valid, k=10) > 0.85


@pytest.mark.parametrize("loss", LOSSES)
def test_people_without_a_row_are_ranked_nearly_as_well_from_their_history(loss: str) -> None:
    log, valid = held_out()
    fitted = MatrixFactorisation(loss=loss, dim=4, epochs=20, batch_users=32).fit(log, device="cpu")
    strangers = HeldOut(np.arange(1000, 1060), np.full(60, -1), valid.relevant, valid.relevant_count, history=log.csr())
    assert valid_ndcg(fitted.scorer, log, strangers, k=10) > 0.85


@pytest.mark.parametrize("loss", ["softmax", "bsl"])
def test_training_follows_the_gradients_of_the_plain_objective(loss: str) -> None:
    """Of dense scores of cosines, for the users of one batch with the rule's weights."""
    given, tables, chosen = batch(), model(), settings(loss)
    fast = (softmax_loss if loss == "softmax" else bsl_loss)(tables, chosen)
    fast(given).backward()
    found = [table.grad.clone() for table in (tables.users, tables.items) if table.grad is not None]
    tables.zero_grad()
    users = torch.nn.functional.normalize(tables.users[given.users], dim=1)
    scores = users @ torch.nn.functional.normalize(tables.items, dim=1).T
    used = torch.from_numpy(draw_log().csr()[given.users.numpy()].toarray() > 0)
    weight = used.sum(1).float() ** (1 - chosen.user_weight)
    if loss == "softmax":
        Softmax(SoftmaxConfig(tau=chosen.tau))(scores, used, weight=weight).backward()
    else:
        config = BSLConfig(tau_positive=chosen.tau_positive, tau_negative=chosen.tau)
        BSL(config)(scores, used, weight=weight).backward()
    for mine, want in zip(found, (tables.users.grad, tables.items.grad), strict=True):
        torch.testing.assert_close(mine, want, rtol=1e-4, atol=1e-6)


def test_bpr_is_the_mean_over_pairs_and_half_of_lambda_their_squares() -> None:
    """With negatives that can be no other: each user has used all items but the last."""
    tables, chosen = model(), settings("bpr", regularization=0.5)
    log = np.ones((N_USERS, N_ITEMS), bool)
    log[:, -1] = False
    full = Interactions(Vocab(np.arange(N_USERS)), Vocab(np.arange(N_ITEMS)), *np.nonzero(log))
    batches = UserBatches(
        full.csr(), batch_users=N_USERS, history_power=0.0, history_dropout=0.0,
        generator=np.random.default_rng(0), device=torch.device("cpu"),
    )  # fmt: skip
    found = bpr_loss(tables, chosen, torch.Generator().manual_seed(0))(next(iter(batches))).item()
    users, items = tables.users.detach().double(), tables.items.detach().double()
    gaps = users @ items[:-1].T - (users @ items[-1])[:, None]
    squares = users.square().sum(1)[:, None] + items[:-1].square().sum(1) + items[-1].square().sum()
    want = torch.nn.functional.softplus(-gaps).mean() + 0.25 * squares.mean()
    assert found == pytest.approx(want.item(), rel=1e-5)


def test_scores_are_logits_of_cosines_and_rows_of_training_users() -> None:
    train = draw_log()
    scorer = MatrixFactorisation(dim=4, tau=0.2, epochs=3).fit(train, device="cpu").scorer
    assert isinstance(scorer, LinearFoldInScorer) and scorer.user_table is not None
    scores = scorer.score(Histories.empty(N_USERS), np.arange(N_USERS))
    assert np.abs(scores).max() <= 5.0 * (1 + 1e-6)
    users, items = scorer.user_table.matrix(), scorer.item_table.matrix()  # type: ignore[union-attr]
    for rows in (users, items):
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(scores, 5.0 * users @ items.T, rtol=1e-4, atol=1e-5)


def test_the_map_of_histories_is_the_least_squares_solution() -> None:
    train, draw = draw_log(), np.random.default_rng(3)
    users, used = draw.standard_normal((N_USERS, 4)), draw.standard_normal((N_ITEMS, 4))
    dense = train.csr().toarray()
    means = dense @ used / np.maximum(dense.sum(axis=1, keepdims=True), 1) ** HISTORY_POWER
    want, *_ = np.linalg.lstsq(means, users, rcond=None)
    np.testing.assert_allclose(nearest_map(users, used, train), want, rtol=1e-3, atol=1e-4)


def test_users_without_training_rows_get_the_mean_row() -> None:
    train = draw_log()
    more = Interactions(Vocab(np.arange(N_USERS + 1)), train.items, train.user_rows, train.item_rows)
    scorer = MatrixFactorisation(dim=4, epochs=2, loss="bpr").fit(more, device="cpu").scorer
    rows = scorer.user_table.matrix()  # type: ignore[attr-defined]
    np.testing.assert_allclose(rows[-1], rows[:-1].mean(axis=0), rtol=1e-5)


def test_the_seed_decides_and_nothing_else() -> None:
    train, ask = draw_log(), (Histories.empty(N_USERS), np.arange(N_USERS))
    one, two, other = (
        MatrixFactorisation(dim=4, epochs=3, loss="bpr").fit(train, seed=seed, device="cpu").score(*ask)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, two)
    assert not np.allclose(one, other)


def test_denser_logs_have_softer_labels_and_their_users_weigh_more_alike() -> None:
    class Counts:
        def __init__(self, users: int, items: int, rows: int) -> None:
            self.n_users, self.n_items, self.n_rows, self.times = users, items, rows, None

    config = MatrixFactorisationConfig()
    dense, sparse = (
        plan(config, Counts(*counts))  # type: ignore[arg-type]
        for counts in ((6_000, 3_000, 800_000), (70_000, 25_000, 650_000))
    )
    assert (dense.tau, dense.user_weight) == (pytest.approx(0.15), 0.5)
    assert (sparse.tau, sparse.user_weight) == (pytest.approx(0.12), 0.0)
    assert dense.epochs >= sparse.epochs >= 12
    given = plan(MatrixFactorisationConfig(tau=0.3, epochs=5, tau_positive=2.0), Counts(9, 9, 30))  # type: ignore[arg-type]
    assert (given.tau, given.epochs, given.tau_positive) == (0.3, 5, 2.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dim": 0}, "dim = 0: give at least 1"),
        ({"epochs": 0}, "epochs = 0: give at least 1"),
        ({"tau": 0.0}, "tau = 0.0: give a number above 0"),
        ({"tau_positive": -1.0}, "tau_positive = -1.0: give a number above 0"),
        ({"user_weight": 1.5}, "user_weight = 1.5: give a number from 0 to 1"),
        ({"regularization": -1.0}, "regularization = -1.0: give 0 or a number above it"),
    ],
)
def test_settings_outside_their_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"mf: {message}"):
        MatrixFactorisation(**changes)


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"mf\.loss = 'warp': expected one of softmax, bpr, bsl"):
        MatrixFactorisation(loss="warp")
