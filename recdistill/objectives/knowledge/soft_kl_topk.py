"""Soft labels from a stored list: the teacher's top items, and one bucket for all the rest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recdistill.errors import ConfigError
from recdistill.objectives.base import Objective, masked_scores, weighted_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftKLTopKConfig:
    tau: float = 1.0
    """Softens both distributions; the tail mass must be the teacher's at this τ."""

    def __post_init__(self) -> None:
        if not self.tau > 0:
            raise ConfigError(f"soft_kl_topk: tau must be above 0, found {self.tau}.")


class SoftKLTopK(Objective):
    """τ² [Σ_K p_k log(p_k/q_k) + m log(m/q_R)]: the list K one by one, everything outside as one bucket of mass m."""

    def __init__(self, config: SoftKLTopKConfig | None = None) -> None:
        super().__init__()
        self.config = config or SoftKLTopKConfig()

    def forward(
        self,
        student: Tensor,
        top: Tensor,
        teacher_top: Tensor,
        tail_mass: Tensor,
        *,
        top_mask: Tensor | None = None,
        mask: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """student (batch, candidates); top and teacher_top (batch, K): indices and scores; tail_mass (batch,)."""
        tau = self.config.tau
        valid = torch.ones_like(student, dtype=torch.bool) if mask is None else mask
        in_list = torch.ones_like(top, dtype=torch.bool) if top_mask is None else top_mask
        listed = torch.zeros_like(valid, dtype=torch.int8)
        listed = listed.scatter_reduce(-1, top, in_list.to(torch.int8), "amax").bool()
        rest = valid & ~listed

        scores = torch.where(valid, student / tau, 0.0)
        normaliser = masked_scores(scores, valid).logsumexp(-1)
        log_rest = masked_scores(scores, rest).logsumexp(-1) - normaliser
        log_q = torch.where(in_list, scores.gather(-1, top) - normaliser[:, None], 0.0)

        m = torch.where(rest.any(-1), tail_mass.detach().to(student.dtype), 0.0)
        log_p = masked_scores(teacher_top.detach() / tau, in_list).log_softmax(-1) + torch.log1p(-m)[:, None]
        p = torch.where(in_list, log_p.exp(), 0.0)
        in_buckets = torch.where(p > 0, p * (log_p - log_q), 0.0).sum(-1)
        in_tail = torch.where(m > 0, m * (m.clamp(min=torch.finfo(m.dtype).tiny).log() - log_rest), 0.0)
        return weighted_mean(tau * tau * (in_buckets + in_tail), in_list.any(-1), weight)
