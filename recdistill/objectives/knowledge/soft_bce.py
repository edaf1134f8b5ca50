"""Soft labels item by item: the teacher's probability that a user wants it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from recdistill.candidates.base import by_argument
from recdistill.candidates.catalogue import Scored
from recdistill.objectives.base import Objective, check_positive, masked_mean, valid_positions, weighted_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftBCEConfig:
    tau: float = 1.0
    """Softens both probabilities."""

    def __post_init__(self) -> None:
        check_positive("soft_bce", tau=self.tau)


class SoftBCE(Objective):
    """τ² times the mean over a user's candidates of BCE(s/τ, σ(t/τ)): pointwise soft labels (Hinton et al., 2015).

    Least at s = t, but not 0 there: the teacher's entropy stays in it. It reads absolute scores, so teacher and
    student have to be logits on the same scale.
    """

    needs = frozenset({"scores"})
    config_type = SoftBCEConfig
    shown = by_argument({"candidates": Scored()})

    def __init__(self, config: SoftBCEConfig | None = None) -> None:
        super().__init__()
        self.config = config or SoftBCEConfig()

    def forward(
        self, student: Tensor, teacher: Tensor, *, mask: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """Both are scores (batch, candidates); mask: the valid ones."""
        tau, valid = self.config.tau, valid_positions(student, mask)
        scores = (student / tau).where(valid, 0.0)
        targets = (teacher.detach() / tau).where(valid, 0.0).sigmoid()
        terms, has_term = masked_mean(binary_cross_entropy_with_logits(scores, targets, reduction="none"), valid)
        return weighted_mean(tau * tau * terms, has_term, weight)
