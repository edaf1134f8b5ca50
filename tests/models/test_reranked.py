"""Two stages: what the second learns, from what, and that it never harms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recdistill.data.interactions import HeldOut, Interactions, binary_csr
from recdistill.data.parts import hold_out_part
from recdistill.data.splits import Split
from recdistill.data.vocab import Vocab
from recdistill.errors import ConfigError
from recdistill.evaluation.stages import stages
from recdistill.knowledge.store import Knowledge
from recdistill.models.base import valid_ndcg
from recdistill.models.ease import EASE
from recdistill.models.fitted import FittedRanker
from recdistill.models.popularity import Popularity
from recdistill.models.reranked import Reranked
from recdistill.models.reranked_training import Asked, Correction, Learner, turn_to
from recdistill.models.svd_cut import teacher_svd
from recdistill.models.two_tower import TwoTower
from recdistill.serving.perceptron import Perceptron
from recdistill.serving.recommender import Recommender
from recdistill.serving.scorers import BagScorer, Histories, RerankedScorer
from recdistill.tables.codecs import CodedTable
from tests.models.conftest import draw_log

TOWER: dict[str, Any] = {"dim": 4, "epochs": 8}
SMALL: dict[str, Any] = {"base_settings": TOWER, "depth": 8, "hidden": (8,)}


@pytest.fixture(scope="module")
def train() -> Interactions:
    return draw_log()


@pytest.fixture(scope="module")
def valid() -> HeldOut:
    csr = draw_log(seed=1).csr()
    return HeldOut(np.arange(csr.shape[0]), np.arange(csr.shape[0]), csr, np.diff(csr.indptr))


@pytest.fixture(scope="module")
def model(train: Interactions) -> Reranked:
    return Reranked(**SMALL, epochs=2).fit(train)


def asked(train: Interactions) -> tuple[Histories, np.ndarray]:
    return Histories.from_csr(train.csr()), np.arange(train.n_users)


def test_without_epochs_it_is_the_base(train: Interactions) -> None:
    model, base = Reranked(**SMALL, epochs=0).fit(train), TwoTower(**TOWER).fit(train)
    histories, rows = asked(train)
    found = model.top_k(histories, 10, rows, exclude=histories)[0]
    np.testing.assert_array_equal(found, base.top_k(histories, 10, rows, exclude=histories)[0])


def test_where_nothing_can_be_chosen_the_base_is_left_as_it_is(train: Interactions) -> None:
    base = EASE(regularization=10.0).fit(train)
    model = Reranked.over(base, depth=8, hidden=(8,)).fit(train)
    assert model.chosen["epochs"] == 0
    np.testing.assert_array_equal(model.score(*asked(train)), base.score(*asked(train)))


def test_chosen_on_valid_it_is_no_worse_there_than_its_base(train: Interactions, valid: HeldOut) -> None:
    for kind, settings in [("two_tower", TOWER), ("ease", {"regularization": 10.0}), ("popularity", {})]:
        model = Reranked(base=kind, base_settings=settings, depth=8, hidden=(8,)).fit(train, valid)
        scorer = model.scorer
        assert isinstance(scorer, RerankedScorer)
        assert valid_ndcg(scorer, train, valid) >= valid_ndcg(scorer.base, train, valid) - 1e-6
        assert model.chosen["epochs"] >= 0


def test_the_judge_sees_what_the_model_will_reach(train: Interactions, valid: HeldOut, model: Reranked) -> None:
    judge = Asked.of(model.scorer, train, valid)
    network = Correction(model.scorer.network.inputs, (8,), torch.Generator().manual_seed(0))
    assert judge.ndcg(network, 5) == pytest.approx(valid_ndcg(model.scorer.base, train, valid, k=5), abs=1e-6)
    exported = [layer.weight.matrix() for layer in model.scorer.network.layers]
    biases = [layer.bias for layer in model.scorer.network.layers]
    with torch.no_grad():
        for target, value in zip([*network.weights, *network.biases], [*exported, *biases], strict=True):
            target.copy_(torch.from_numpy(np.asarray(value)))
    assert judge.ndcg(network, 5) == pytest.approx(valid_ndcg(model.scorer, train, valid, k=5), abs=1e-6)


def test_people_of_whom_nothing_is_known_are_judged_by_the_order_of_the_base(
    train: Interactions, model: Reranked
) -> None:
    relevant = draw_log(seed=1).csr()[:2]
    history = binary_csr(np.zeros(2, np.int64), np.arange(2), relevant.shape)  # the first has a history, no row
    nobody = HeldOut(np.array([900, 901]), np.array([-1, -1]), relevant, np.diff(relevant.indptr), history)
    judge = Asked.of(model.scorer, train, nobody)
    network = Correction(model.scorer.network.inputs, (8,), torch.Generator().manual_seed(0))
    with torch.no_grad():
        network.biases[-1].fill_(1.0)
        change = judge.logits(network).numpy() - judge.pool.scores / model.scorer.unit
    np.testing.assert_allclose(change, [[1.0] * 8, [0.0] * 8], atol=1e-5)


def test_the_second_stage_counts_what_the_first_gives_too_little_weight() -> None:
    """Even users want even items. One number of the base's vectors says which are even, the others are noise."""
    draw = np.random.default_rng(0)
    even = np.where(np.arange(40) % 2 == 0, 1.0, -1.0)
    items = np.column_stack([0.3 * even, 0.5 * draw.standard_normal((40, 3))]).astype(np.float32)
    users, wanted = np.nonzero(np.add.outer(np.arange(200), np.arange(40)) % 2 == 0)
    held = draw.random(len(users)) < 0.5
    kept = Interactions(Vocab(np.arange(200)), Vocab(np.arange(40)), users[~held], wanted[~held])
    relevant = binary_csr(users[held], wanted[held], (200, 40))
    hidden = HeldOut(np.arange(200), np.arange(200), relevant, np.diff(relevant.indptr))
    base = BagScorer(item_table=CodedTable.of(items), normalize=True, scale=4.0)
    plain = RerankedScorer(
        base=base, network=Perceptron.of((np.zeros((1, 9), np.float32), np.zeros(1))), depth=20,
        item_facts=np.zeros((40, 2), np.float32),
    )  # fmt: skip
    everyone = Asked.of(plain, kept, hidden)
    half = len(everyone.user_rows) // 2
    judge = everyone.take(np.arange(half, 2 * half))
    learner = Learner(
        everyone.take(np.arange(half)), hidden=(8,), learning_rate=1e-2, weight_decay=0.0, batch_users=16, seed=0
    )
    before = judge.ndcg(learner.network, 5)
    for _ in range(10):
        learner.epoch()
    assert judge.ndcg(learner.network, 5) > before + 0.1


