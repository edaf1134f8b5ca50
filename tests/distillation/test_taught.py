"""Every objective is fed and learned from; what is combined, and what a training repeats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from recdistill.candidates.catalogue import Catalogue
from recdistill.candidates.source import Source
from recdistill.data.interactions import HeldOut, Interactions
from recdistill.distillation import default
from recdistill.distillation.fused_feed import StandardisedFeed
from recdistill.distillation.list_feed import ListFeed, tail_mass
from recdistill.distillation.student import StudentScores, Vectors
from recdistill.distillation.taught import best_unseen
from recdistill.errors import ConfigError, KnowledgeError
from recdistill.knowledge.distill import distill
from recdistill.knowledge.store import Knowledge
from recdistill.models.base import valid_ndcg
from recdistill.models.matrix_factorisation import MatrixFactorisation
from recdistill.models.two_tower import TwoTower
from recdistill.objectives import row_by_row
from recdistill.objectives.listwise import list_loss
from recdistill.objectives.registry import OBJECTIVES
from tests.distillation.conftest import EPOCHS, STEPS, Training, labels

Make = Callable[..., Training]
FIRST = {OBJECTIVES[name]: name for name in reversed(list(OBJECTIVES))}
TRAINED = [name for name in FIRST.values() if not name.startswith("mutual")]
"""Every objective once, by the first of its names."""
ORDERS = ["soft_kl", "soft_kl_topk", "reverse_kl", "js", "soft_bce", "rrd", "ir_rrd", "unkd", "rce_kd", "hetcomp"]
SETS = ["hard_labels_softmax", "hard_labels_bpr", "hetcomp_overall"]
"""Methods that teach an order, and which items come first, without any label."""


@pytest.mark.parametrize("name", TRAINED)
def test_a_method_is_fed_and_its_loss_falls(name: str, training: Make) -> None:
    run = training(name)
    before = run.epoch(learn=False)
    for _ in range(25):
        run.epoch()
    after = run.epoch(learn=False)
    assert np.isfinite([before, after]).all()
    assert after < 0.97 * before


@pytest.mark.parametrize("name", TRAINED)
def test_a_method_gives_the_student_gradients(name: str, training: Make) -> None:
    run = training(name)
    run.loss(0).backward()
    reached = [one.grad for one in (run.student.users, run.student.items) if one.grad is not None]
    assert any(float(grad.abs().max()) > 0 for grad in reached)
    assert all(torch.isfinite(grad).all() for grad in reached)


@pytest.mark.parametrize(("name", "k"), [*((name, 4) for name in ORDERS), *((name, 10) for name in SETS)])
def test_a_student_without_labels_comes_to_the_teachers_lists(
    name: str, k: int, training: Make, known: Knowledge
) -> None:
    shown = {"top": {"trajectory_top": {"k": 10}}} if name == "hetcomp_overall" else {}
    run = training({name: {"shown": shown}}, rate=0.05)
    for _ in range(60):
        run.epoch(again=False)
    top = known.top_items.copy()
    top[known.top_own] = -1
    found = best_unseen(run.student, run.batches, run.taught.source.csr, k).numpy()
    wanted = [row[row >= 0][:k] for row in top]
    overlap = np.mean([len({*mine} & {*his}) / len(his) for mine, his in zip(found.tolist(), wanted, strict=True)])
    assert overlap > (0.6 if k == 4 else 0.8)  # chance is k of 24


@pytest.mark.parametrize("name", ["mutual", "mutual_bce", "mutual_kl"])
def test_a_method_with_a_learning_teacher_says_how_it_is_trained(name: str, training: Make) -> None:
    with pytest.raises(KnowledgeError, match=r"recdistill\.distillation\.mutual"):
        training(name)


@pytest.mark.parametrize(
    ("name", "missing", "cure"),
    [
        ("de", {"item_vectors": None, "user_vectors": None}, "rd.TwoTower"),
        ("rce_kd", {"item_vectors": None, "user_vectors": None}, "with vectors"),
        ("ir_rrd", {"item_lists": None}, r"known.with_item_lists\(train\)"),
        ("hetcomp", {"trajectory": None}, "known.with_trajectory"),
    ],
)
def test_what_the_knowledge_lacks_is_said_before_training(
    name: str, missing: dict[str, None], cure: str, known: Knowledge, log: tuple[Interactions, HeldOut]
) -> None:
    student = TwoTower(dim=4, user_id=False)
    with pytest.raises(KnowledgeError, match=f"{name} needs the teacher's .*{cure}"):
        distill(replace(known, **missing), student=student, on=log[0], method=name)
    assert not student.fitted


def test_a_teacher_of_lists_teaches_whatever_needs_no_more(known: Knowledge, log: tuple[Interactions, HeldOut]) -> None:
    lists = replace(known, user_vectors=None, item_vectors=None, item_bias=None, item_lists=None)
    for name in TRAINED:
        if OBJECTIVES[name].needs <= lists.gives:
            distill(lists, student=MatrixFactorisation(dim=4, epochs=1), on=log[0], method=name)


def test_rrd_is_what_its_formula_says_of_the_lists_that_were_drawn(training: Make, known: Knowledge) -> None:
    run = training({"rrd": {"shown": {"uninteresting": {"uniform": {"n": 7, "apart_from": ["interesting"]}}}}})
    part = run.taught._parts[0]
    batch = run.batches(run.users[0])
    made = Vectors(*run.student(batch))
    taken = run.taught._taken(batch, made, 0)
    found = part.feed.loss(taken)
    above, below = taken.step.drawn["interesting"], taken.step.drawn["uninteresting"]
    scores = made.users @ made.items.T + made.bias
    assert not taken.step.own(below.items)[below.mask].any()
    wanted = list_loss(scores, above.items, below.items, above.mask, below.mask, taken.weight)
    torch.testing.assert_close(found, wanted)


def test_scores_of_chosen_items_have_the_gradients_of_a_product() -> None:
    draw = torch.Generator().manual_seed(0)
    users, items = (torch.randn(n, 3, generator=draw, requires_grad=True) for n in (4, 200))
    bias, rows = torch.randn(200, generator=draw, requires_grad=True), torch.randint(200, (4, 5), generator=draw)
    wanted = (users @ items.T + bias).gather(1, rows)
    grad = torch.randn(4, 5, generator=draw)
    one = torch.autograd.grad(wanted, (users, items, bias), grad)
    found = StudentScores(Vectors(users, items, bias)).at(rows)
    assert 200 > 32 * 5  # few enough to be picked one by one
    torch.testing.assert_close(found, wanted)
    for a, b in zip(torch.autograd.grad(found, (users, items, bias), grad), one, strict=True):
        torch.testing.assert_close(a, b)


def test_the_parts_add_up_by_their_weights(training: Make) -> None:
    single = [float(training(name).loss(0).detach()) for name in ("rrd", "soft_kl")]
    own = float(training("rrd", label_share=1.0).loss(0).detach())
    both = training({"rrd": {"weight": 2.0}, "soft_kl": {"weight": 0.5}}, label_share=0.25)
    # the second method draws nothing, so that its place does not matter
    assert float(both.loss(0).detach()) == pytest.approx(
        0.25 * own + 0.75 * (2.0 * single[0] + 0.5 * single[1]), rel=1e-5
    )


def test_a_schedule_moves_weight_and_temperature(training: Make) -> None:
    falling = {"schedule": "linear", "start": 1.0, "end": 0.0}
    tau = {"schedule": "decay", "start": 4.0, "end": 1.0}
    run = training({"soft_kl": {"weight": falling, "tau": tau}})
    part = run.taught._parts[0]
    for epoch in range(EPOCHS):
        for step in range(STEPS):
            run.loss(step)
        assert part.weight == pytest.approx(1.0 - epoch / EPOCHS)
        assert part.objectives[0].config.tau == pytest.approx(4.0 ** (1.0 - epoch / EPOCHS))


def test_weighing_by_the_ratio_makes_a_method_as_large_as_the_labels(training: Make) -> None:
    run = training({"soft_bce": {"weight": 1.0, "adapt": "loss_ratio", "tau": 3.0}}, label_share=0.5)
    batch = run.batches(run.users[0])
    own = float(labels(batch, Vectors(*run.student(batch))).detach())
    assert float(run.loss(0).detach()) == pytest.approx(own, rel=1e-4)


def test_weighing_by_gradients_silences_a_method_against_the_labels(training: Make) -> None:
    from recdistill.distillation.adaptive import Gradients

    shared = torch.randn(5, 3, requires_grad=True)
    loss = (shared**2).sum()
    assert float(Gradients().factor(loss, 3.0 * loss, shared)) == pytest.approx(1.0)
    assert float(Gradients().factor(loss, -loss, shared)) == pytest.approx(0.0, abs=1e-6)
    run = training({"rrd": {"adapt": "gradients"}}, label_share=0.5)
    run.loss(0).backward()
    assert run.student.users.grad is not None


def test_a_sure_teacher_counts_more(training: Make, known: Knowledge) -> None:
    scores = known.top_scores.copy()
    scores[::2] *= 1e-3
    flat = replace(known, top_scores=scores)
    run = training({"rrd": {"adapt": "certainty"}}, knowledge=flat)
    sure = run.taught._sure
    assert sure is not None
    assert float(sure.mean()) == pytest.approx(1.0, rel=1e-4)
    assert sure[::2].max() < 0.01 < sure[1::2].min()


def test_a_training_is_repeated_bit_by_bit(log: tuple[Interactions, HeldOut], known: Knowledge) -> None:
    def once(seed: int) -> dict[str, np.ndarray]:
        method = {"rce_kd": {}, "de": {}, "dcd": {"weight": 0.5}}
        student = TwoTower(dim=4, user_id=False, epochs=3)
        return distill(known, student=student, on=log[0], method=method, seed=seed, device="cpu").scorer.arrays()

    one, two, other = once(1), once(1), once(2)
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert any(not np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("cache", [10**8, 0], ids=["looked up", "multiplied"])
def test_a_training_goes_on_from_its_state_in_the_middle_of_an_epoch(
    cache: int, training: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recdistill.candidates.source.CACHE_BYTES", cache)
    method = {"rce_kd": {"weight": {"schedule": "linear", "start": 1, "end": 0}}, "hetcomp": {}, "de": {}}

    def run_to(run: Training, start: int, stop: int) -> list[float]:
        losses = []
        for step in range(start, stop):
            run.optimizer.zero_grad()
            loss = run.loss(step)
            loss.backward()
            run.optimizer.step()
            losses.append(float(loss.detach()))
        return losses

    whole, first, second = (training(method, label_share=0.3) for _ in range(3))
    wanted = run_to(whole, 0, 7)
    run_to(first, 0, 3)
    second.student.load_state_dict(first.student.state_dict())
    second.taught.load_state_dict(first.taught.state_dict())
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    assert run_to(second, 3, 7) == wanted[3:]


@pytest.mark.parametrize("name", [name for name in TRAINED if "scores" in str(OBJECTIVES[name].needs)])
def test_scores_that_lists_hold_are_those_that_vectors_give(
    name: str, training: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recdistill.candidates.source.CACHE_BYTES", 0)

    def losses() -> list[float]:
        run = training(name)
        return [run.epoch(again=False) for _ in range(EPOCHS)]

    kept = losses()
    monkeypatch.setattr(Source, "multiplies", False)
    assert kept == pytest.approx(losses(), rel=1e-4)


def test_the_teachers_vectors_are_asked_once_for_a_list_of_the_student(
    training: Make, known: Knowledge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recdistill.candidates.source.CACHE_BYTES", 0)
    asked: list[int] = []
    scores = Source.scores
    monkeypatch.setattr(
        Source, "scores", lambda self, users, items: asked.append(len(users)) or scores(self, users, items)
    )
    run = training("rce_kd")
    for _ in range(EPOCHS):
        run.epoch(again=False)
    assert asked == [known.n_users]


def test_by_default_the_order_of_the_best_and_the_differences_of_scores_teach(
    known: Knowledge, log: tuple[Interactions, HeldOut], monkeypatch: pytest.MonkeyPatch
) -> None:
    def arrays(method: list[str] | None, **more: Any) -> dict[str, np.ndarray]:
        student = TwoTower(dim=4, user_id=False, epochs=2, **more)
        return distill(known, student=student, on=log[0], device="cpu", method=method).scorer.arrays()

    def equal(one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> bool:
        return all(np.array_equal(one[name], two[name]) for name in one)

    assert equal(arrays(None), arrays(["rrd", "margin_mse"]))
    monkeypatch.setattr(default, "LARGE_FROM", known.n_items)
    own_top = arrays(["rce_kd"], label_share=0.1, history_dropout=0.1)
    assert equal(arrays(None), own_top), "in a large catalogue the student's own best items are shown"
    monkeypatch.setattr(default, "LARGE_FROM", known.n_items + 1)
    assert equal(arrays(None), arrays(["rrd", "margin_mse"]))
    soft = TwoTower(dim=4, user_id=False, epochs=2, unseen_only=True).distil(log[0], known, device="cpu")
    assert equal(arrays(None, unseen_only=True), soft.scorer.arrays()), "a setting of soft labels asks for them"


def test_soft_labels_are_what_a_student_learns_by_itself(known: Knowledge, log: tuple[Interactions, HeldOut]) -> None:
    student = TwoTower(dim=4, user_id=False, epochs=2)
    one = distill(known, student=student, on=log[0], device="cpu", method="soft_labels").scorer.arrays()
    two = TwoTower(dim=4, user_id=False, epochs=2).distil(log[0], known, device="cpu").scorer.arrays()
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_settings_of_a_taught_student_are_chosen_on_valid(known: Knowledge, log: tuple[Interactions, HeldOut]) -> None:
    student = TwoTower(dim=4, user_id=False, epochs=2)
    distill(known, student=student, on=log[0], valid=log[1], method="rrd", device="cpu")
    assert {"label_share", "history_dropout", "learning_rate"} <= set(student.chosen)
    fixed = TwoTower(dim=4, user_id=False, epochs=2)
    distill(known, student=fixed, on=log[0], valid=log[1], method="rrd", labels={"weight": 0.2}, device="cpu")
    assert fixed.chosen["label_share"] == 0.2


@pytest.mark.parametrize("label", ["bpr", "bce", "bsl", "softmax", "sampled_softmax"])
def test_another_objective_of_labels_stands_for_the_students_own(
    label: str, known: Knowledge, log: tuple[Interactions, HeldOut]
) -> None:
    student = TwoTower(dim=8, epochs=40, learning_rate=0.02)
    settings = {"tau_positive": 4.0, "tau_negative": 1.0} if label == "bsl" else {}  # logits, not cosines
    told = {label: settings, "weight": 1.0}
    distill(known, student=student, on=log[0], method={"rrd": {"weight": 0.0}}, labels=told)
    assert valid_ndcg(student.scorer, log[0], log[1], 4) > 0.75


def test_drawn_negatives_stand_for_all_unused_items(training: Make) -> None:
    """With many draws the sampled softmax of one's own items is the decoupled one over the catalogue."""
    for source in ({"by_popularity": {"n": 20_000}}, {"in_batch": {"n": 20_000}}):
        drawn = training({"sampled_softmax": {"shown": {"negatives": source, "positives": {"own": {"n": 30}}}}})
        if "in_batch" in source:
            drawn.users = [np.arange(90)] * STEPS
        whole = training("softmax")
        whole.users = drawn.users
        assert float(drawn.loss(0).detach()) == pytest.approx(float(whole.loss(0).detach()), rel=5e-3)


