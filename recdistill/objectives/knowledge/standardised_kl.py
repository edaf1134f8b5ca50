"""Soft labels whatever the units: both sides are brought to one mean and one spread first."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recdistill.candidates.base import by_argument
from recdistill.candidates.catalogue import Scored
from recdistill.objectives.base import Objective, check_positive, valid_positions, weighted_mean
from recdistill.objectives.knowledge.soft_kl import soft_kl_terms

LEAST = 1e-12
"""Variance below which scores are all the same but for rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardisedKLConfig:
    tau: float = 0.5
    """Softens both distributions, in standard deviations of a user's scores."""

    def __post_init__(self) -> None:
        check_positive("standardised_kl", tau=self.tau)


class StandardisedKL(Objective):
    """τ²·KL(softmax(z(t)/τ)‖softmax(z(s)/τ)), z(x) = (x - mean) / deviation of a user's valid candidates.

    Logit standardisation (Sun et al., CVPR 2024).

    The student keeps a scale of its own, and the teacher's needs no temperature: the order and the shape are taught.
    """

    needs = frozenset({"scores"})
    config_type = StandardisedKLConfig
    shown = by_argument({"candidates": Scored()})

    def __init__(self, config: StandardisedKLConfig | None = None) -> None:
        super().__init__()
        self.config = config or StandardisedKLConfig()

    def forward(
        self, student: Tensor, teacher: Tensor, *, mask: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """Both are scores (batch, candidates); mask: the valid ones. A row whose scores are all the same is even."""
        valid = valid_positions(student, mask)
        left, right = standardised(student, valid), standardised(teacher.detach(), valid)
        return weighted_mean(soft_kl_terms(left, right, self.config.tau, mask), valid.any(-1), weight)


def standardised(scores: Tensor, valid: Tensor) -> Tensor:
    """Mean 0 and deviation 1 over a row's valid candidates; 0 at the others, and in rows without a deviation."""
    count = valid.sum(-1, keepdim=True).clamp(min=1)
    centred = torch.where(valid, scores, 0.0)
    centred = torch.where(valid, centred - centred.sum(-1, keepdim=True) / count, 0.0)
    variance = centred.square().sum(-1, keepdim=True) / count
    return torch.where(variance > LEAST, centred * variance.clamp(min=LEAST).rsqrt(), 0.0)
