"""Side features in the two-tower model: what they add to rows, items that the log never saw, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy.sparse import csr_matrix

from recdistill.data.interactions import HeldOut, Interactions
from recdistill.data.split import Split
from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError, DataError
from recdistill.evaluation.evaluate import evaluate
from recdistill.features import Feature, Features
from recdistill.features.table import TYPES
from recdistill.knowledge.store import Knowledge
from recdistill.models.base import valid_ndcg
from recdistill.models.towers import Towers
from recdistill.models.two_tower import TwoTower
from recdistill.models.two_tower_features import FeatureRows, OwnRowDropout, Sides
from recdistill.serving.bag import BagScorer
from recdistill.serving.histories import Histories
from recdistill.serving.recommender import Recommender
from recdistill.training.batches import Batch, UserBatches

QUICK: dict[str, Any] = {"dim": 8, "epochs": 40, "learning_rate": 0.02}
WITH: dict[str, Any] = {**QUICK, "item_features": True}
GROUPS, EACH, USERS, COLD = 3, 14, 90, 12
"""Of the items of each taste the last `COLD // GROUPS` are cold."""
GENRES = ("comedy", "crime", "drama")


def taste_of(item: int) -> int:
    return item % GROUPS


def item_table(ids: range | list[int], genres: list[str | None] | None = None) -> Features:
    genres = [GENRES[taste_of(item)] for item in ids] if genres is None else genres
    words = [None if one is None else f"a {one} of item {item}" for item, one in zip(ids, genres, strict=True)]
    columns = {
        "genre": Feature("category", pa.array(genres, TYPES["category"])),
        "title": Feature("text", pa.array(words, TYPES["text"])),
    }
    return Features(Vocab(list(ids)), columns, "title", "items.csv")


N_ITEMS = GROUPS * EACH
N_WARM = N_ITEMS - COLD


def tastes(seed: int = 0) -> Interactions:
    """Every user has used six warm items of one taste; the genre tells it, also of items that no one has used."""
    draw = np.random.default_rng(seed)
    warm = [[item for item in range(N_WARM) if taste_of(item) == taste] for taste in range(GROUPS)]
    picks = np.stack([draw.choice(warm[user % GROUPS], 6, replace=False) for user in range(USERS)])
    log = Interactions.from_ids(np.repeat(np.arange(USERS), 6), picks.ravel())
    assert log.n_items == N_WARM
    return replace(log, item_features=item_table(range(N_ITEMS)))


def wanted(log: Interactions) -> HeldOut:
    """The cold items of each user's taste, among all items."""
    rows = [(user, item) for user in range(USERS) for item in range(N_WARM, N_ITEMS) if taste_of(item) == user % GROUPS]
    users, items = np.array(rows).T
    relevant = csr_matrix((np.ones(len(rows), np.float32), (users, items)), shape=(USERS, N_ITEMS))
    return HeldOut(log.users.ids(), np.arange(USERS), relevant, np.diff(relevant.indptr))


def whole_catalogue(log: Interactions, items: Vocab) -> Interactions:
    return replace(log, items=items, item_features=None)


def arrays_equal(a: Any, b: Any) -> bool:
    one, two = a.scorer.arrays(), b.scorer.arrays()
    return one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)


@pytest.fixture(scope="module")
def log() -> Interactions:
    return tastes()


@pytest.fixture(scope="module")
def model(log: Interactions) -> TwoTower:
    return TwoTower(**WITH).fit(log, device="cpu")


@pytest.mark.parametrize("setting", [None, False])
def test_features_that_are_not_asked_for_change_nothing(log: Interactions, setting: bool | None) -> None:
    quick = {**QUICK, "epochs": 3}
    plain = TwoTower(**quick).fit(replace(log, item_features=None), device="cpu")
    beside = TwoTower(**quick, item_features=setting, user_features=setting).fit(log, device="cpu")
    assert arrays_equal(plain, beside)
    assert "item_features" not in plain.settings()


@pytest.mark.parametrize("table", ["tied", "full"])
@pytest.mark.parametrize("user_id", [True, False])
def test_new_items_of_the_own_taste_come_before_those_of_others(log: Interactions, table: str, user_id: bool) -> None:
    model = TwoTower(**WITH, table=table, user_id=user_id).fit(log, device="cpu")
    wide = model.extended(log.item_features)  # type: ignore[arg-type]
    assert wide.train_vocab.items == Vocab(np.arange(N_ITEMS))
    scores = wide.score(Histories.from_csr(log.csr()), np.arange(USERS))[:, N_WARM:]
    own = np.array([[taste_of(item) == user % GROUPS for item in range(N_WARM, N_ITEMS)] for user in range(USERS)])
    assert (np.where(own, scores, np.inf).min(axis=1) > np.where(own, -np.inf, scores).max(axis=1)).mean() > 0.95


