"""The teacher's top items taken as positives: three forms, three classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from recdistill.errors import ConfigError
from recdistill.objectives.base import Objective, weighted_mean
from recdistill.objectives.labels.softmax import Softmax, SoftmaxConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class HardLabelsConfig:
    tau: float = 1.0
    """Divides the scores in the softmax form; the others do not use it."""

    def __post_init__(self) -> None:
        if not self.tau > 0:
            raise ConfigError(f"hard_labels: tau must be above 0, found {self.tau}.")


class HardLabelsSoftplus(Objective):
    """Mean over the teacher's list of -log σ(s_i)."""

    def forward(
        self, student: Tensor, top: Tensor, *, top_mask: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """student: scores (batch, candidates); top: the teacher's list (batch, K)."""
        listed = torch.ones_like(top, dtype=torch.bool) if top_mask is None else top_mask
        scores = torch.where(listed, student.gather(-1, top), 0.0)
        count = listed.sum(-1)
        terms = torch.where(listed, softplus(-scores, threshold=100.0), 0.0).sum(-1) / count.clamp(min=1)
        return weighted_mean(terms, count > 0, weight)


class HardLabelsSoftmax(Objective):
    """The decoupled softmax with the teacher's list as the positives and everything else as negatives."""

    def __init__(self, config: HardLabelsConfig | None = None) -> None:
        super().__init__()
        self.config = config or HardLabelsConfig()
        self.softmax = Softmax(SoftmaxConfig(tau=self.config.tau, decoupled=True))

    def forward(
        self,
        student: Tensor,
        top: Tensor,
        *,
        top_mask: Tensor | None = None,
        mask: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """student: scores (batch, candidates); top: the teacher's list (batch, K)."""
        listed = torch.ones_like(top, dtype=torch.int8) if top_mask is None else top_mask.to(torch.int8)
        positives = torch.zeros_like(student, dtype=torch.int8).scatter_reduce(-1, top, listed, "amax").bool()
        return self.softmax(student, positives, mask=mask, weight=weight)


class HardLabelsBPR(Objective):
    """Mean over pairs of an item of the teacher's list and a negative of -log σ(s_i - s_j)."""

    def forward(
        self,
        student: Tensor,
        top: Tensor,
        negatives: Tensor,
        *,
        top_mask: Tensor | None = None,
        negative_mask: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """student: scores (batch, candidates); top (batch, K) and negatives (batch, N): indices."""
        listed = torch.ones_like(top, dtype=torch.bool) if top_mask is None else top_mask
        drawn = torch.ones_like(negatives, dtype=torch.bool) if negative_mask is None else negative_mask
        pairs = listed[:, :, None] & drawn[:, None, :]
        gap = student.gather(-1, top)[:, :, None] - student.gather(-1, negatives)[:, None, :]  # (batch, K, N)
        gap = torch.where(pairs, gap, 0.0)
        count = pairs.sum((-2, -1))
        terms = torch.where(pairs, softplus(-gap, threshold=100.0), 0.0).sum((-2, -1)) / count.clamp(min=1)
        return weighted_mean(terms, count > 0, weight)
