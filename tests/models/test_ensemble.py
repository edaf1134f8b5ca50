from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recdistill.data.interactions import HeldOut, Interactions
from recdistill.errors import ConfigError
from recdistill.models import ensemble_weights
from recdistill.models.als import ALS
from recdistill.models.base import valid_ndcg
from recdistill.models.ease import EASE
from recdistill.models.ensemble import Ensemble
from recdistill.models.ensemble_weights import PARTS, Weights, choose_weights
from recdistill.models.popularity import Popularity
from recdistill.models.svd import SVD
from recdistill.models.svd_cut import teacher_svd
from recdistill.serving.scorers import BagScorer, EnsembleScorer, Histories, ItemScorer, LowRankScorer
from recdistill.tables.codecs import CodedTable
from tests.models.conftest import N_ITEMS, draw_log

PAIR: dict[str, Any] = {"members": ("svd", "ease"), "member_settings": {"svd": {"dim": 4}}}


def held_out_of(other: Interactions) -> HeldOut:
    csr = other.csr()
    return HeldOut(other.users.ids(), np.arange(other.n_users), csr, np.diff(csr.indptr))


@pytest.fixture(scope="module")
def train() -> Interactions:
    return draw_log()


@pytest.fixture(scope="module")
def valid() -> HeldOut:
    return held_out_of(draw_log(seed=1))


def test_without_valid_nine_tenths_go_to_the_first(train: Interactions) -> None:
    model = Ensemble(**PAIR).fit(train)
    assert model.chosen["weights"] == [0.9, 0.1]
    np.testing.assert_allclose(model.scorer.weights, [[0.9, 0.1]])
    three = Ensemble(members=("svd", "ease", "popularity")).fit(train)
    assert three.chosen["weights"] == [0.9, 0.05, 0.05]
    assert Ensemble(members=("ease",)).fit(train).scorer.weights.shape == (1, 1)


def test_scores_are_those_of_members_fitted_alone(train: Interactions) -> None:
    model = Ensemble(**PAIR, weights=(0.7, 0.3)).fit(train)
    histories = Histories.from_csr(train.csr())
    mixed = np.zeros((train.n_users, N_ITEMS))
    for weight, member in ((0.7, SVD(dim=4)), (0.3, EASE())):
        scores = member.fit(train).score(histories)
        mixed += weight * (scores - scores.mean(axis=1, keepdims=True)) / scores.std(axis=1, keepdims=True)
    found = model.score(histories, np.arange(train.n_users))
    correlation = [np.corrcoef(*rows)[0, 1] for rows in zip(found, mixed, strict=True)]
    np.testing.assert_allclose(correlation, 1, atol=1e-5)


@pytest.mark.parametrize("by", ["score", "rank"])
def test_chosen_on_valid_it_is_no_worse_there_than_any_member(train: Interactions, valid: HeldOut, by: str) -> None:
    model = Ensemble(members=("popularity", "svd", "ease"), by=by).fit(train, valid)
    reached = [valid_ndcg(member.fit(train, valid).scorer, train, valid) for member in (Popularity(), SVD(), EASE())]
    assert valid_ndcg(model.scorer, train, valid) >= max(reached) - 1e-6
    assert sum(model.chosen["weights"]) == pytest.approx(1)


def test_a_member_that_only_harms_is_dropped(train: Interactions) -> None:
    """Valid is what EASE recommends; a constant popularity can add nothing to that."""
    ease = EASE(regularization=20.0).fit(train)
    histories = Histories.from_csr(train.csr())
    items, _ = ease.top_k(histories, 5, np.arange(train.n_users), exclude=histories)
    wanted = Interactions(
        train.users, train.items, np.repeat(np.arange(train.n_users), 5), np.sort(items, axis=1).ravel()
    )
    model = Ensemble(members=("popularity", "ease"), member_settings={"ease": {"regularization": 20.0}})
    model.fit(train, held_out_of(wanted))
    assert model.chosen["weights"] == [0.0, 1.0]
    assert [type(member) for member in model.scorer.members] == [ItemScorer]
    np.testing.assert_array_equal(model.top_k(histories, 5, np.arange(train.n_users), exclude=histories)[0], items)


