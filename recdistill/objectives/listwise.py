"""The likelihood of an order, shared by the listwise objectives: every item of a list above those after it and below.

All in logarithms: a score of ±800 is a score. What is left out gets the lowest finite score and not -inf, because
the derivative of a cumulative log-sum-exp is no number where a whole prefix is -inf.
"""

from __future__ import annotations

import torch
from torch import Tensor

from recdistill.objectives.base import gather_valid, masked_mean, masked_scores, valid_positions, weighted_mean


def lowest(scores: Tensor) -> float:
    """A score that adds nothing to any log-sum-exp; a quarter of the type's range, so that differences stay in it."""
    return torch.finfo(scores.dtype).min / 4


def group_logsumexp(scores: Tensor, valid: Tensor) -> Tensor:
    """log Σ e^s over the valid ones of the last dimension; `lowest` where there is none."""
    total = masked_scores(scores, valid).logsumexp(-1)
    return total.masked_fill(~valid.any(-1), lowest(scores))


def order_losses(scores: Tensor, valid: Tensor, below: Tensor) -> Tensor:
    """log(Σ_{j≥k} e^{s_j} + e^below) - s_k at every position k (…, K) of a list, best first, over its valid ones.

    below (…,): log-sum-exp of what stands under the whole list. What is at positions that are not valid means nothing.
    """
    ascending = scores.where(valid, lowest(scores)).flip(-1)
    under = torch.cat([below[..., None], ascending], dim=-1).logcumsumexp(-1)
    return under[..., 1:].flip(-1) - scores


def list_loss(
    student: Tensor,
    above: Tensor,
    below: Tensor,
    above_mask: Tensor | None,
    below_mask: Tensor | None,
    weight: Tensor | None,
) -> Tensor:
    """Weighted mean over rows of the mean of `order_losses`; student (batch, candidates), lists (batch, K), (batch, L).

    The order of `above` is the message, that of `below` is not. A row has a term if anything is above.
    """
    ordered = valid_positions(above, above_mask)
    rest = group_logsumexp(student.gather(-1, below), valid_positions(below, below_mask))
    losses = order_losses(gather_valid(student, above, ordered), ordered, rest)
    return weighted_mean(*masked_mean(losses, ordered), weight)
