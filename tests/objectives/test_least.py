"""Which objectives are least at the teacher, and which want more."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from recdistill.objectives.registry import build
from recdistill.objectives.vectors.fitnet import FitNet
from recdistill.objectives.vectors.freqd import FreqD
from recdistill.objectives.vectors.pckd import PCKDList, PCKDPair
from tests.objectives.examples import CANDIDATES, TRAINED, USERS, Draw, Inputs, example, run


def assert_least(name: str, inputs: Inputs, value_is_zero: bool, **settings: Any) -> None:
    given = example(name)
    trained = [n for n in inputs if n in (*TRAINED, *given.learns)]
    at, gradients = run(given.objective(**settings), inputs, *trained)
    assert all(gradients[n].abs().max() < 1e-10 for n in trained)
    assert at.abs() < 1e-12 if value_is_zero else at > 0.1


@pytest.mark.parametrize("name", ["soft_kl", "reverse_kl", "js", "rce_kd", "margin_mse", "mutual_kl"])
def test_it_is_zero_and_least_where_the_student_is_the_teacher_but_for_a_constant(name: str) -> None:
    inputs = example(name).inputs
    assert_least(name, inputs | {"student": inputs["teacher"] + 3.0}, True)


@pytest.mark.parametrize("name", ["ftd", "htd", "rkd_distance", "rkd_gram"])
def test_topologies_are_zero_and_least_at_the_teacher(name: str) -> None:
    inputs = example(name).inputs
    assert_least(name, inputs | {"student": inputs["teacher"]}, True, **({"alpha": 1.0} if name == "htd" else {}))


def test_soft_labels_of_a_list_are_zero_at_the_teacher_with_its_tail() -> None:
    teacher = Draw(7).numbers(USERS, CANDIDATES)
    top = teacher.topk(4)
    tail = 1.0 - (teacher / 2.0).softmax(1).gather(1, top.indices).sum(1)
    found = build("soft_kl_topk", {"tau": 2.0})(teacher, top.indices, top.values, tail)
    assert found.abs() < 1e-12


@pytest.mark.parametrize("how", ["squared", "cosine"])
def test_projected_distances_are_zero_where_the_projection_is_the_teacher(how: str) -> None:
    for name in ("fitnet", "freqd"):
        given = example(name)
        loss_of = given.objective(distance=how)
        assert isinstance(loss_of, FitNet | FreqD) and loss_of.bias is not None
        projected = given.inputs["student"] @ loss_of.projector.T + loss_of.bias
        assert loss_of(**given.inputs | {"teacher": projected}).abs() < 1e-12


@pytest.mark.parametrize("name", ["pckd_list", "pckd_pair"])
def test_consistent_projectors_cost_nothing_at_the_teacher(name: str) -> None:
    given = example(name)
    loss_of = given.objective()
    assert isinstance(loss_of, PCKDList | PCKDPair)
    isometry = torch.linalg.qr(Draw(2).numbers(4, 3)).Q  # keeps every inner product
    loss_of.projector_user.data, loss_of.projector_item.data = isometry.clone(), isometry.clone()
    teachers = {f"teacher_{side}": given.inputs[f"student_{side}"] @ isometry.T for side in ("user", "item")}
    value, gradients = run(loss_of, given.inputs | teachers, "student_user", "student_item")
    assert all(gradients[f"student_{side}"].abs().max() < 1e-10 for side in ("user", "item"))
    if name == "pckd_list":
        assert value.abs() < 1e-12 and gradients["projector_user"].abs().max() < 1e-10
    else:
        assert 0.0 < value < 0.1 * math.log(2.0)  # no pair of samples has changed its order


def test_pointwise_objectives_are_least_where_the_probabilities_agree() -> None:
    soft, calibrated, labels = (example(name).inputs for name in ("soft_bce", "cd", "bce"))
    assert_least("soft_bce", soft | {"student": soft["teacher"]}, False)
    assert_least("cd", calibrated | {"student": (calibrated["teacher"] + 0.4) / 1.5}, False)
    assert_least("bce", labels | {"student": labels["labels"].logit()}, False)


NOT_LEAST = (
    *("softmax", "bpr", "bsl", "hard_labels_softplus", "hard_labels_softmax", "hard_labels_bpr", "rd", "rrd"),
    *("ir_rrd", "dcd", "unkd", "plackett_luce", "hetcomp_overall", "hetcomp_ranking"),
)


@pytest.mark.parametrize("name", NOT_LEAST)
def test_ranking_objectives_want_more_spread_than_any_student_has(name: str) -> None:
    """Not least at a teacher that ranks as they ask: all its scores doubled are better still."""
    given = example(name)
    loss_of, inputs = given.objective(), given.inputs
    if name == "plackett_luce":  # two permutations that disagree would be best served by a compromise
        inputs = inputs | {"permutations": inputs["permutations"][:, :1]}
    teacher = inputs["student"].clone().requires_grad_()
    for _ in range(150):
        (slope,) = torch.autograd.grad(loss_of(**inputs | {"student": teacher}), teacher)
        teacher = (teacher - 5.0 * slope).detach().requires_grad_()
    better = loss_of(**inputs | {"student": 2.0 * teacher.detach()})
    assert better < loss_of(**inputs | {"student": teacher.detach()})
