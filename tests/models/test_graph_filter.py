from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recdistill.data.interactions import HeldOut, Interactions
from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError
from recdistill.models import graph_filter
from recdistill.models.base import valid_ndcg
from recdistill.models.graph_filter import ALPHAS, GraphFilter, as_matrix, default_dim, graph_filters, sparse_gram
from recdistill.models.popularity import Popularity
from recdistill.models.svd_cut import teacher_svd
from recdistill.serving.scorers import GraphFilterScorer, Histories, ItemScorer
from tests.models.conftest import draw_log


def sparse_log(seed: int = 0) -> Interactions:
    """80 users of one of ten tastes; items of other tastes are hardly ever used together."""
    draw = np.random.default_rng(seed)
    users, items = np.arange(80), np.arange(60)
    used = draw.random((80, 60)) < np.where(np.equal.outer(users % 10, items % 10), 0.6, 0.003)
    used[:, 0] |= ~used.any(axis=1)
    return Interactions(Vocab(users), Vocab(items), *np.nonzero(used))


def wanted(train: Interactions, dim: int, alpha: float) -> np.ndarray:
    """The paper's formula with dense matrices in double precision."""
    used = train.csr().toarray().astype(np.float64)
    by_user, by_item = np.maximum(used.sum(axis=1), 1), np.maximum(used.sum(axis=0), 1)
    normalised = used / np.sqrt(np.outer(by_user, by_item))
    vectors = np.linalg.svd(normalised)[2][:dim]
    ideal = (vectors.T @ vectors) / np.sqrt(by_item)[:, None] * np.sqrt(by_item)
    return used @ (normalised.T @ normalised + alpha * ideal)


@pytest.mark.parametrize(("train", "form"), [(sparse_log(), GraphFilterScorer), (draw_log(), ItemScorer)])
def test_scores_are_those_of_the_paper_whether_the_map_is_sparse_or_full(train: Interactions, form: type) -> None:
    model = GraphFilter(dim=4, alpha=0.7).fit(train)
    assert type(model.scorer) is form
    found = model.score(Histories.from_csr(train.csr()))
    np.testing.assert_allclose(found, wanted(train, 4, 0.7), rtol=1e-3, atol=1e-3)


def test_one_matrix_ranks_as_both_filters_do() -> None:
    train = sparse_log()
    filters, given = graph_filters(train, 5, 0), Histories.from_csr(train.csr())
    np.testing.assert_allclose(as_matrix(filters).score(given), filters.score(given), rtol=1e-4, atol=1e-5)


def test_the_gram_matrix_stays_sparse() -> None:
    gram = sparse_gram(sparse_log().csr())
    assert isinstance(gram, csr_matrix) and gram.dtype == np.float32
    assert gram.nnz < 0.5 * 60 * 60
    assert gram.has_sorted_indices


def test_teacher_svd_cuts_the_sum_of_both_filters() -> None:
    """Against the dense matrix; at full rank, with weights of the history, nothing is lost."""
    train = sparse_log()
    filters, given = graph_filters(train, 5, 0), Histories.from_csr(train.csr())
    matrix = as_matrix(filters).item_to_item.matrix()
    left, values, right = np.linalg.svd(matrix)
    cut = (left[:, :6] * values[:6]) @ right[:6]
    found = teacher_svd(filters, 6)
    np.testing.assert_allclose(found.score(given), train.csr() @ cut, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(teacher_svd(filters, 60).score(given), filters.score(given), rtol=1e-3, atol=1e-3)


def test_a_history_alone_makes_the_scores_and_without_one_popularity() -> None:
    train = sparse_log()
    model = GraphFilter().fit(train)
    given, rows = Histories.from_csr(train.csr()), np.arange(train.n_users)
    np.testing.assert_array_equal(model.score(given, rows), model.score(given, np.full(len(rows), -1)))
    popularity = Popularity().fit(train).score(Histories.empty(1))
    np.testing.assert_array_equal(model.score(Histories.empty(1)), popularity)


def test_the_best_of_five_is_chosen_on_valid() -> None:
    train, other = sparse_log(), sparse_log(seed=1)
    valid = HeldOut(other.users.ids(), np.arange(80), other.csr(), np.diff(other.csr().indptr))
    model = GraphFilter(dim=10).fit(train, valid)
    reached = [valid_ndcg(GraphFilter(dim=10, alpha=alpha).fit(train).scorer, train, valid) for alpha in ALPHAS]
    assert len(set(reached)) > 1
    assert model.chosen == {"alpha": ALPHAS[int(np.argmax(reached))]}


def test_without_valid_the_authors_alpha_and_a_rule_for_the_vectors_are_taken() -> None:
    train = sparse_log()
    assert GraphFilter().fit(train).chosen == {"alpha": 0.3, "dim": 3}
    assert GraphFilter(alpha=2.0, dim=7).fit(train).chosen == {}


@pytest.mark.parametrize(("users", "items", "dim"), [(70_000, 25_000, 256), (2_000, 4_000, 100), (3, 9, 1)])
def test_vectors_follow_from_the_smaller_side(users: int, items: int, dim: int) -> None:
    class Counts:
        n_users, n_items = users, items

    assert default_dim(Counts()) == dim  # type: ignore[arg-type]


def test_memory_is_that_of_the_entries_which_the_counts_let_expect() -> None:
    """Of amazon-book, 31.9 million entries: 255 MB, where a matrix of all pairs has 2.5 GB."""
    expected = GraphFilter().memory_bytes(n_items=24_915, n_users=70_679, n_rows=652_514)
    assert 8 * 31_899_779 < expected < 1e9
    assert GraphFilter().memory_bytes(n_items=24_915, n_users=10, n_rows=652_514) >= 12 * 24_915**2
    train = sparse_log()
    model = GraphFilter().fit(train)
    counts = {"n_items": train.n_items, "n_users": train.n_users, "n_rows": train.n_rows}
    assert model.memory_bytes(**counts) >= model.scorer.nbytes


def test_a_full_map_is_never_held_where_it_is_sparse(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(scorer: GraphFilterScorer) -> ItemScorer:
        raise AssertionError("made a matrix of all pairs of items")

    monkeypatch.setattr(graph_filter, "as_matrix", refuse)
    GraphFilter().fit(sparse_log())
    with pytest.raises(AssertionError):
        GraphFilter().fit(draw_log())


@pytest.mark.parametrize(
    ("settings", "message"), [({"alpha": -0.1}, "alpha = -0.1"), ({"dim": 0}, "dim = 0"), ({"dim": 4096}, "dim = 4096")]
)
def test_settings_outside_their_range_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=f"gf_cf: {message}: give"):
        GraphFilter(**settings)