def test_a_member_of_no_weight_is_not_fitted(train: Interactions, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("fitted")

    monkeypatch.setattr(SVD, "_fit", refuse)
    model = Ensemble(**PAIR, weights=(0.0, 1.0)).fit(train)
    assert model.settings()["weights"] == [0.0, 1.0]
    assert len(model.scorer.members) == 1


def test_what_members_chose_stands_in_the_settings(train: Interactions, valid: HeldOut) -> None:
    model = Ensemble(**PAIR).fit(train, valid)
    chosen = EASE().fit(train, valid).chosen["regularization"]
    assert model.settings()["member_settings"]["ease"]["regularization"] == chosen
    assert model.settings()["member_settings"]["svd"] == {"dim": 4}
    again = Ensemble(**model.settings()).fit(train)
    histories = Histories.from_csr(train.csr())
    np.testing.assert_array_equal(again.score(histories), model.score(histories))


def test_a_softmax_member_in_front_makes_scores_logits(train: Interactions) -> None:
    assert Ensemble(members=("popularity", "ease")).fit(train).softmax_scores
    assert not Ensemble(members=("ease", "popularity")).fit(train).softmax_scores
    assert not Ensemble(members=("popularity", "ease"), weights=(0.0, 1.0)).fit(train).softmax_scores


def test_a_vector_member_and_known_users_are_served(train: Interactions) -> None:
    scorer = Ensemble(members=("als", "ease"), member_settings={"als": {"dim": 4}}).fit(train).scorer
    assert scorer.table_rows("user_table") == train.n_users
    assert scorer.members[0].popularity is None, "the ensemble has it once"
    alone = ALS(dim=4).fit(train)
    users = np.arange(train.n_users)
    found = scorer.score(Histories.from_csr(train.csr()), users)
    np.testing.assert_allclose(found.mean(axis=1), alone.score(Histories.empty(60), users).mean(axis=1), atol=1e-4)


# weights


def choice(reached: dict[int, float], monkeypatch: pytest.MonkeyPatch, groups: dict[int, float] | None = None) -> Any:
    """choose_weights of two members where NDCG falls off around a best share of the second, in twentieths."""
    lengths = np.repeat([2, 5, 9], 200)

    class Asked:
        def __init__(self, *_: Any) -> None:
            self.rows = np.arange(600)
            self.histories = Histories(np.concatenate([[0], np.cumsum(lengths)]), np.zeros(lengths.sum(), np.int64))

        def ndcg(self, weights: np.ndarray) -> np.ndarray:
            noise = np.random.default_rng(0).uniform(-0.01, 0.01, 600)
            best = np.array([(groups or reached)[length if groups else 0] for length in lengths])
            return (0.5 - np.abs(weights[:, 1:] * PARTS - best) / 100 + noise).astype(np.float32)

    monkeypatch.setattr(ensemble_weights, "_Asked", Asked)
    return Asked


@pytest.mark.parametrize("best", [0, 1, 3, 7, 12, 19, 20])
def test_coarse_to_fine_finds_a_single_peak(monkeypatch: pytest.MonkeyPatch, best: int) -> None:
    choice({0: best}, monkeypatch)
    pair: Any = EnsembleScorer(members=(BagScorer(item_bias=np.zeros(3)),) * 2, weights=np.ones((1, 2), np.float32))
    found = choose_weights(pair, None, None, by_history=None, progress=None)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.rows, [[1 - best / PARTS, best / PARTS]])
    assert found.group_ends == ()


