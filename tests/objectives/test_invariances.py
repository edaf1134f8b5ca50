"""What may change without changing a loss: orders that mean nothing, constants, rotations, names."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.objectives.axes import OF_CANDIDATES, assert_same, candidate_wide, indices, of_users
from tests.objectives.examples import (
    ENTITIES,
    NAMES,
    OF_SCORES,
    STUDENT_DIM,
    TEACHER_DIM,
    USERS,
    Draw,
    example,
    mask_of,
    run,
)

UNORDERED = {
    "sampled_softmax": ("student_negative", "log_q_negative", "negative_mask"),
    "bpr": ("higher", "lower", "pair_mask"),
    "unkd": ("higher", "lower", "pair_mask"),
    "margin_mse": ("first", "second", "pair_mask"),
    "hard_labels_softplus": ("top", "top_mask"),
    "hard_labels_softmax": ("top", "top_mask"),
    "hard_labels_bpr": ("top", "top_mask"),
    "soft_kl_topk": ("top", "teacher_top", "top_mask"),
    "rd": ("samples", "sample_mask"),
    "cd": ("samples", "sample_mask"),
    "rrd": ("uninteresting", "uninteresting_mask"),
    "ir_rrd": ("uninteresting", "uninteresting_mask"),
    "dcd": ("overestimated", "overestimated_mask"),
    "rce_kd": ("q_teacher", "q_teacher_mask"),
    "hetcomp_overall": ("top", "top_mask"),
    "mutual_bce": ("to_student", "to_student_mask"),
    "pckd_list": ("samples", "sample_mask"),
    "pckd_pair": ("samples", "sample_mask"),
}
ORDERED = {
    "rd": "top",
    "rrd": "interesting",
    "ir_rrd": "interesting",
    "dcd": "underestimated",
    "hetcomp_ranking": "top",
    "plackett_luce": "permutations",
}


SHIFTED = (
    *("softmax", "sampled_softmax", "bpr", "bsl", "unkd", "hard_labels_softmax", "hard_labels_bpr", "soft_kl"),
    *(
        "reverse_kl",
        "js",
        "standardised_kl",
        "soft_kl_topk",
        "rrd",
        "ir_rrd",
        "dcd",
        "margin_mse",
        "plackett_luce",
        "rce_kd",
    ),
    *("hetcomp_overall", "hetcomp_ranking", "mutual_kl"),
)
NOT_SHIFTED = ("bce", "soft_bce", "cd", "rd", "hard_labels_softplus", "mutual_bce")
"""Objectives that read scores as they are, and not their differences."""


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_users_or_entities_is_indifferent(name: str) -> None:
    given = example(name)
    rows = of_users(given)
    order = torch.randperm(len(given.inputs[rows[0]]), generator=torch.Generator().manual_seed(2))
    mixed = given.inputs | {n: given.inputs[n][order] for n in rows}
    want, want_gradients = run(given.objective(), given.inputs, *given.trained)
    loss, gradients = run(given.objective(), mixed, *given.trained)
    torch.testing.assert_close(loss, want, rtol=1e-9, atol=1e-11)
    assert_same(gradients, want_gradients | {n: want_gradients[n][order] for n in rows if n in gradients})


@pytest.mark.parametrize("name", OF_CANDIDATES)
def test_the_order_of_candidates_is_indifferent(name: str) -> None:
    given = example(name)
    wide = candidate_wide(given)
    order = torch.randperm(given.inputs["student"].shape[1], generator=torch.Generator().manual_seed(2))
    mixed = given.inputs | {n: given.inputs[n][:, order] for n in wide}
    mixed |= {n: order.argsort()[given.inputs[n]] for n in indices(given)}
    want, want_gradients = run(given.objective(), given.inputs, *given.trained)
    loss, gradients = run(given.objective(), mixed, *given.trained)
    torch.testing.assert_close(loss, want, rtol=1e-9, atol=1e-11)
    assert_same(gradients, want_gradients | {n: want_gradients[n][:, order] for n in wide if n in gradients})


@pytest.mark.parametrize("name", UNORDERED)
def test_the_order_of_pairs_and_samples_is_indifferent(name: str) -> None:
    given = example(name)
    turned = given.inputs | {n: given.inputs[n].flip(1) for n in UNORDERED[name]}
    loss, want = given.objective()(**turned), given.objective()(**given.inputs)
    torch.testing.assert_close(loss, want, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ORDERED)
def test_the_order_of_a_ranked_list_is_the_message(name: str) -> None:
    given = example(name)
    whole = {n: value for n, value in given.inputs.items() if n != mask_of(ORDERED[name])}
    turned = whole | {ORDERED[name]: whole[ORDERED[name]].flip(-1)}
    assert not torch.isclose(given.objective()(**turned), given.objective()(**whole))


def test_every_objective_of_scores_is_said_to_read_differences_or_scores() -> None:
    assert {*SHIFTED, *NOT_SHIFTED} == set(OF_SCORES)


@pytest.mark.parametrize("name", [*SHIFTED, *NOT_SHIFTED])
def test_a_constant_added_to_a_users_scores(name: str) -> None:
    given = example(name)
    constants = Draw(3).numbers(USERS)
    moved = [n for n in given.trained if n != "student_item"]
    raised = {n: given.inputs[n] + (constants if given.inputs[n].ndim == 1 else constants[:, None]) for n in moved}
    want, gradients = run(given.objective(), given.inputs, *moved)
    loss = given.objective()(**given.inputs | raised)
    if name in NOT_SHIFTED:
        assert not torch.isclose(loss, want, rtol=1e-3)
        return
    torch.testing.assert_close(loss, want, rtol=1e-9, atol=1e-10)
    if name == "sampled_softmax":
        total = gradients["student_positive"] + gradients["student_negative"].sum(1)
    else:
        total = torch.stack([gradients[n].sum(1) for n in moved])
    torch.testing.assert_close(total, torch.zeros_like(total), rtol=0, atol=1e-10)


def rotation(dim: int, seed: int) -> Tensor:
    return torch.linalg.qr(Draw(seed).numbers(dim, dim)).Q


@pytest.mark.parametrize("name", ["ftd", "htd", "rkd_distance", "rkd_gram"])
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_topologies_do_not_see_rotations_nor_most_of_them_scale(name: str, scale: float) -> None:
    given = example(name)
    settings = {"alpha": 1.0} if name == "htd" else {}
    turned = {
        "student": scale * given.inputs["student"] @ rotation(STUDENT_DIM, 5),
        "teacher": scale * given.inputs["teacher"] @ rotation(TEACHER_DIM, 6),
    }
    same = torch.isclose(
        given.objective(**settings)(**given.inputs | turned), given.objective(**settings)(**given.inputs)
    )
    assert same == (name != "rkd_gram" or scale == 1.0)


def test_relative_distances_do_not_see_where_the_points_lie() -> None:
    given = example("rkd_distance")
    moved = given.inputs | {"student": given.inputs["student"] + torch.tensor([1.0, -2.0, 0.5])}
    torch.testing.assert_close(given.objective()(**moved), given.objective()(**given.inputs))


def test_groups_are_the_same_under_other_names() -> None:
    given = example("htd")
    renamed = given.inputs | {"group": (given.inputs["group"] * 7 + 2) % 23}
    torch.testing.assert_close(given.objective()(**renamed), given.objective()(**given.inputs))


def test_experts_may_stand_in_any_order() -> None:
    given, order = example("de"), torch.tensor([2, 0, 1])
    mixed = given.objective()
    for parameter in mixed.parameters():
        parameter.data = parameter.data[order]
    turned = given.inputs | {"gumbel": given.inputs["gumbel"][:, order]}
    torch.testing.assert_close(mixed(**turned), given.objective()(**given.inputs))


def test_points_that_coincide_give_a_finite_gradient() -> None:
    points = torch.ones(ENTITIES, 2, dtype=torch.float64)
    for students in (points, torch.cat([points[:2], Draw(1).numbers(3, 2)])):
        inputs = {"student": students, "teacher": Draw(2).numbers(len(students), 3)}
        _, gradients = run(example("rkd_distance").objective(), inputs, "student")
        assert gradients["student"].isfinite().all()