def test_the_widened_model_is_evaluated_among_all_items(log: Interactions, model: TwoTower) -> None:
    wide = model.extended(log.item_features)  # type: ignore[arg-type]
    split = Split(whole_catalogue(log, wide.train_vocab.items), None, wanted(log), "given")
    found = evaluate({"wide": wide}, split, ["recall@10"])
    assert found.n_items == N_ITEMS
    # of ten places at most eight go to the unseen warm items of the taste; chance is 10 of 36
    assert found.metrics["wide"]["recall@10"] > 0.5
    buried = evaluate({"wide": model.extended(log.item_features, margin=100.0)}, split, ["recall@4"])  # type: ignore[arg-type]
    assert buried.metrics["wide"]["recall@4"] == 0.0


def test_the_widened_model_is_asked_for_knowledge(log: Interactions, model: TwoTower) -> None:
    wide = model.extended(log.item_features)  # type: ignore[arg-type]
    known = Knowledge.extract(wide, whole_catalogue(log, wide.train_vocab.items), top_k=12)
    assert known.n_items == N_ITEMS
    assert (known.top_items >= N_WARM).any()


def test_new_items_join_a_recommender_as_they_join_the_model(
    log: Interactions, model: TwoTower, tmp_path: Path
) -> None:
    cold = model.cold_item_vectors(log.item_features)  # type: ignore[arg-type]
    assert cold.ids == list(range(N_WARM, N_ITEMS))
    assert cold.vectors.dtype == cold.bias.dtype == np.float32
    joined = Recommender.load(model.save(tmp_path / "model")).with_items(cold.ids, cold.vectors, bias=cold.bias)
    wide = Recommender.load(model.extended(log.item_features).save(tmp_path / "wide"))  # type: ignore[arg-type]
    asked: dict[str, Any] = {"history": [0, 3], "k": 20, "with_scores": True}
    answers = [[one._replace(title=None) for one in who.recommend(**asked)] for who in (joined, wide)]
    assert answers[0] == answers[1] and {one.item_id for one in answers[0]} & set(cold.ids)
    assert wide.titles([N_ITEMS - 1, 0]) == ["a drama of item 41", "a comedy of item 0"]
    lengths = np.linalg.norm(cold.vectors, axis=1)
    np.testing.assert_allclose(lengths, np.linalg.norm(model.item_vectors(), axis=1)[0], rtol=1e-5)


def test_the_margin_is_taken_off_the_bias(log: Interactions, model: TwoTower) -> None:
    plain, back = (model.cold_item_vectors(log.item_features, margin=margin) for margin in (0.0, 0.5))  # type: ignore[arg-type]
    np.testing.assert_allclose(plain.bias - back.bias, 0.5, rtol=1e-5)
    np.testing.assert_array_equal(plain.vectors, back.vectors)


def test_an_item_of_the_log_is_left_out_and_one_without_features_is_average(model: TwoTower) -> None:
    cold = model.cold_item_vectors(item_table([0, 1000, 1001, 1002], ["comedy", "comedy", None, "western"]))
    assert cold.ids == [1000, 1001, 1002]
    assert np.isfinite(cold.vectors).all() and np.isfinite(cold.bias).all()
    assert any("1 items are in the model's log" in note for note in cold.notes)
    assert any("of 3 rows not known: genre in 2" in note for note in cold.notes)
    assert any("1 items have no feature at all: ranked as the average item" in note for note in cold.notes)


def test_ids_of_features_may_be_strings(log: Interactions) -> None:
    ids = Vocab([f"i{item}" for item in range(N_WARM)])
    names = Features(Vocab([f"i{item}" for item in range(N_ITEMS)]), item_table(range(N_ITEMS)).columns)
    model = TwoTower(**{**WITH, "epochs": 1}).fit(replace(log, items=ids, item_features=names), device="cpu")
    assert model.cold_item_vectors(names).ids == [f"i{item}" for item in range(N_WARM, N_ITEMS)]


def test_ids_of_new_items_are_spelled_as_those_of_the_log(log: Interactions, model: TwoTower) -> None:
    table = item_table([0, 77, 78])
    spelled = replace(table, ids=Vocab(["0", "77", "78"]))
    assert model.cold_item_vectors(spelled).ids == [77, 78]
    assert model.extended(spelled).train_vocab.items.kind == "int64"
    with pytest.raises(DataError, match=r"items.csv: the item 'x1' has no number for an id"):
        model.cold_item_vectors(replace(table, ids=Vocab(["0", "77", "x1"])))
    words = replace(log, items=Vocab([str(item) for item in range(N_WARM)]))
    assert TwoTower(**{**WITH, "epochs": 1}).fit(words, device="cpu").cold_item_vectors(table).ids == ["77", "78"]


