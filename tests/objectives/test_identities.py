"""Where an objective becomes another one, or reaches a limit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from recdistill.objectives.registry import build
from recdistill.objectives.vectors.de import DE
from recdistill.objectives.vectors.fitnet import fitnet
from recdistill.objectives.vectors.freqd import freqd, sparse_graph
from recdistill.objectives.vectors.htd import HTD, topology
from tests.objectives.examples import CANDIDATES, ENTITIES, USERS, Draw, example, run

Scores = tuple[Tensor, Tensor]


@pytest.fixture
def scores() -> Scores:
    """Student and teacher."""
    draw = Draw(7)
    return draw.numbers(USERS, CANDIDATES), draw.numbers(USERS, CANDIDATES)


def loss(name: str, *given: Tensor, settings: dict[str, Any] | None = None, **named: Tensor) -> Tensor:
    return build(name, settings)(*given, **named)


def every_item() -> Tensor:
    return torch.arange(CANDIDATES).expand(USERS, -1)


def permutation(seed: int = 0) -> Tensor:
    return Draw(seed).lists(CANDIDATES)[0]


def nothing(rows: int = USERS) -> Tensor:
    return torch.zeros(rows, 0, dtype=torch.long)


def test_a_whole_permutation_is_a_ranked_list_above_nothing(scores: Scores) -> None:
    order = permutation()
    found = loss("plackett_luce", scores[0], order[:, None])
    torch.testing.assert_close(found, loss("rrd", scores[0], order, nothing()))
    assert found > 0.1


@pytest.mark.parametrize("k", [1, 4])
def test_the_first_places_of_a_permutation_are_a_ranked_list_above_the_rest(scores: Scores, k: int) -> None:
    order = permutation()
    found = loss("plackett_luce", scores[0], order[:, None], settings={"k": k})
    torch.testing.assert_close(found, loss("rrd", scores[0], order[:, :k], order[:, k:]))
    if k == 1:
        torch.testing.assert_close(found, torch.nn.functional.cross_entropy(scores[0], order[:, 0]))


def test_hetcomp_without_positives_and_with_one_cut_is_a_ranked_list_above_the_rest(scores: Scores) -> None:
    order = permutation()
    found = loss("hetcomp_ranking", scores[0], nothing(), order, settings={"cuts": [4]})
    torch.testing.assert_close(found, loss("rrd", scores[0], order[:, :4], order[:, 4:]))


def test_hetcomp_cuts_a_list_at_a_half_and_a_tenth(scores: Scores) -> None:
    order = permutation()[:, :10]
    found = loss("hetcomp_ranking", scores[0], nothing(), order)
    torch.testing.assert_close(found, loss("hetcomp_ranking", scores[0], nothing(), order, settings={"cuts": [5, 1]}))


def test_rce_kd_is_masked_soft_labels_on_either_set(scores: Scores) -> None:
    q_teacher, q_student = permutation(1)[:, :4], permutation(2)[:, :5]
    on = {
        name: torch.zeros(USERS, CANDIDATES, dtype=torch.bool).scatter(1, index, True)
        for name, index in (("teacher", q_teacher), ("student", q_student))
    }
    none, one = torch.zeros(USERS), torch.ones(USERS)
    found = loss("rce_kd", *scores, q_teacher, q_student, nothing(), gamma=none)
    torch.testing.assert_close(found, loss("soft_kl", *scores, mask=on["student"]))
    found = loss("rce_kd", *scores, q_teacher, nothing(), nothing(), gamma=one)
    torch.testing.assert_close(found, loss("soft_kl", *scores, mask=on["teacher"]))


def test_a_given_gamma_is_a_share_and_gets_no_gradient(scores: Scores) -> None:
    lists = permutation(1)[:, :4], permutation(2)[:, :5], nothing()
    gamma = torch.full((USERS,), 0.3, dtype=torch.float64, requires_grad=True)
    found = loss("rce_kd", *scores, *lists, gamma=gamma)
    ends = [loss("rce_kd", *scores, *lists, gamma=torch.full((USERS,), end)) for end in (0.0, 1.0)]
    torch.testing.assert_close(found, 0.7 * ends[0] + 0.3 * ends[1])
    assert not found.requires_grad


def test_soft_labels_of_a_list_of_everything_are_soft_labels_and_never_above(scores: Scores) -> None:
    student, teacher = scores
    full, none = loss("soft_kl", student, teacher), torch.zeros(USERS, dtype=torch.float64)
    torch.testing.assert_close(loss("soft_kl_topk", student, every_item(), teacher, none), full)
    for k in (1, 3, 8):
        top = teacher.topk(k)
        tail = 1.0 - teacher.softmax(1).gather(1, top.indices).sum(1)
        assert loss("soft_kl_topk", student, top.indices, top.values, tail) <= full


def test_one_positive_makes_all_softmaxes_one(scores: Scores) -> None:
    student, order = scores[0], permutation()
    positives = torch.zeros(USERS, CANDIDATES, dtype=torch.bool).scatter(1, order[:, :1], True)
    decoupled = loss("softmax", student, positives)
    plain = loss("softmax", student, positives, settings={"decoupled": False})
    sampled = loss("sampled_softmax", student.gather(1, order)[:, 0], student.gather(1, order)[:, 1:])
    torch.testing.assert_close(decoupled, plain)
    torch.testing.assert_close(decoupled, sampled)
    assert loss("softmax", student, torch.ones_like(positives)) == 0.0
    assert loss("sampled_softmax", student[:, 0], student[:, :0]) == 0.0


def test_what_is_drawn_often_counts_less(scores: Scores) -> None:
    positive, negative, log_q = scores[0][:, 0], scores[0][:, 1:], scores[1]
    found = loss("sampled_softmax", positive, negative, log_q_positive=log_q[:, 0], log_q_negative=log_q[:, 1:])
    torch.testing.assert_close(found, loss("sampled_softmax", positive - log_q[:, 0], negative - log_q[:, 1:]))


def test_the_decay_of_rd_goes_from_the_first_item_to_equal_weights(scores: Scores) -> None:
    student, top = scores[0], permutation()[:, :4]
    even = loss("rd", student, top, settings={"decay": 1e9, "dynamic": False})
    torch.testing.assert_close(even, loss("hard_labels_softplus", student, top))
    first = loss("rd", student, top, settings={"decay": 1e-3, "dynamic": False})
    torch.testing.assert_close(first, loss("hard_labels_softplus", student, top[:, :1]))


def test_a_side_of_weight_zero_is_not_there(scores: Scores) -> None:
    inputs = example("ir_rrd").inputs
    users = {n: v for n, v in inputs.items() if "item" not in n}
    torch.testing.assert_close(build("ir_rrd", {"item_weight": 0.0})(**inputs), build("rrd")(**users))
    mutual = {"student_weight": 1.0, "teacher_weight": 0.0, "tau": 1.5}
    soft = loss("soft_kl", *scores, settings={"tau": 1.5})
    torch.testing.assert_close(loss("mutual_kl", *scores, settings=mutual), soft)


def test_each_side_learns_from_targets_that_stand_still(scores: Scores) -> None:
    student, teacher = scores
    lists = {"to_student": permutation(1)[:, :4], "to_teacher": permutation(2)[:, :3]}
    for name, given in (("mutual_bce", lists), ("mutual_kl", {})):
        inputs = {"student": student, "teacher": teacher, **given}
        both, gradients = run(build(name, {"tau": 1.5}), inputs, "student", "teacher")
        for side, other in (("student", "teacher"), ("teacher", "student")):
            value, alone = run(build(name, {"tau": 1.5, f"{other}_weight": 0.0}), inputs, "student", "teacher")
            torch.testing.assert_close(gradients[side], alone[side])
            assert alone[side].any() and not alone[other].any()
            both = both - value
        assert both.abs() < 1e-12


def test_one_side_of_a_pointwise_exchange_is_cd(scores: Scores) -> None:
    items, none = permutation(1)[:, :4], permutation(2)[:, :3]
    settings = {"tau": 1.5, "student_weight": 1.0, "teacher_weight": 0.0}
    found = loss("mutual_bce", *scores, items, none, settings=settings)
    torch.testing.assert_close(found, loss("cd", *scores, items, settings={"t1": 1.5}))
    settings |= {"student_weight": 0.0, "teacher_weight": 1.0}
    found = loss("mutual_bce", *scores, items, none, settings=settings)
    torch.testing.assert_close(found, loss("cd", *reversed(scores), none, settings={"t1": 1.5}))


def test_the_reverse_divergence_is_that_of_the_teacher_from_the_student(scores: Scores) -> None:
    forward, reverse = loss("soft_kl", *scores), loss("reverse_kl", *scores)
    torch.testing.assert_close(reverse, loss("soft_kl", *reversed(scores)))
    assert not torch.isclose(forward, reverse)
    assert loss("js", *scores) < min(forward, reverse)


def test_a_filter_without_neighbours_is_fitnet() -> None:
    draw, entities = Draw(4), torch.tensor([5, 0, 2])
    student, teacher = draw.numbers(ENTITIES, 3), draw.numbers(ENTITIES, 4)
    projector, bias = draw.numbers(4, 3), draw.numbers(4)
    graph = sparse_graph(torch.tensor([0, 5]), torch.tensor([1, 5]), draw.shares(2), ENTITIES)
    found = freqd(student, teacher, projector, bias, graph, entities, alpha=0.0)
    torch.testing.assert_close(found, fitnet(student[entities], teacher[entities], projector, bias))


def test_one_expert_is_chosen_whatever_selector_and_noise_say() -> None:
    given = example("de")
    only = given.inputs | {"gumbel": given.inputs["gumbel"][:, :1]}
    loss_of = given.objective(experts=1)
    before, gradients = run(loss_of, only, "student")
    assert not gradients["selector"].any()
    torch.testing.assert_close(loss_of(**only | {"gumbel": 5.0 + only["gumbel"]}).detach(), before)


def test_cold_experts_are_one_expert_and_send_no_gradient_to_the_selector() -> None:
    given = example("de")
    loss_of = given.objective()
    assert isinstance(loss_of, DE)
    loss_of.advance(1.0)
    assert loss_of.temperature == pytest.approx(1e-10)
    at, gradients = run(loss_of, given.inputs, "student")
    assert not gradients["selector"].any() and gradients["expert_w1"].any()
    assert at.isfinite()


@pytest.mark.parametrize("group", [[3] * ENTITIES, list(range(ENTITIES))])
def test_prototypes_of_one_group_or_of_singletons_are_the_full_topology(group: list[int]) -> None:
    student, teacher = example("ftd").inputs.values()
    found = topology(student, teacher, torch.tensor(group), between="prototype_prototype")
    torch.testing.assert_close(found, build("ftd")(student, teacher))


def test_detached_prototypes_have_the_same_value_and_no_gradient() -> None:
    inputs = example("ftd").inputs | {"group": torch.arange(ENTITIES)}  # singletons: nothing but prototypes counts
    free, fixed = (
        run(
            example("htd").objective(alpha=1.0, choice="prototype_prototype", detach_prototypes=detach),
            inputs,
            "student",
        )
        for detach in (False, True)
    )
    torch.testing.assert_close(free[0], fixed[0])
    assert free[1]["student"].any() and not fixed[1]["student"].any()


def test_groups_that_are_not_given_are_the_experts_choice() -> None:
    given = example("htd")
    loss_of = given.objective()
    alone = {n: v for n, v in given.inputs.items() if n != "group"}
    assert isinstance(loss_of, HTD) and loss_of.assignment is not None
    loss_of.assignment.selector_bias.data = torch.tensor([1e4, -1e4, -1e4], dtype=torch.float64)
    together = given.inputs | {"group": torch.zeros(ENTITIES, dtype=torch.long)}
    torch.testing.assert_close(loss_of(**alone), loss_of(**together))
    assert not torch.isclose(loss_of(**alone), loss_of(**given.inputs))


def test_much_softened_divergences_are_the_variance_of_the_difference(scores: Scores) -> None:
    variance = (scores[1] - scores[0]).var(1, correction=0).mean()
    for name, share in (("soft_kl", 0.5), ("reverse_kl", 0.5), ("js", 0.125)):
        found = loss(name, *scores, settings={"tau": 1e3})
        torch.testing.assert_close(found, share * variance, rtol=5e-3, atol=0)


def test_much_softened_probabilities_pull_scores_by_their_difference(scores: Scores) -> None:
    inputs = {"student": scores[0], "teacher": scores[1]}
    _, gradients = run(build("soft_bce", {"tau": 1e3}), inputs, "student")
    want = (scores[0] - scores[1]) / (4 * CANDIDATES * USERS)
    torch.testing.assert_close(gradients["student"], want, rtol=1e-3, atol=1e-8)


def test_bilateral_softmax_goes_from_means_to_extremes(scores: Scores) -> None:
    student = scores[0]
    positives = torch.zeros(USERS, CANDIDATES, dtype=torch.bool)
    positives[:, :4] = True
    own, others = student[:, :4], student[:, 4:]
    even = loss("bsl", student, positives, settings={"tau_positive": 1e5, "tau_negative": 1e5})
    torch.testing.assert_close(even, (others.mean(1) - own.mean(1)).mean(), rtol=1e-3, atol=1e-4)
    hard = loss("bsl", student, positives, settings={"tau_positive": 1e-4, "tau_negative": 1e-4})
    torch.testing.assert_close(hard, (others.amax(1) - own.amax(1)).mean(), rtol=1e-3, atol=1e-3)
    _, gradients = run(build("bsl"), {"student": student, "positives": positives}, "student")
    torch.testing.assert_close(gradients["student"][:, :4].sum(), torch.tensor(-1.0, dtype=torch.float64))
    torch.testing.assert_close(gradients["student"][:, 4:].sum(), torch.tensor(1.0, dtype=torch.float64))
