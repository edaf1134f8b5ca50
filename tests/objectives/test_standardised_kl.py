"""Standardised soft labels: what changes nothing, and where they are plain soft labels."""

from __future__ import annotations

import torch

from recdistill.objectives.registry import build

STUDENT = torch.tensor([[0.3, -1.0, 2.0, 0.5], [1.0, 1.5, -0.5, 0.0]], dtype=torch.float64)
TEACHER = torch.tensor([[1.0, 0.0, 4.0, -1.0], [2.0, 0.5, 0.0, 0.1]], dtype=torch.float64)


def test_no_scale_and_no_shift_of_either_side_changes_it() -> None:
    objective = build("standardised_kl", {"tau": 0.7})
    want = objective(STUDENT, TEACHER)
    torch.testing.assert_close(objective(3.0 * STUDENT + 5.0, 0.1 * TEACHER - 2.0), want)
    assert not torch.isclose(objective(-STUDENT, TEACHER), want)


def test_of_scores_that_are_standardised_already_it_is_soft_kl() -> None:
    left, right = (
        (scores - scores.mean(1, keepdim=True)) / scores.std(1, correction=0, keepdim=True)
        for scores in (STUDENT, TEACHER)
    )
    want = build("soft_kl", {"tau": 0.7})(left, right)
    torch.testing.assert_close(build("standardised_kl", {"tau": 0.7})(STUDENT, TEACHER), want)


def test_a_user_whose_scores_are_all_the_same_gives_numbers() -> None:
    student = torch.full_like(STUDENT, 2.0).requires_grad_()
    loss = build("standardised_kl")(student, TEACHER)
    loss.backward()
    assert torch.isfinite(loss)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_its_gradient_is_that_of_differences() -> None:
    objective, student = build("standardised_kl", {"tau": 0.7}), STUDENT.clone().requires_grad_()
    mask = torch.tensor([[True, True, True, False], [True, True, True, True]])
    assert torch.autograd.gradcheck(lambda scores: objective(scores, TEACHER, mask=mask), student)
