"""Hierarchical Topology Distillation: cosines inside groups, and between the groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from recdistill.errors import ConfigError
from recdistill.objectives.base import check_share
from recdistill.objectives.vectors.de import DE, DEConfig
from recdistill.objectives.vectors.ftd import cosine_gaps, off_diagonal, pair_mean
from recdistill.objectives.vectors.owned import OwningObjective, cosines

Between = Literal["prototype_entity", "prototype_prototype"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HTDConfig:
    alpha: float = 0.5
    """Share of the topology; the rest is the experts' reconstruction, which learns the groups."""
    choice: Between = "prototype_entity"
    """What is compared across groups: every prototype with every entity, or prototypes with each other."""
    detach_prototypes: bool = False
    """Take the student's prototypes as constants."""
    groups: int = 30
    """Number of experts, each of which is a group; not used at alpha = 1."""
    temperature: float = 1.0
    """T of the experts' Gumbel softmax at the start of training."""

    def __post_init__(self) -> None:
        check_share("htd", alpha=self.alpha)
        if self.choice not in ("prototype_entity", "prototype_prototype"):
            raise ConfigError(f"htd: choice must be prototype_entity or prototype_prototype, found {self.choice!r}.")
        DEConfig(experts=self.groups, temperature=self.temperature)


class HTD(OwningObjective):
    """α·(E + G) + (1-α)·DE (HTD: Kang et al., 2021b).

    E: mean squared difference of cosines over ordered pairs of one group. G: the same between the groups' prototypes
    (means of their vectors) and all entities, or among prototypes. A group is the expert that DE's selector prefers
    for the teacher's vector. Owns the experts, unless α = 1, where the groups have to be given.
    """

    needs = frozenset({"vectors"})
    config_type = HTDConfig
    entities = "each side"

    def __init__(
        self, config: HTDConfig | None = None, *, student_dim: int, teacher_dim: int, generator: torch.Generator
    ) -> None:
        super().__init__(student_dim=student_dim, teacher_dim=teacher_dim)
        self.config = config or HTDConfig()
        of_experts = DEConfig(experts=self.config.groups, temperature=self.config.temperature)
        dims = {"student_dim": student_dim, "teacher_dim": teacher_dim}
        self.assignment = None if self.config.alpha == 1.0 else DE(of_experts, **dims, generator=generator)

    @property
    def noise(self) -> int:
        return 0 if self.assignment is None else self.config.groups

    def advance(self, progress: float) -> None:
        if self.assignment is not None:
            self.assignment.advance(progress)

    def forward(
        self, student: Tensor, teacher: Tensor, *, group: Tensor | None = None, gumbel: Tensor | None = None
    ) -> Tensor:
        """student (n, d_S), teacher (n, d_T); group: whole numbers (n,), or the experts'; gumbel (n, groups)."""
        config, assignment = self.config, self.assignment
        if assignment is None:
            if group is None:
                raise ConfigError("htd: at alpha = 1 there are no experts to choose groups; give `group`.")
            return topology(student, teacher, group, between=config.choice, detach=config.detach_prototypes)
        if gumbel is None:
            raise ConfigError("htd: below alpha = 1 the experts need noise; give `gumbel`, see de.gumbel_noise.")
        if group is None:
            group = assignment.preferred(teacher)
        shape = topology(student, teacher, group, between=config.choice, detach=config.detach_prototypes)
        return config.alpha * shape + (1.0 - config.alpha) * assignment(student, teacher, gumbel)


def topology(student: Tensor, teacher: Tensor, group: Tensor, *, between: Between, detach: bool = False) -> Tensor:
    """E + G for given groups (n,), whose names mean nothing."""
    teacher = teacher.detach()
    names, member = group.unique(return_inverse=True)
    apart = off_diagonal(len(group), group.device)
    inside = pair_mean(cosine_gaps(student, teacher), apart & (member[:, None] == member[None, :]))
    of_student, of_teacher = _means(student, member, len(names)), _means(teacher, member, len(names))
    if detach:
        of_student = of_student.detach()
    if between == "prototype_prototype":
        return inside + pair_mean(cosine_gaps(of_student, of_teacher), off_diagonal(len(names), group.device))
    gaps = (cosines(of_student, student) - cosines(of_teacher, teacher)).square()
    return inside + pair_mean(gaps, torch.ones_like(gaps, dtype=torch.bool))


def _means(vectors: Tensor, member: Tensor, groups: int) -> Tensor:
    """(groups, d) means of the rows of each group."""
    sums = vectors.new_zeros(groups, vectors.shape[1]).index_add(0, member, vectors)
    return sums / torch.bincount(member, minlength=groups).clamp(min=1)[:, None]