def test_the_same_seed_gives_the_same_bits(log: Interactions) -> None:
    quick = {**WITH, "epochs": 2, "feature_dropout": 0.4}
    one, again, other = (TwoTower(**quick).fit(log, seed=seed, device="cpu") for seed in (1, 1, 2))
    assert arrays_equal(one, again)
    assert not arrays_equal(one, other)


def test_dropout_changes_what_is_learned_and_zero_is_none(log: Interactions) -> None:
    quick = {**WITH, "epochs": 2}
    none, some = (TwoTower(**quick, feature_dropout=share).fit(log, device="cpu") for share in (0.0, 0.5))
    assert not arrays_equal(none, some)
    assert TwoTower(**quick).fit(log, device="cpu").settings() == {**TwoTower(**quick).settings()}


def test_a_student_is_distilled_with_features(log: Interactions, model: TwoTower) -> None:
    known = Knowledge.extract(model, log, top_k=12)
    student = TwoTower(**{**WITH, "dim": 4}, user_id=False, history_dropout=0.0).distil(log, known, device="cpu")
    assert isinstance(student.scorer, BagScorer) and student.scorer.user_table is None
    assert len(student.cold_item_vectors(log.item_features).ids) == COLD  # type: ignore[arg-type]


def test_what_is_fitted_knows_nothing_of_items_outside_the_log(log: Interactions) -> None:
    quick = {**WITH, "epochs": 2}
    fewer = replace(log, item_features=item_table(range(N_WARM)))
    assert arrays_equal(TwoTower(**quick).fit(log, device="cpu"), TwoTower(**quick).fit(fewer, device="cpu"))


def test_users_are_made_of_their_features_too(log: Interactions) -> None:
    groups = [("young", "old", None)[user % GROUPS] for user in range(USERS)]
    users = Features(log.users, {"age": Feature("category", pa.array(groups, TYPES["category"]))}, source="users.csv")
    quick = {**QUICK, "epochs": 5}
    known = replace(log, user_features=users)
    plain, made = TwoTower(**quick).fit(known), TwoTower(**quick, user_features=True).fit(known)
    assert not arrays_equal(plain, made)
    assert made.notes == ("users.csv: column 'age' (category) as 2 numbers; not known in 30 of 90 rows",)
    with pytest.raises(ConfigError, match="fitted without item features"):
        made.cold_item_vectors(log.item_features)  # type: ignore[arg-type]


def start_rows(log: Interactions) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((log.n_items, 4)).astype(np.float32)


def whole_batch(log: Interactions) -> Batch:
    batches = UserBatches(
        log.csr(), batch_users=USERS, history_power=0.5, history_dropout=0.0, generator=np.random.default_rng(0),
        device=torch.device("cpu"),
    )  # fmt: skip
    return next(iter(batches))


def towers(log: Interactions, *, tied: bool) -> Towers:
    sides = Sides.of(log, items=True, users=False)
    assert sides.items is not None
    items = start_rows(log)
    users = np.random.default_rng(1).standard_normal((log.n_users, 4)).astype(np.float32)
    side = FeatureRows(sides.items.matrix, items)
    return Towers(torch.from_numpy(items), torch.from_numpy(users), tied=tied, tau=0.2, item_side=side)


@pytest.mark.parametrize("tied", [True, False])
def test_the_scorer_ranks_as_the_towers_do(log: Interactions, tied: bool) -> None:
    made = towers(log, tied=tied)
    with torch.no_grad():
        made.bias.normal_()
        assert made.item_side is not None and made.item_side.bias_weights is not None
        made.item_side.bias_weights.normal_()
        made.item_side.weights.mul_(1.5)
    batch = whole_batch(log)
    users, items, bias = made(batch)
    rows = batch.users.numpy()
    found = made.scorer().score(Histories.from_csr(log.csr()[rows]), rows)
    np.testing.assert_allclose((users @ items.T + bias).detach().numpy(), found, rtol=1e-4, atol=1e-4)


