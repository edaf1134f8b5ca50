"""Pairwise ranking of items that are wanted over items that are not known to be."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from recdistill.candidates.base import by_argument
from recdistill.candidates.pairs import LabelPairs
from recdistill.objectives.base import Objective, gather_valid, masked_mean, valid_positions, weighted_mean


class BPR(Objective):
    """Mean over a user's pairs (i, j) of -log σ(s_i - s_j) (Rendle et al., 2009). A pair given twice counts twice."""

    shown = by_argument({("higher", "lower"): LabelPairs(n=20)})

    def forward(
        self,
        student: Tensor,
        higher: Tensor,
        lower: Tensor,
        *,
        pair_mask: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """student: scores (batch, candidates); higher and lower: the two sides of the pairs, indices (batch, n)."""
        valid = valid_positions(higher, pair_mask)
        gap = gather_valid(student, higher, valid) - gather_valid(student, lower, valid)
        return weighted_mean(*masked_mean(-logsigmoid(gap), valid), weight)