def test_what_was_hidden_is_asked_of_a_base_that_has_not_seen_it(
    train: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the pool from which it is to be found holds none of what was left."""
    seen: list[Interactions] = []
    fit = TwoTower.fit

    def noted(self: TwoTower, log: Interactions, *rest: Any, **more: Any) -> TwoTower:
        seen.append(log)
        return fit(self, log, *rest, **more)

    monkeypatch.setattr(TwoTower, "fit", noted)
    lessons: list[Asked] = []
    of = Asked.of.__func__  # type: ignore[attr-defined]

    def kept(cls: type[Asked], *given: Any, **more: Any) -> Asked:
        lessons.append(of(cls, *given, **more))
        return lessons[-1]

    monkeypatch.setattr(Asked, "of", classmethod(kept))
    Reranked(**SMALL, epochs=1).fit(train, seed=4)
    whole, part = seen
    rest, hidden = hold_out_part(train, 0.2, 4)
    assert whole.n_rows == train.n_rows
    np.testing.assert_array_equal(part.csr().toarray(), rest.csr().toarray())
    (lesson,) = lessons
    np.testing.assert_array_equal(lesson.wanted_count, np.diff(hidden.relevant.indptr))
    known = rest.csr().toarray()[lesson.user_rows]
    there = lesson.pool.items >= 0
    assert not np.take_along_axis(known, lesson.pool.items, 1)[there].any()


def test_a_turn_takes_vectors_to_those_of_another_basis() -> None:
    draw = np.random.default_rng(0)
    items = draw.standard_normal((40, 5)).astype(np.float32)
    basis = np.linalg.qr(draw.standard_normal((5, 5)))[0].astype(np.float32)
    np.testing.assert_allclose(items @ turn_to(items, items @ basis), items @ basis, atol=1e-5)
    noisy = items + 0.1 * draw.standard_normal((40, 5)).astype(np.float32)
    turn = turn_to(noisy, items @ basis)
    np.testing.assert_allclose(turn @ turn.T, np.eye(5), atol=1e-5)


def test_a_fitted_base_is_taken_as_it_is(train: Interactions) -> None:
    base = EASE(regularization=10.0).fit(train)
    model = Reranked.over(base, depth=8, hidden=(8,), epochs=1).fit(train)
    assert model.scorer.base is base.scorer
    assert (model.config.base, model.chosen["base_settings"]) == ("ease", base.settings())
    other = Interactions.from_ids(["a", "a", "b"], ["x", "y", "y"])
    with pytest.raises(ConfigError, match="the base was fitted on other users or items"):
        Reranked.over(base).fit(other)
    wrapped = FittedRanker.of(base, base.scorer, kind="external")
    with pytest.raises(ConfigError, match="no model 'external'"):
        Reranked.over(wrapped)


def test_both_stages_are_told(train: Interactions, valid: HeldOut, model: Reranked) -> None:
    split = Split(train=train, valid=valid, test=valid, name="given")
    found = stages(model.scorer, split, valid, k=5, seconds=0.01)
    assert found.base.metrics["ndcg@5"] == pytest.approx(valid_ndcg(model.scorer.base, train, valid, k=5))
    assert found.reranked.metrics["ndcg@5"] == pytest.approx(valid_ndcg(model.scorer, train, valid, k=5))
    assert list(found.base.metrics) == ["ndcg@5", "recall@5", "recall@8"]
    assert found.reranked.metrics["recall@5"] <= found.base.metrics["recall@8"]
    assert found.reranked.bytes > found.base.bytes
    lines = str(found).splitlines()
    assert [line.split()[0] for line in lines] == ["stage", "base", "reranked"]
    assert model.stages(split, valid, k=8).base.metrics.keys() == {"ndcg@8", "recall@8"}
    with pytest.raises(ConfigError, match="k = 9: give a number from 1 to 8, the depth"):
        model.stages(split, k=9)
    with pytest.raises(ConfigError, match="a scorer of the form 'bag' has one stage"):
        stages(model.scorer.base, split)


def test_it_teaches_by_lists_and_all_scores_and_its_cut_is_that_of_the_base(
    train: Interactions, model: Reranked
) -> None:
    known = Knowledge.extract(model, train, top_k=6)
    assert {"top_k", "scores", "all_scores"} <= known.gives
    assert model.softmax_scores
    student = TwoTower(dim=4, user_id=False, epochs=3, trials=1).distil(train, known)
    assert np.isfinite(student.score(*asked(train))).all()
    assert type(teacher_svd(model, 2)) is BagScorer


def test_a_saved_one_serves_people(train: Interactions, model: Reranked, tmp_path: Any) -> None:
    served = Recommender.load(model.save(tmp_path / "artifact"))
    histories, rows = asked(train)
    want = model.top_k(histories, 5, rows, exclude=histories)[0]
    used = train.items.ids(train.csr()[7].indices).tolist()
    assert served.recommend(used, user=7, k=5) == train.items.ids(want[7]).tolist()


def test_short_histories_leave_the_base_as_it_is() -> None:
    train = Interactions.from_ids(["a", "a", "b"], ["x", "y", "y"])
    model = Reranked(base="popularity").fit(train)
    histories = Histories.from_csr(train.csr())
    found, want = (one.top_k(histories, 2, np.arange(2))[0] for one in (model, Popularity().fit(train)))
    np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": 0}, "reranked: depth = 0"),
        ({"hidden": ()}, r"reranked: hidden = \[\]"),
        ({"hidden_share": 1.0}, r"reranked: hidden_share = 1.0"),
        ({"epochs": -1}, "reranked: epochs = -1"),
        ({"base": "reranked"}, "cannot be the base of another"),
        ({"base": "two_towers"}, "no model 'two_towers'. Did you mean 'two_tower'"),
        ({"base_settings": {"dims": 3}}, r"reranked: no setting 'two_tower.dims'. Did you mean 'dim'"),
        ({"base_settings": 3}, "base_settings"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Reranked(**settings)