def test_users_have_their_features_where_a_sample_of_the_items_is_scored(log: Interactions) -> None:
    users = torch.randn(USERS, 4, generator=torch.Generator().manual_seed(0))
    side = FeatureRows(np.eye(USERS, 3, dtype=np.float32), users.numpy(), bias=False)
    made = Towers(torch.from_numpy(start_rows(log)), users, tied=True, tau=0.2, user_side=side)
    batch = whole_batch(log)
    for found, want in zip(made._among(batch, torch.arange(log.n_items)), made(batch), strict=True):
        np.testing.assert_allclose(found.detach(), want.detach(), rtol=1e-5, atol=1e-6)


def test_rows_start_as_they_would_without_features(log: Interactions) -> None:
    start = start_rows(log)
    found = towers(log, tied=True).scorer().item_vectors() * 0.2
    np.testing.assert_allclose(found, start / np.linalg.norm(start, axis=1)[:, None], rtol=1e-4, atol=1e-5)


def test_an_item_that_is_not_kept_is_ranked_by_its_features_alone(log: Interactions) -> None:
    made = towers(log, tied=True)
    kept = torch.ones(log.n_items, 1)
    kept[:6] = 0.0
    assert made.item_side is not None
    said = made.item_side.rows()
    items, bias = made._items(said, kept)
    whole, _ = made._items(said, None)
    np.testing.assert_array_equal(items[6:].detach(), whole[6:].detach())
    same_genre = items[:6].detach().reshape(2, GROUPS, 4)  # beside the genre they differ in words of their own
    np.testing.assert_allclose(same_genre[0], same_genre[1], atol=1e-5)
    assert bias.shape == (log.n_items,)
    np.testing.assert_allclose(made._history(said).detach(), start_rows(log), atol=1e-5)


def test_the_share_that_loses_its_row_is_the_one_asked_for() -> None:
    draw = OwnRowDropout(20_000, 0.3, np.random.default_rng(0), torch.device("cpu"))
    one, two = draw(), draw()
    assert 1 - float(one.mean()) == pytest.approx(0.3, abs=0.02)
    assert not torch.equal(one, two)


def test_warm_items_are_ranked_as_well_as_without_features(log: Interactions, model: TwoTower) -> None:
    unseen = csr_matrix(
        np.array([[taste_of(item) == user % GROUPS for item in range(N_WARM)] for user in range(USERS)], np.float32)
        - log.csr().toarray()
    )
    held = HeldOut(log.users.ids(), np.arange(USERS), unseen, np.diff(unseen.indptr))
    assert valid_ndcg(model.scorer, log, held, 4) > 0.95


@pytest.mark.parametrize("of", ["item", "user"])
def test_a_log_of_which_nothing_else_is_known_is_refused(log: Interactions, of: str) -> None:
    bare = replace(log, item_features=None, source="log.csv")
    with pytest.raises(
        ConfigError, match=rf"{of}_features = true, and nothing is known of the {of}s of log.csv .*{of}s=…"
    ) as one:
        TwoTower(**QUICK, **{f"{of}_features": True}).fit(bare)
    assert "\n" not in str(one.value)


def test_features_that_tell_nothing_are_refused(log: Interactions) -> None:
    blank = item_table(range(N_ITEMS), [None] * N_ITEMS)
    with pytest.raises(DataError, match=r"items.csv: no feature can be used .*'genre' is left out: no row"):
        TwoTower(**WITH).fit(replace(log, item_features=blank))


def test_columns_that_are_left_out_are_noted(log: Interactions) -> None:
    table = item_table(range(N_ITEMS))
    same = Feature("number", pa.array([7.0] * N_ITEMS, TYPES["number"]))
    table = replace(table, columns={**table.columns, "same": same})
    model = TwoTower(**{**WITH, "epochs": 1}).fit(replace(log, item_features=table))
    assert "items.csv: column 'same' is left out: the same in every row that is fitted on" in model.notes


def test_what_needs_item_features_says_so(log: Interactions) -> None:
    with pytest.raises(ConfigError, match=r"fitted without item features .*item_features=True"):
        TwoTower(**{**QUICK, "epochs": 1}).fit(log).cold_item_vectors(log.item_features)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="not fitted yet"):
        TwoTower(**WITH).cold_item_vectors(log.item_features)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"feature_dropout = 0.2 without item features: set item_features = true"):
        TwoTower(feature_dropout=0.2)
    with pytest.raises(ConfigError, match=r"feature_dropout = 1.0: give a number from 0 to below 1"):
        TwoTower(item_features=True, feature_dropout=1.0)
    with pytest.raises(ConfigError, match="user_features = true with user_id = false"):
        TwoTower(user_id=False, user_features=True)


def test_a_table_without_a_new_item_is_refused(model: TwoTower) -> None:
    with pytest.raises(DataError, match=r"the model knows all its 2 items. Give features of new ones"):
        model.cold_item_vectors(item_table([0, 1]))
