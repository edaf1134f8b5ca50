"""The two-tower model: what it learns, what it repeats, what it refuses."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from recdistill.data.interactions import HeldOut, Interactions
from recdistill.errors import ConfigError
from recdistill.knowledge.distill import distill
from recdistill.knowledge.store import Knowledge
from recdistill.models.base import valid_ndcg
from recdistill.models.ease import EASE
from recdistill.models.popularity import Popularity
from recdistill.models.registry import MODELS
from recdistill.models.svd_cut import teacher_svd
from recdistill.models.two_tower import TwoTower
from recdistill.models.two_tower_rules import LogFacts, candidates, plan
from recdistill.serving.bag import BagScorer
from recdistill.serving.histories import Histories

QUICK = {"dim": 8, "epochs": 60, "learning_rate": 0.02}
GROUPS, EACH, USERS = 3, 10, 90


def blocks(seed: int = 0) -> tuple[Interactions, HeldOut]:
    """Users of three tastes, ten items each; six train rows of the own taste; the other four are wanted."""
    draw = np.random.default_rng(seed)
    picks = np.stack([draw.permutation(EACH) + EACH * (user % GROUPS) for user in range(USERS)])
    users = np.repeat(np.arange(USERS), 6)
    train = Interactions.from_ids(users, picks[:, :6].ravel())
    wanted = np.repeat(np.arange(USERS), 4), picks[:, 6:].ravel()
    relevant = csr_matrix((np.ones(4 * USERS, np.float32), wanted), shape=(USERS, GROUPS * EACH))
    return train, HeldOut(np.arange(USERS), np.arange(USERS), relevant, np.full(USERS, 4))


@pytest.fixture(scope="module")
def log() -> tuple[Interactions, HeldOut]:
    return blocks()


@pytest.fixture(scope="module")
def teacher(log: tuple[Interactions, HeldOut]) -> TwoTower:
    return TwoTower(**QUICK).fit(log[0])


@pytest.fixture(scope="module")
def knowledge(log: tuple[Interactions, HeldOut], teacher: TwoTower) -> Knowledge:
    return Knowledge.extract(teacher, log[0], top_k=12)


def lists_only(known: Knowledge) -> Knowledge:
    return replace(known, user_vectors=None, item_vectors=None, item_bias=None)


def arrays_equal(a: BagScorer, b: BagScorer) -> bool:
    return all(np.array_equal(a.arrays()[name], b.arrays()[name]) for name in a.arrays())


@pytest.mark.parametrize("table", ["full", "tied"])
@pytest.mark.parametrize("user_id", [True, False])
def test_blocks_of_taste_are_learned(log: tuple[Interactions, HeldOut], table: str, user_id: bool) -> None:
    train, held = log
    model = TwoTower(**QUICK, table=table, user_id=user_id).fit(train)
    assert valid_ndcg(model.scorer, train, held, 4) > 0.9


@pytest.mark.parametrize("form", ["vectors", "lists"])
def test_a_student_learns_from_vectors_and_from_lists(
    log: tuple[Interactions, HeldOut], knowledge: Knowledge, form: str
) -> None:
    train, held = log
    known = knowledge if form == "vectors" else lists_only(knowledge)
    student = TwoTower(**{**QUICK, "dim": 4}, user_id=False, label_share=0.0).distil(train, known)
    assert valid_ndcg(student.scorer, train, held, 4) > 0.9


def test_soft_labels_bring_the_student_to_the_teachers_beliefs(
    log: tuple[Interactions, HeldOut], knowledge: Knowledge
) -> None:
    train, _ = log
    settings = {**QUICK, "user_id": False, "history_dropout": 0.0}
    known = TwoTower(**settings, label_share=0.0, unseen_only=False).distil(train, knowledge)
    alone = TwoTower(**settings).fit(train)
    histories = Histories.from_csr(train.csr())
    logits = knowledge.user_vectors @ knowledge.item_vectors.T + knowledge.item_bias  # type: ignore[union-attr, operator]
    believed = torch.from_numpy(logits).log_softmax(1)

    def divergence(model: TwoTower) -> float:
        said = torch.from_numpy(model.score(histories)).log_softmax(1)
        return float((believed.exp() * (believed - said)).sum(1).mean())

    assert divergence(known) < 0.5 * divergence(alone)


@pytest.mark.parametrize("distilled", [False, True])
def test_the_same_seed_gives_the_same_bits(
    log: tuple[Interactions, HeldOut], knowledge: Knowledge, distilled: bool
) -> None:
    train, _ = log

    def fitted(seed: int) -> BagScorer:
        model = TwoTower(**{**QUICK, "epochs": 3}, user_id=False, history_dropout=0.3)
        model = model.distil(train, knowledge, seed=seed) if distilled else model.fit(train, seed=seed)
        return model.scorer  # type: ignore[return-value]

    assert arrays_equal(fitted(1), fitted(1))
    assert not arrays_equal(fitted(1), fitted(2))


def test_looking_at_valid_changes_nothing_that_is_not_searched(log: tuple[Interactions, HeldOut]) -> None:
    train, held = log
    settings = {**QUICK, "epochs": 4, "user_id": False, "history_dropout": 0.2, "label_share": 0.3}
    with_valid = TwoTower(**settings).fit(train, held)
    without = TwoTower(**settings).fit(train)
    assert arrays_equal(with_valid.scorer, without.scorer)  # type: ignore[arg-type]
    assert with_valid.chosen == {}


def test_what_is_chosen_on_valid_refits_to_the_same_model(log: tuple[Interactions, HeldOut]) -> None:
    train, held = log
    searched = TwoTower(dim=4, user_id=False, epochs=3).fit(train, held)
    assert set(searched.chosen) == {"history_dropout", "label_share", "learning_rate"}
    again = TwoTower(**searched.settings()).fit(train)
    assert arrays_equal(searched.scorer, again.scorer)  # type: ignore[arg-type]


def test_the_first_candidate_leaves_more_to_labels_where_histories_are_long_and_students_small() -> None:
    def first(mean_history: int, dim: int) -> tuple[float, float]:
        found = candidates(TwoTower(dim=dim, user_id=False).config, LogFacts(1000, 500, 1000 * mean_history))[0]
        return found["history_dropout"], found["label_share"]

    assert first(20, 32) == first(5, 16) == (0.1, 0.1)
    assert first(60, 32) == first(200, 64) == (0.2, 0.2)
    assert first(60, 16) == (0.2, 0.3)
    assert 0.1 < first(35, 32)[1] < 0.2


def test_student_and_student_alone_choose_among_the_same_settings() -> None:
    config = TwoTower(dim=32, user_id=False).config
    facts = LogFacts(6000, 3000, 800_000)
    assert candidates(config, facts) == candidates(config, facts)
    assert len(candidates(config, facts)) > 1
    assert candidates(TwoTower().config, facts) == [{}]
    assert plan(config, facts, distilled=True).epochs == plan(config, facts, distilled=False).epochs


def test_a_history_is_a_set(teacher: TwoTower) -> None:
    one, two = Histories.from_lists([[1, 2, 5]]), Histories.from_lists([[9, 11], [5, 2, 1]])
    np.testing.assert_allclose(teacher.score(one)[0], teacher.score(two)[1], rtol=1e-5)


def test_a_person_of_whom_nothing_is_known_gets_what_is_popular(
    teacher: TwoTower, log: tuple[Interactions, HeldOut]
) -> None:
    popular = Popularity().fit(log[0]).score(Histories.empty(1))
    np.testing.assert_allclose(teacher.score(Histories.empty(1)), popular, rtol=1e-3)  # in half floats


def test_popularity_changes_nobody_else(teacher: TwoTower) -> None:
    without = dataclasses.replace(teacher.scorer, popularity=None)  # type: ignore[type-var]
    known = Histories.from_lists([[1, 2, 5], []])
    rows = np.array([-1, 0])  # the second has no history, but a row of her own
    np.testing.assert_array_equal(without.score(known, rows), teacher.score(known, rows))


def test_an_unknown_user_is_served_from_the_history(teacher: TwoTower) -> None:
    history = Histories.from_lists([[0, 1, 2]])
    unknown, nobody = teacher.score(history, np.array([-1])), teacher.score(history)
    np.testing.assert_array_equal(unknown, nobody)
    assert not np.array_equal(unknown, teacher.score(history, np.array([0])))


def test_distilling_leaves_the_knowledge_as_it_was(log: tuple[Interactions, HeldOut], knowledge: Knowledge) -> None:
    assert knowledge.item_vectors is not None
    assert knowledge.user_vectors is not None
    before = knowledge.item_vectors.copy(), knowledge.user_vectors.copy(), knowledge.top_scores.copy()
    TwoTower(dim=4, epochs=2, user_id=False).distil(log[0], knowledge)
    np.testing.assert_array_equal(before[0], knowledge.item_vectors)
    np.testing.assert_array_equal(before[1], knowledge.user_vectors)
    np.testing.assert_array_equal(before[2], knowledge.top_scores)


@pytest.mark.parametrize(
    "pairs",
    [[(0, 0), (1, 0)], [(0, 0), (0, 1), (1, 0)], [(u, 0) for u in range(5)], [(u, u % 2) for u in range(7)]],
    ids=["one item", "two items", "one item, five users", "a row each"],
)
def test_tiny_logs_give_finite_scores(pairs: list[tuple[int, int]]) -> None:
    users, items = zip(*pairs, strict=True)
    train = Interactions.from_ids(users, items)
    teacher = TwoTower(dim=8, epochs=3).fit(train)
    known = Knowledge.extract(teacher, train, top_k=2)
    student = TwoTower(dim=4, epochs=3, user_id=False).distil(train, known)
    for model in (teacher, student):
        assert np.isfinite(model.score(Histories.from_csr(train.csr()))).all()


def test_full_tables_of_three_thousand_items_and_32_dimensions_fit_in_800_kilobytes() -> None:
    items, dim = 3043, 32
    users = np.arange(items)
    model = TwoTower(dim=dim, user_id=False, epochs=1, table="full", batch_users=items).fit(
        Interactions.from_ids(users % 40, users)
    )
    assert model.scorer.nbytes <= 800_000


def test_the_svd_cut_at_full_width_is_the_teacher_without_its_user_table(
    log: tuple[Interactions, HeldOut], teacher: TwoTower
) -> None:
    histories = Histories.from_csr(log[0].csr())
    whole = teacher_svd(teacher, teacher.config.dim)
    assert whole.user_table is None
    np.testing.assert_allclose(whole.score(histories), teacher.score(histories), atol=1e-4)


def test_the_svd_cut_holds_the_best_map_of_its_rank(teacher: TwoTower) -> None:
    scorer = teacher.scorer
    assert isinstance(scorer, BagScorer)
    assert scorer.item_table is not None
    items = scorer.item_table.matrix()
    teachers_map = items * scorer.history_weight[:, None] @ items.T  # type: ignore[index]
    left, values, right = np.linalg.svd(teachers_map)
    cut = teacher_svd(scorer, 3)
    assert cut.dimension == 3
    found = cut.history_table.matrix() @ cut.item_table.matrix().T  # type: ignore[union-attr]
    np.testing.assert_allclose(found, left[:, :3] * values[:3] @ right[:3], atol=1e-4)


def test_the_svd_cut_of_ease_approaches_ease(log: tuple[Interactions, HeldOut]) -> None:
    train, _ = log
    histories = Histories.from_csr(train.csr())
    teacher = EASE(regularization=5.0).fit(train)
    gaps = [np.abs(teacher_svd(teacher, dim).score(histories) - teacher.score(histories)).max() for dim in (3, 15, 30)]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 1e-4


@pytest.mark.parametrize("kind", ["ease", "als", "svd"])
def test_the_svd_cut_answers_strangers_as_its_teacher_does(log: tuple[Interactions, HeldOut], kind: str) -> None:
    teacher = MODELS[kind]().fit(log[0])
    nobody = Histories.empty(1)
    np.testing.assert_array_equal(teacher_svd(teacher, 4).score(nobody), teacher.score(nobody))
    np.testing.assert_array_equal(teacher.score(nobody), Popularity().fit(log[0]).score(nobody))


def test_a_teacher_without_an_item_map_cannot_be_cut(log: tuple[Interactions, HeldOut]) -> None:
    with pytest.raises(ConfigError, match="neither an item-to-item map nor item vectors"):
        teacher_svd(Popularity().fit(log[0]), 4)


def test_knowledge_of_another_log_is_refused(knowledge: Knowledge) -> None:
    other = Interactions.from_ids([0, 1], [0, 1])
    with pytest.raises(ConfigError, match="Extract it from this training log"):
        TwoTower(dim=4, user_id=False).distil(other, knowledge)


@pytest.mark.parametrize(
    "settings",
    [{"dim": 0}, {"tau": 0.0}, {"label_share": 1.5}, {"history_dropout": 1.0}, {"epochs": 0}, {"learning_rate": -1.0}],
    ids=lambda s: next(iter(s)),
)
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        TwoTower(**settings)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_and_cpu_give_the_same_metric(log: tuple[Interactions, HeldOut], knowledge: Knowledge) -> None:
    train, held = log
    found = [
        valid_ndcg(TwoTower(**QUICK, user_id=False).distil(train, knowledge, device=device).scorer, train, held)
        for device in ("cpu", "cuda")
    ]
    assert abs(found[0] - found[1]) < 1e-3


@pytest.mark.parametrize("table", ["tied", "full"])
def test_a_sample_of_the_items_teaches_as_all_of_them_do(log: tuple[Interactions, HeldOut], table: str) -> None:
    train, held = log
    settings = {**QUICK, "table": table, "batch_users": 30, "negatives": 8}
    assert valid_ndcg(TwoTower(**settings).fit(train, seed=1).scorer, train, held, k=10) > 0.95


@pytest.mark.parametrize("lists", [False, True])
def test_a_student_is_taught_over_a_sample_of_the_items(
    log: tuple[Interactions, HeldOut], knowledge: Knowledge, lists: bool
) -> None:
    """Soft labels alone: what the student knows it has from the teacher."""
    train, held = log
    known = lists_only(knowledge) if lists else knowledge
    settings = {**QUICK, "user_id": False, "batch_users": 30, "negatives": 8, "label_share": 0.0, "table": "tied"}
    student = TwoTower(**settings).distil(train, known, seed=1)
    assert valid_ndcg(student.scorer, train, held, k=10) > 0.9


def test_a_sample_leaves_rows_that_it_does_not_show_as_they_are() -> None:
    train, _ = blocks()
    settings = {**QUICK, "epochs": 1, "batch_users": 1, "user_id": False, "table": "tied"}
    lonely = Interactions.from_ids(["a", "a"], [0, 1])
    wide = replace(lonely, items=train.items)
    start = TwoTower(**{**settings, "learning_rate": 1e-9}, negatives=1).fit(wide, seed=0).scorer
    trained = TwoTower(**settings, negatives=1).fit(wide, seed=0).scorer
    moved = np.abs(trained.item_vectors() - start.item_vectors()).max(1) > 1e-6
    assert moved[:2].all()
    assert moved.sum() <= 3  # two used ones and one drawn


def test_all_items_are_shown_where_they_are_few() -> None:
    facts = LogFacts(users=1000, items=20_000, rows=30_000)
    many = LogFacts(users=1000, items=1_000_000, rows=30_000)
    assert plan(TwoTower().config, facts, distilled=False).negatives is None
    assert plan(TwoTower().config, many, distilled=False).negatives == 8192
    assert plan(TwoTower(negatives=0).config, many, distilled=False).negatives is None
    assert plan(TwoTower(negatives=500).config, facts, distilled=False).negatives == 500
    with pytest.raises(ConfigError, match="negatives = -1: give 0 for all items"):
        TwoTower(negatives=-1)
    with pytest.raises(ConfigError, match="negatives = 10 with item_features"):
        TwoTower(negatives=10, item_features=True)


def cycles(seed: int = 0, users: int = 200, items: int = 12, length: int = 5) -> tuple[Interactions, HeldOut]:
    """Everybody goes round the same circle from somewhere: what comes next follows from the last item alone.

    Steps are of one and, at times, of two, so that sets of items say less than their order.
    """
    draw = np.random.default_rng(seed)
    steps = np.cumsum(1 + (draw.random((users, length + 1)) < 0.1), axis=1)
    paths = (draw.integers(items, size=(users, 1)) + steps) % items
    ids = np.repeat(np.arange(users), length)
    train = Interactions.from_ids(ids, paths[:, :-1].ravel(), np.tile(np.arange(length), users))
    relevant = csr_matrix((np.ones(users, np.float32), (np.arange(users), paths[:, -1])), shape=(users, items))
    when = np.full(users, length)
    return train, HeldOut(np.arange(users), np.arange(users), relevant, np.ones(users, np.int64), relevant_times=when)


ORDERED = {"dim": 8, "epochs": 80, "learning_rate": 0.02}


def test_order_is_chosen_on_valid_where_it_tells_what_comes_next() -> None:
    train, valid = cycles()
    model = TwoTower(**ORDERED).fit(train, valid)
    assert model.chosen == {"order": True}
    assert isinstance(model.scorer, BagScorer)
    weights = model.scorer.place_weight
    assert weights is not None
    assert weights[0] > 1.3 * weights[2]  # the last item counts the most
    assert model.scorer.user_table is None
    without = TwoTower(**ORDERED, order=False).fit(train)
    assert valid_ndcg(model.scorer, train, valid) > 0.05 + valid_ndcg(without.scorer, train, valid)
    again = TwoTower(**model.settings()).fit(train)  # as a run fits it on all rows
    np.testing.assert_array_equal(again.item_vectors(), model.item_vectors())


def test_order_is_not_tried_where_valid_rows_came_before_train_rows() -> None:
    train, valid = cycles()
    assert LogFacts.of(train, valid).asks_next
    assert not LogFacts.of(train).asks_next
    before = replace(valid, relevant_times=np.full(len(valid), 1))
    assert candidates(TwoTower().config, LogFacts.of(train, before)) == [{}]
    assert candidates(TwoTower().config, LogFacts.of(train, valid)) == [{"order": False}, {"order": True}]
    assert TwoTower(dim=2, epochs=1).fit(train, before).chosen == {}


def test_a_log_without_times_has_no_order_to_choose(log: tuple[Interactions, HeldOut]) -> None:
    assert candidates(TwoTower().config, LogFacts.of(log[0])) == [{}]
    with pytest.raises(ConfigError, match="order = true, and the log has no times"):
        TwoTower(**QUICK, order=True).fit(log[0])


def test_order_is_refused_where_nobody_used_two_items() -> None:
    alone = Interactions.from_ids(np.arange(9), np.arange(9) % 3, np.arange(9))
    with pytest.raises(ConfigError, match="nobody has used two items"):
        TwoTower(dim=2, epochs=1, order=True).fit(alone)


def test_a_student_learns_order_from_its_teacher_and_answers_by_it() -> None:
    train, valid = cycles()
    teacher = TwoTower(**ORDERED, order=True).fit(train)
    known = Knowledge.extract(teacher, train)
    student = TwoTower(dim=4, epochs=80, user_id=False, order=True, label_share=0.1).distil(train, known)
    assert isinstance(student.scorer, BagScorer)
    assert student.scorer.place_weight is not None
    assert student.scorer.place_weight[0] > 1.2 * student.scorer.place_weight[2]
    of_a_set = TwoTower(dim=4, epochs=80, user_id=False, label_share=0.1).distil(train, known)
    assert valid_ndcg(student.scorer, train, valid) > valid_ndcg(of_a_set.scorer, train, valid)
    forwards, backwards = Histories.from_lists([[0, 1, 2]]), Histories.from_lists([[2, 1, 0]])
    scores = student.score(Histories.from_lists([[0, 1, 2], [2, 1, 0]]))
    np.testing.assert_allclose(scores[:1], student.score(forwards), rtol=1e-5)
    assert not np.allclose(student.score(forwards), student.score(backwards), atol=1e-3)


def test_methods_teach_a_student_in_order_by_its_labels_at_a_moment() -> None:
    train, _ = cycles()
    known = Knowledge.extract(TwoTower(**ORDERED, order=True).fit(train), train)
    student = TwoTower(dim=4, epochs=60, user_id=False, order=True)
    distill(known, student=student, on=train, method="soft_kl_topk")
    assert isinstance(student.scorer, BagScorer)
    assert student.scorer.place_weight is not None
    assert student.scorer.place_weight[0] > 1.2 * student.scorer.place_weight[2]


def test_a_batch_in_which_nobody_used_two_items_changes_nothing_and_breaks_nothing() -> None:
    users = np.array([0, 1, 1, 2, 3, 4, 5])
    train = Interactions.from_ids(users, np.arange(7) % 4, np.arange(7))
    model = TwoTower(dim=2, epochs=2, batch_users=1, order=True).fit(train)
    assert np.isfinite(model.item_vectors()).all()
