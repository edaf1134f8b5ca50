"""Softmax cross-entropy over the catalogue, plain or decoupled."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recdistill.candidates.base import by_argument
from recdistill.candidates.catalogue import Catalogue
from recdistill.objectives.base import Objective, check_positive, masked_mean, valid_positions, weighted_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftmaxConfig:
    tau: float = 1.0
    """Divides the scores; 1 where they are logits already."""
    decoupled: bool = True
    """A user's other positives stand in no denominator."""

    def __post_init__(self) -> None:
        check_positive("softmax", tau=self.tau)


class Softmax(Objective):
    """Mean over a user's positives i of log Σ_{j∈D_i} exp(s_j/τ) - s_i/τ (multinomial likelihood: Liang et al., 2018).

    D_i is everything, or, decoupled, i and the negatives only.
    """

    config_type = SoftmaxConfig
    shown = by_argument({"candidates": Catalogue()})

    def __init__(self, config: SoftmaxConfig | None = None) -> None:
        super().__init__()
        self.config = config or SoftmaxConfig()

    def forward(
        self, student: Tensor, positives: Tensor, *, mask: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """student: scores (batch, candidates); positives: bool of the same shape; mask: the valid candidates."""
        valid = valid_positions(student, mask)
        positives = positives & valid
        scores = torch.where(valid, student / self.config.tau, 0.0)
        others = valid & ~positives if self.config.decoupled else valid
        rest = torch.where(others, scores, -torch.inf)
        lowest = torch.finfo(scores.dtype).min  # not -inf: its gradient is no number
        denominator = rest.masked_fill(~others.any(-1, keepdim=True), lowest).logsumexp(-1, keepdim=True)
        if self.config.decoupled:
            denominator = torch.logaddexp(scores, denominator)
        return weighted_mean(*masked_mean(denominator - scores, positives), weight)
