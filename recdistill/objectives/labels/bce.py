"""Pointwise binary cross-entropy."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from recdistill.candidates.base import by_argument
from recdistill.candidates.joined import Joined
from recdistill.candidates.own import Own
from recdistill.candidates.unused import Uniform
from recdistill.objectives.base import Objective, masked_mean, valid_positions, weighted_mean


class BCE(Objective):
    """Mean over a user's candidates of -y log σ(s) - (1 - y) log(1 - σ(s)) (as in NCF, He et al., 2017)."""

    shown = by_argument({"candidates": Joined((Own(n=20), Uniform(n=40)))})

    def forward(
        self, student: Tensor, labels: Tensor, *, mask: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """student: scores (batch, candidates); labels: bool, or numbers in [0, 1], of the same shape."""
        valid = valid_positions(student, mask)
        scores, wanted = student.where(valid, 0.0), labels.to(student.dtype).detach().where(valid, 0.0)
        values = binary_cross_entropy_with_logits(scores, wanted, reduction="none")
        return weighted_mean(*masked_mean(values, valid), weight)