def test_a_shuffled_teacher_teaches_nothing(known: Knowledge, log: tuple[Interactions, HeldOut]) -> None:
    train, held = log
    settings: dict[str, Any] = {"dim": 8, "user_id": False, "epochs": 30, "learning_rate": 0.02}
    alone = valid_ndcg(TwoTower(**settings).fit(train, device="cpu").scorer, train, held, 4)
    shuffled = known.permuted(train, np.random.default_rng(0))
    for method in (None, "rrd", "soft_kl"):
        student = distill(shuffled, student=TwoTower(**settings), on=train, method=method, device="cpu")
        assert valid_ndcg(student.scorer, train, held, 4) <= alone + 0.01


def test_memory_of_lists_is_small_for_many_users(known: Knowledge, log: tuple[Interactions, HeldOut]) -> None:
    source = Source(known, log[0].csr())
    lists = source.lists(10, unseen=True)
    assert lists.nbytes / source.n_users * 70_000 < 100e6 * 10 / 100
    assert lists.items.dtype == np.uint16


def test_the_tail_at_another_temperature_is_that_of_an_even_tail() -> None:
    from recdistill.candidates.base import Listed

    scores = torch.tensor([[2.0, 1.0, -1.0, -1.0, -1.0]])
    p = scores.softmax(1)
    top = Listed(torch.tensor([[0, 1]]), torch.ones(1, 2, dtype=torch.bool), scores[:, :2])
    for tau in (1.0, 2.5):
        found = tail_mass(top, p[:, 2:].sum(1), 5, tau)
        torch.testing.assert_close(found, (scores / tau).softmax(1)[:, 2:].sum(1))


