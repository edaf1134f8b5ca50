"""Soft labels from a stored list: the teacher's top items, and one bucket for all the rest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recdistill.candidates.base import by_argument
from recdistill.candidates.catalogue import Catalogue
from recdistill.candidates.teacher_top import TeacherTop
from recdistill.objectives.base import (
    Objective,
    check_positive,
    gather_valid,
    masked_scores,
    membership,
    valid_positions,
    weighted_mean,
)
from recdistill.objectives.listwise import group_logsumexp


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftKLTopKConfig:
    tau: float = 1.0
    """Softens both distributions; the tail mass must be the teacher's at this τ."""

    def __post_init__(self) -> None:
        check_positive("soft_kl_topk", tau=self.tau)


class SoftKLTopK(Objective):
    """τ² [Σ_K p_k log(p_k/q_k) + m log(m/q_R)]: the list K one by one, everything outside as one bucket of mass m.

    Soft labels (Hinton et al., 2015) for a teacher that is stored as lists. Merging the rest loses information: the
    value is never above that of `soft_kl`.
    """

    needs = frozenset({"top_k", "scores"})
    config_type = SoftKLTopKConfig
    shown = by_argument({"candidates": Catalogue(), "top": TeacherTop(k=None, unseen=False)})

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
        in_list = valid_positions(top, top_mask)
        outside = ~membership(top, in_list, student)
        rest = outside if mask is None else outside & mask

        scores = student if tau == 1.0 else student / tau
        listed = gather_valid(scores, top, in_list)
        of_rest = group_logsumexp(scores, rest)
        normaliser = torch.logaddexp(group_logsumexp(listed, in_list), of_rest)
        log_rest = of_rest - normaliser
        log_q = torch.where(in_list, listed - normaliser[:, None], 0.0)

        m = torch.where(rest.any(-1), tail_mass.detach().to(student.dtype), 0.0)
        log_p = masked_scores(teacher_top.detach() / tau, in_list).log_softmax(-1) + torch.log1p(-m)[:, None]
        p = torch.where(in_list, log_p.exp(), 0.0)
        in_buckets = torch.where(p > 0, p * (log_p - log_q), 0.0).sum(-1)
        in_tail = torch.where(m > 0, m * (m.clamp(min=torch.finfo(m.dtype).tiny).log() - log_rest), 0.0)
        return weighted_mean(tau * tau * (in_buckets + in_tail), in_list.any(-1), weight)
