"""What every objective is: a function of tensors, a mean over the users (or entities) that have a term."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Objective(nn.Module):
    """A loss of tensors. It may own projectors and a schedule; it never holds a teacher or a student.

    Convention: within a user a mean over list positions, over the batch the weighted mean of the users that have a
    term, so that a weight of 1 means the same everywhere; temperature-softened divergences carry τ².
    """


def weighted_mean(terms: Tensor, has_term: Tensor, weight: Tensor | None) -> Tensor:
    """Σ w·ℓ / Σ w over the rows with a term; 0, with zero gradients, where there is none. All inputs are (batch,)."""
    weight = has_term.to(terms.dtype) if weight is None else weight.to(terms.dtype) * has_term
    total = weight.sum()
    kept = torch.where(has_term, terms, 0.0)
    return (kept * weight.detach()).sum() / torch.where(total > 0, total, 1.0)


def masked_log_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Log-softmax over the valid candidates; 0 at masked ones, which get no gradient. Rows without any are all 0."""
    if mask is None:
        return scores.log_softmax(-1)
    logits = masked_scores(scores, mask)
    return torch.where(mask, logits - logits.logsumexp(-1, keepdim=True), 0.0)


def masked_scores(scores: Tensor, mask: Tensor) -> Tensor:
    """Scores with -inf at masked candidates; a row that is masked whole becomes 0, so that gradients stay numbers."""
    empty = ~mask.any(-1, keepdim=True)
    return torch.where(mask, scores, -torch.inf).masked_fill(empty, 0.0)


def gather_mask(mask: Tensor | None, index: Tensor, index_mask: Tensor | None) -> Tensor:
    """Which positions of an index list count: valid in the list."""
    valid = torch.ones_like(index, dtype=torch.bool) if index_mask is None else index_mask
    return valid if mask is None else valid & mask.gather(-1, index)
