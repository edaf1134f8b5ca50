"""Soft labels over all candidates."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recdistill.errors import ConfigError
from recdistill.objectives.base import Objective, masked_log_softmax, weighted_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftKLConfig:
    tau: float = 1.0
    """Softens both distributions; match it to the spread of the teacher's scores."""

    def __post_init__(self) -> None:
        if not self.tau > 0:
            raise ConfigError(f"soft_kl: tau must be above 0, found {self.tau}.")


class SoftKL(Objective):
    """τ²·KL(p‖q), p = softmax(t/τ), q = softmax(s/τ), over the valid candidates (Hinton et al., 2015)."""

    def __init__(self, config: SoftKLConfig | None = None) -> None:
        super().__init__()
        self.config = config or SoftKLConfig()

    def forward(
        self, student: Tensor, teacher: Tensor, *, mask: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """Both are scores (batch, candidates)."""
        tau = self.config.tau
        log_p = masked_log_softmax(teacher.detach() / tau, mask)
        log_q = masked_log_softmax(student / tau, mask)
        gap = log_p.exp() * (log_p - log_q)
        valid = torch.ones_like(student, dtype=torch.bool) if mask is None else mask
        terms = tau * tau * torch.where(valid, gap, 0.0).sum(-1)
        return weighted_mean(terms, valid.any(-1), weight)
