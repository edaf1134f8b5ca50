"""Which dimension of an example's inputs is users, which candidates."""

from __future__ import annotations

import torch

from tests.objectives.examples import OF_SCORES, Example, Inputs

OF_CANDIDATES = [name for name in OF_SCORES if name != "sampled_softmax"]
"""Objectives whose lists point into one matrix of scores."""
PER_ITEM = ("student_item", "item_")
"""Inputs whose rows are items: the second side of some objectives."""


def assert_same(found: Inputs, wanted: Inputs) -> None:
    assert found.keys() == wanted.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-9, atol=1e-11)


def of_users(given: Example) -> list[str]:
    """Inputs with one row for each user (or entity) of the batch."""
    rows = "entities" if "entities" in given.inputs else None
    if rows is not None:
        return [rows]
    items = ("student_item", "teacher_item") if "student_user" in given.inputs else PER_ITEM
    return [name for name in given.inputs if not name.startswith(items)]


def candidate_wide(given: Example) -> list[str]:
    """Inputs with one column for each candidate."""
    wide = given.inputs["student"].shape if "student" in given.inputs else None
    return [name for name, value in given.inputs.items() if value.shape == wide]


def indices(given: Example) -> list[str]:
    """Lists of a user's candidates."""
    own = [name for name, value in given.inputs.items() if value.dtype == torch.long]
    return [name for name in own if not name.startswith(PER_ITEM)]
