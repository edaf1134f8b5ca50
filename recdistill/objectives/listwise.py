"""The likelihood of an order, shared by the listwise objectives: every item of a list above those after it and below.

All in logarithms: a score of ±800 is a score. What is left out gets the lowest finite score and not -inf, because
the derivative of a cumulative log-sum-exp is no number where a whole prefix is -inf.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from recdistill.objectives.base import gather_valid, masked_mean, valid_positions, weighted_mean


def lowest(scores: Tensor) -> float:
    """A score that adds nothing to any log-sum-exp; a quarter of the type's range, so that differences stay in it."""
    return torch.finfo(scores.dtype).min / 4


def group_logsumexp(scores: Tensor, valid: Tensor) -> Tensor:
    """log Σ e^s over the valid ones of the last dimension; `lowest` where there is none."""
    total: Tensor = _GroupLogSumExp.apply(scores, valid)
    return total


class _GroupLogSumExp(torch.autograd.Function):
    """With its softmax kept for the gradient: over a catalogue a quarter of the time that masking before takes."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, valid: Tensor) -> Tensor:
        found, shares, total = _summed(scores, valid)
        ctx.save_for_backward(shares, total)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        shares, total = ctx.saved_tensors
        return shares * (grad[..., None] / total), None


def _summed(scores: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The log-sum-exp (…,), e^(s - largest) of the valid ones (…, candidates), their sum (…, 1), 1 where none is."""
    masked = scores.where(valid, -torch.inf)
    best = masked.amax(-1, keepdim=True) if masked.shape[-1] else masked.new_full((*masked.shape[:-1], 1), -torch.inf)
    best = best.masked_fill(best == -torch.inf, 0.0)
    shares = masked.sub_(best).exp_()
    total = shares.sum(-1, keepdim=True)
    found = (total.log() + best).masked_fill(total == 0, lowest(scores))
    return found[..., 0], shares, total.masked_fill(total == 0, 1.0)


def listed_and_rest(scores: Tensor, index: Tensor, valid: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
    """`gather_valid` of the lists (…, K) and `group_logsumexp` of the rest, with one gradient matrix for both: over a
    catalogue that of each alone, and their sum, cost as much as the loss."""
    found: tuple[Tensor, Tensor] = _ListedAndRest.apply(scores, index, valid, rest)
    return found


class _ListedAndRest(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, index: Tensor, valid: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
        found, shares, total = _summed(scores, rest)
        ctx.save_for_backward(index, valid, shares, total)
        return gather_valid(scores, index, valid), found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_listed: Tensor, of_rest: Tensor) -> tuple[Tensor | None, ...]:
        index, valid, shares, total = ctx.saved_tensors
        gradient = shares * (of_rest[..., None] / total)
        return gradient.scatter_add_(-1, index, of_listed.masked_fill(~valid, 0.0)), None, None, None


def first_valid(scores: Tensor, valid: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The first `count` valid entries of lists (…, K), closed up, (…, count), and which of these there are."""
    place = valid.cumsum(-1) - 1
    place = place.where(valid & (place < count), count)
    kept = scores.new_zeros(*scores.shape[:-1], count + 1).scatter(-1, place, scores)[..., :count]
    return kept, torch.arange(count, device=scores.device) < valid.sum(-1, keepdim=True)


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
