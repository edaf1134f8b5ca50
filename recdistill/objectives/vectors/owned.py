"""What the objectives from vectors share: parameters of their own, and two distances."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, normalize

from recdistill.errors import ConfigError
from recdistill.objectives.base import Objective

Distance = Literal["squared", "cosine"]
NORM_FLOOR = 1e-12
"""The least norm that a cosine divides by."""


class OwningObjective(Objective):
    """An objective with projectors or experts, between the widths of the two models; its maths is a plain function.

    Constructed with `student_dim`, `teacher_dim` and the `generator` that draws the first values. The parameters are
    trained along with the student and saved with the checkpoint; no artifact holds them.
    """

    def __init__(self, *, student_dim: int, teacher_dim: int) -> None:
        super().__init__()
        if min(student_dim, teacher_dim) < 1:
            raise ConfigError(
                f"{type(self).__name__}: vectors of {student_dim} (student) and {teacher_dim} (teacher) "
                "dimensions cannot be compared; both need 1 or more."
            )
        self.student_dim, self.teacher_dim = student_dim, teacher_dim


def drawn(*shape: int, fan_in: int, generator: torch.Generator) -> nn.Parameter:
    """Uniform within ±1/√fan_in, as torch's linear layers start."""
    bound = 1.0 / math.sqrt(fan_in)
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator))


def distance(given: Tensor, wanted: Tensor, how: Distance) -> Tensor:
    """‖given - wanted‖², summed over dimensions, or 1 - cos; vectors (n, d) to (n,)."""
    if how == "squared":
        return (given - wanted).square().sum(-1)
    return 1.0 - cosine_similarity(given, wanted, dim=-1, eps=NORM_FLOOR)


def rows_where(kept: Tensor | None, vectors: Tensor) -> Tensor:
    """Zeros in the rows (n,) that are left out, which get no gradient whatever they hold."""
    return vectors if kept is None else vectors.where(kept[:, None], 0.0)


def cosines(left: Tensor, right: Tensor) -> Tensor:
    """(n, m) cosines between all rows of (n, d) and (m, d)."""
    return normalize(left, dim=-1, eps=NORM_FLOOR) @ normalize(right, dim=-1, eps=NORM_FLOOR).T


def check_distance(where: str, how: str) -> None:
    if how not in ("squared", "cosine"):
        raise ConfigError(f"{where}: distance must be squared or cosine, found {how!r}.")
