"""Bilateral softmax: the log-mean-exp of the positives against that of the negatives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recdistill.candidates.base import by_argument
from recdistill.candidates.catalogue import Catalogue
from recdistill.objectives.base import Objective, check_positive, masked_scores, valid_positions, weighted_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class BSLConfig:
    tau_positive: float = 0.1
    """τ₊: the lower, the more the best positives count and the less those that may be noise."""
    tau_negative: float = 0.1
    """τ₋: the lower, the more the hardest negatives count."""

    def __post_init__(self) -> None:
        check_positive("bsl", tau_positive=self.tau_positive, tau_negative=self.tau_negative)


class BSL(Objective):
    """-τ₊ log mean_P exp(s/τ₊) + τ₋ log mean_N exp(s/τ₋), over a user's positives and negatives (Wu et al., 2024).

    In units of the score: the gradients over the positives sum to -1, over the negatives to +1. A user needs both.
    """

    config_type = BSLConfig
    shown = by_argument({"candidates": Catalogue()})

    def __init__(self, config: BSLConfig | None = None) -> None:
        super().__init__()
        self.config = config or BSLConfig()

    def forward(
        self, student: Tensor, positives: Tensor, *, mask: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """student: scores (batch, candidates); positives: bool of the same shape; mask: the valid candidates."""
        valid = valid_positions(student, mask)
        wanted, others = positives & valid, valid & ~positives
        terms = _log_mean_exp(student, others, self.config.tau_negative)
        terms = terms - _log_mean_exp(student, wanted, self.config.tau_positive)
        return weighted_mean(terms, wanted.any(-1) & others.any(-1), weight)


def _log_mean_exp(scores: Tensor, valid: Tensor, tau: float) -> Tensor:
    count = valid.sum(-1).clamp(min=1).to(scores.dtype)
    return tau * (masked_scores(scores / tau, valid).logsumexp(-1) - torch.log(count))
