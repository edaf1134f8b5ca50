"""Distillation Experts: several projectors, of which the teacher's vector chooses one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear, relu

from recdistill.errors import ConfigError
from recdistill.objectives.base import check_positive, valid_positions, weighted_mean
from recdistill.objectives.vectors.owned import OwningObjective, distance, drawn, rows_where


@dataclass(frozen=True, slots=True, kw_only=True)
class DEConfig:
    experts: int = 5
    """M; the paper searches up to 30."""
    hidden: int | None = None
    """Width of an expert's hidden layer; None: half the sum of both models' widths."""
    temperature: float = 1.0
    """T of the Gumbel softmax at the start of training."""
    last_temperature: float = 1e-10
    """T at its end, reached by equal factors: from a mixture of experts to one."""

    def __post_init__(self) -> None:
        check_positive("de", temperature=self.temperature, last_temperature=self.last_temperature)
        if self.experts < 1 or (self.hidden is not None and self.hidden < 1):
            raise ConfigError(f"de: experts and hidden must be 1 or more, found {self.experts} and {self.hidden}.")


class Experts(NamedTuple):
    """E_m(s) = W₂ ReLU(W₁ s + b₁) + b₂ of M experts, and the selector that reads the teacher's vector."""

    expert_w1: Tensor  # (M, h, d_S)
    expert_b1: Tensor  # (M, h)
    expert_w2: Tensor  # (M, d_T, h)
    expert_b2: Tensor  # (M, d_T)
    selector: Tensor  # (M, d_T)
    selector_bias: Tensor  # (M,)


class DE(OwningObjective):
    """Mean over entities of ‖t - Σ_m z_m E_m(s)‖², z = softmax((log α + g)/T) (DE-RRD: Kang et al., 2020).

    α = softmax(V t + c) is the selector's choice by the teacher's vector, g Gumbel noise, T falls while training.
    Owns experts and selector. Users and items each have their own.
    """

    needs = frozenset({"vectors"})
    config_type = DEConfig
    entities = "each side"
    temperature: Tensor

    def __init__(
        self, config: DEConfig | None = None, *, student_dim: int, teacher_dim: int, generator: torch.Generator
    ) -> None:
        super().__init__(student_dim=student_dim, teacher_dim=teacher_dim)
        self.config = config or DEConfig()
        m, h = self.config.experts, self.config.hidden or (student_dim + teacher_dim) // 2
        self.expert_w1 = drawn(m, h, student_dim, fan_in=student_dim, generator=generator)
        self.expert_b1 = drawn(m, h, fan_in=student_dim, generator=generator)
        self.expert_w2 = drawn(m, teacher_dim, h, fan_in=h, generator=generator)
        self.expert_b2 = drawn(m, teacher_dim, fan_in=h, generator=generator)
        self.selector = drawn(m, teacher_dim, fan_in=teacher_dim, generator=generator)
        self.selector_bias = drawn(m, fan_in=teacher_dim, generator=generator)
        self.register_buffer("temperature", torch.tensor(self.config.temperature))

    @property
    def noise(self) -> int:
        return self.config.experts

    @property
    def experts(self) -> Experts:
        return Experts(*(getattr(self, name) for name in Experts._fields))

    def advance(self, progress: float) -> None:
        """T = T₀·(T₁/T₀)^progress."""
        config = self.config
        self.temperature.fill_(config.temperature * (config.last_temperature / config.temperature) ** progress)

    def preferred(self, teacher: Tensor) -> Tensor:
        """The expert (n,) that the selector puts first for the teacher's vectors, noise aside."""
        return linear(teacher.detach(), self.selector, self.selector_bias).argmax(-1)

    def forward(
        self,
        student: Tensor,
        teacher: Tensor,
        gumbel: Tensor,
        *,
        entity_mask: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """Vectors of the same entities, student (n, d_S) and teacher (n, d_T); gumbel: noise (n, M)."""
        return de(student, teacher, gumbel, self.experts, self.temperature, entity_mask=entity_mask, weight=weight)


def de(
    student: Tensor,
    teacher: Tensor,
    gumbel: Tensor,
    experts: Experts,
    temperature: float | Tensor,
    *,
    entity_mask: Tensor | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """The loss with given experts. The choice z weighs the hidden layers, so that no (n, M, d_T) array is made."""
    student, teacher = rows_where(entity_mask, student), rows_where(entity_mask, teacher.detach())
    chosen = choice(teacher, gumbel, experts, temperature)
    hidden = relu(torch.einsum("nd,mhd->nmh", student, experts.expert_w1) + experts.expert_b1)
    mixed = torch.einsum("nmh,mth->nt", hidden * chosen[..., None], experts.expert_w2) + chosen @ experts.expert_b2
    terms = distance(mixed, teacher, "squared")
    return weighted_mean(terms, valid_positions(terms, entity_mask), weight)


def choice(teacher: Tensor, gumbel: Tensor, experts: Experts, temperature: float | Tensor) -> Tensor:
    """z (n, M): how much each expert counts for each entity."""
    log_alpha = linear(teacher, experts.selector, experts.selector_bias).log_softmax(-1)
    return ((log_alpha + gumbel.detach()) / temperature).softmax(-1)


def gumbel_noise(rows: int, experts: int, generator: torch.Generator) -> Tensor:
    """(rows, experts) draws of the standard Gumbel distribution, on the generator's device."""
    waits = torch.empty(rows, experts, device=generator.device).exponential_(generator=generator)
    return -waits.clamp_min(torch.finfo(waits.dtype).tiny).log()