def test_labels_without_a_method_are_refused(known: Knowledge, log: tuple[Interactions, HeldOut]) -> None:
    with pytest.raises(ConfigError, match="without a method"):
        distill(known, student=TwoTower(dim=4), on=log[0], labels="bpr")


@pytest.mark.parametrize("unseen", [False, True])
@pytest.mark.parametrize("tau", [1.0, 2.5])
def test_soft_labels_over_the_catalogue_are_what_the_objective_says(training: Make, unseen: bool, tau: float) -> None:
    settings = {"tau": tau, "shown": {"candidates": {"catalogue": {"unseen": unseen}}}}
    still = {**settings, "tau": {"schedule": "constant", "start": tau, "end": tau}}
    fused, plain = training({"soft_kl": settings}), training({"soft_kl": still})
    assert type(fused.taught._parts[0].feed) is not type(plain.taught._parts[0].feed)
    losses = [run.loss(0) for run in (fused, plain)]
    torch.testing.assert_close(*losses, rtol=2e-2, atol=1e-4)  # probabilities are kept in half precision
    for loss in losses:
        loss.backward()
    one, two = (run.student.items.grad for run in (fused, plain))
    torch.testing.assert_close(one, two, rtol=2e-2, atol=2e-4)


@pytest.mark.parametrize("unseen", [False, True])
def test_standardised_soft_labels_made_tile_by_tile_are_those_of_the_objective(
    training: Make, unseen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = training({"standardised_kl": {"shown": {"candidates": {"catalogue": {"unseen": unseen}}}}})
    feed = run.taught._parts[0].feed
    assert isinstance(feed, StandardisedFeed)
    plain = ListFeed(feed.objective, {"candidates": Catalogue(unseen=unseen)}, feed.source, "standardised_kl")
    monkeypatch.setattr(row_by_row, "TILE_ROWS", 7)
    found = []
    for one in (feed, plain):
        batch = run.batches(run.users[0])
        taken = run.taught._taken(batch, Vectors(*run.student(batch)), 0)
        assert taken.weight is not None
        loss = one.loss(replace(taken, weight=taken.weight * torch.arange(len(taken.weight))))
        run.student.zero_grad()
        loss.backward()
        found.append((loss.detach(), *(parameter.grad for parameter in run.student.parameters())))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-7)