def chosen_of_three(second: float, third: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Weights:
    """choose_weights where every user needs the first member, and gains by some of the others."""

    class Asked:
        def __init__(self, *_: Any) -> None:
            self.rows = np.arange(len(third))
            self.histories = Histories(np.arange(len(third) + 1), np.zeros(len(third), np.int64))

        def ndcg(self, weights: np.ndarray) -> np.ndarray:
            first, others = 0.2 * (weights[:, :1] > 0), 1e-5 * weights[:, 1:].sum(axis=1, keepdims=True)
            gains = second * (weights[:, 1:2] > 0) + third * (weights[:, 2:] > 0)
            return (0.5 + first + gains - others).astype(np.float32)

    monkeypatch.setattr(ensemble_weights, "_Asked", Asked)
    three: Any = EnsembleScorer(members=(BagScorer(item_bias=np.zeros(3)),) * 3, weights=np.ones((1, 3), np.float32))
    return choose_weights(three, None, None, by_history=False, progress=None)  # type: ignore[arg-type]


def test_a_member_that_gains_less_than_the_standard_error_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.tile([0.1, -0.1], 200)  # standard error .005
    assert chosen_of_three(0.02, noise + 0.004, monkeypatch).rows.astype(bool).tolist() == [[True, True, False]]
    assert chosen_of_three(0.02, noise + 0.006, monkeypatch).rows.astype(bool).tolist() == [[True, True, True]]
    assert chosen_of_three(0.0, noise + 0.004, monkeypatch).rows.tolist() == [[1.0, 0.0, 0.0]]


def test_groups_of_history_get_their_own_weights_where_that_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    choice({}, monkeypatch, groups={2: 16, 5: 8, 9: 0})
    pair: Any = EnsembleScorer(members=(BagScorer(item_bias=np.zeros(3)),) * 2, weights=np.ones((1, 2), np.float32))

    def chosen(by_history: bool | None) -> Weights:
        return choose_weights(pair, None, None, by_history=by_history, progress=None)  # type: ignore[arg-type]

    for by_history in (None, True):
        assert chosen(by_history).group_ends == (2, 5)
        np.testing.assert_allclose(chosen(by_history).rows[:, 1] * PARTS, [16, 8, 0])
    assert len(chosen(False).rows) == 1


def test_a_gain_that_is_noise_is_no_gain() -> None:
    draw = np.random.default_rng(3)
    groups = np.repeat([0, 1, 2], 400)
    alike = np.tile(draw.random(1200), (12, 1)) + draw.normal(0, 0.1, (12, 1200))
    verdicts = [ensemble_weights._gains(draw.permuted(alike, axis=1), groups) for _ in range(20)]
    assert sum(verdicts) <= 6, "one in six is beyond one standard error by chance"
    clear = alike.copy()
    clear[0, groups == 0] += 0.3
    clear[1, groups == 2] += 0.3
    assert ensemble_weights._gains(clear, groups)


def test_few_users_are_not_cut_into_groups() -> None:
    assert ensemble_weights._thirds(np.arange(299)) == ()
    assert ensemble_weights._thirds(np.arange(300)) == (99, 199)
    assert ensemble_weights._thirds(np.full(900, 7)) == ()


def test_what_is_chosen_by_is_what_the_ensemble_then_reaches(train: Interactions, valid: HeldOut) -> None:
    scorer = Ensemble(**PAIR, weights=(0.6, 0.4)).fit(train).scorer
    per_user = ensemble_weights._Asked(scorer, train, valid).ndcg(np.array([[0.6, 0.4], [1.0, 0.0]]))
    assert per_user.shape == (2, train.n_users)
    assert per_user[0].mean() == pytest.approx(valid_ndcg(scorer, train, valid), abs=1e-6)
    assert per_user[1].mean() == pytest.approx(valid_ndcg(SVD(dim=4).fit(train).scorer, train, valid), abs=1e-6)


def test_tiles_of_users_change_nothing(train: Interactions, valid: HeldOut, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = Ensemble(**PAIR, weights=(0.6, 0.4)).fit(train).scorer
    whole = ensemble_weights._Asked(scorer, train, valid).ndcg(np.array([[0.5, 0.5]]))
    monkeypatch.setattr(ensemble_weights, "TILE_FLOATS", 7 * N_ITEMS)
    np.testing.assert_array_equal(ensemble_weights._Asked(scorer, train, valid).ndcg(np.array([[0.5, 0.5]])), whole)


def test_rows_of_weights_go_by_history(train: Interactions) -> None:
    model = Ensemble(**PAIR, weights=((1, 0), (0, 1)), group_ends=(4,)).fit(train)
    assert model.settings()["weights"] == [[1.0, 0.0], [0.0, 1.0]]
    given = Histories.from_lists([[1, 2, 3], [1, 2, 3, 4, 5]])
    found = model.score(given).argsort(axis=1)
    np.testing.assert_array_equal(found[0], SVD(dim=4).fit(train).score(given)[0].argsort())
    np.testing.assert_array_equal(found[1], EASE().fit(train).score(given)[1].argsort())
    again = Ensemble(**model.settings()).fit(train)
    np.testing.assert_array_equal(again.score(given), model.score(given))


def test_a_valid_part_without_relevant_items_is_refused(train: Interactions) -> None:
    nothing = HeldOut(
        train.users.ids(), np.arange(train.n_users), csr_matrix(train.csr().shape), np.zeros(train.n_users, int)
    )
    with pytest.raises(ConfigError, match="no user has a relevant item"):
        Ensemble(members=("svd", "popularity")).fit(train, nothing)


# settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"members": ()}, "name each kind once, at least one"),
        ({"members": ("ease", "ease")}, "name each kind once"),
        ({"members": ("ease", "ensemble")}, "an ensemble cannot be a member"),
        ({"members": ("ease", "twotower")}, r"no model 'twotower'. Did you mean 'two_tower'\?"),
        ({"member_settings": {"eas": {}}}, r"no member 'eas'. Did you mean 'ease'\?"),
        ({"member_settings": {"ease": 5}}, "member_settings.ease = 5: expected settings by name"),
        ({"member_settings": {"ease": {"regularisation": 5.0}}}, "Did you mean 'regularization'"),
        ({"weights": (1.0,)}, "give 2 numbers, one for each of"),
        ({"weights": (1.0, -0.5)}, "give numbers from 0"),
        ({"weights": (0.0, 0.0)}, "not all of them 0"),
        ({"weights": ((1.0, 0.0),), "group_ends": (5,)}, "give 2 rows of 2"),
        ({"group_ends": (5,)}, "rising lengths from 0, and a row of weights for each"),
        ({"group_ends": (5, 5), "weights": ((1.0, 0.0),) * 3}, "rising lengths"),
        ({"by": "vote"}, "expected one of score, rank"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Ensemble(**settings)


# cut to a student's size


def test_the_cut_is_of_the_first_member_that_has_a_map(train: Interactions) -> None:
    model = Ensemble(members=("popularity", "ease", "svd"), weights=(0.2, 0.5, 0.3)).fit(train)
    cut, want = teacher_svd(model, 5), teacher_svd(EASE().fit(train), 5)
    given = Histories.from_csr(train.csr())
    np.testing.assert_allclose(cut.score(given), want.score(given), atol=1e-4)
    nobody = Histories.empty(1)
    np.testing.assert_array_equal(cut.score(nobody), model.score(nobody))
    with pytest.raises(ConfigError, match="nothing can be cut"):
        teacher_svd(Ensemble(members=("popularity",)).fit(train), 5)


@pytest.mark.parametrize("dim", [3, 20])
def test_a_low_rank_map_is_cut_as_the_whole_map_is(dim: int) -> None:
    """By a few directions of a map that is never made, and by all where the dimension is not far below the items."""
    draw = np.random.default_rng(4)
    table = (draw.standard_normal((60, 8)) * np.linspace(3, 0.5, 8)).astype(np.float32)
    weight = draw.uniform(0.5, 2, 60).astype(np.float32)
    whole = table @ table.T * weight
    np.fill_diagonal(whole, 0)
    low = LowRankScorer(item_table=CodedTable.of(table), item_weight=weight)
    given = Histories.from_lists([[3, 4], [50]])
    cut, want = teacher_svd(low, dim), teacher_svd(ItemScorer(item_to_item=CodedTable.of(whole)), dim)
    np.testing.assert_allclose(cut.score(given), want.score(given), rtol=1e-3, atol=1e-3)
