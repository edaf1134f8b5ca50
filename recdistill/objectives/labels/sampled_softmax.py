"""Softmax cross-entropy against drawn negatives, corrected for how they were drawn."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recdistill.candidates.base import by_argument
from recdistill.candidates.own import Own
from recdistill.candidates.unused import InBatch
from recdistill.objectives.base import Objective, check_positive, valid_positions, weighted_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledSoftmaxConfig:
    tau: float = 1.0
    """Divides the scores; 1 where they are logits already."""

    def __post_init__(self) -> None:
        check_positive("sampled_softmax", tau=self.tau)


class SampledSoftmax(Objective):
    """log(e^a + Σ_j e^{b_j}) - a, a = s₊/τ - log q₊, b_j = s_j/τ - log q_j (logQ: Bengio & Senécal, 2008).

    q is the probability with which an item is drawn; without it all are taken as equally likely. Drawn negatives
    that are positives of the row are to be masked. Every row has a term; without negatives it is 0.
    """

    config_type = SampledSoftmaxConfig
    shown = by_argument({"positives": Own(n=20), "negatives": InBatch(n=100)})

    def __init__(self, config: SampledSoftmaxConfig | None = None) -> None:
        super().__init__()
        self.config = config or SampledSoftmaxConfig()

    def forward(
        self,
        student_positive: Tensor,
        student_negative: Tensor,
        *,
        negative_mask: Tensor | None = None,
        log_q_positive: Tensor | None = None,
        log_q_negative: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """Scores of the positive (batch,) and of its negatives (batch, N); log q of both in the same shapes."""
        positive, negative = student_positive / self.config.tau, student_negative / self.config.tau
        if log_q_positive is not None:
            positive = positive - log_q_positive.detach()
        if log_q_negative is not None:
            negative = negative - log_q_negative.detach()
        negative = negative.where(valid_positions(negative, negative_mask), -torch.inf)
        terms = torch.cat([positive[:, None], negative], dim=1).logsumexp(1) - positive
        return weighted_mean(terms, torch.ones_like(terms, dtype=torch.bool), weight)
