"""Soft labels whatever the units: both sides are brought to one mean and one spread first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from recdistill.candidates.base import by_argument
from recdistill.candidates.catalogue import Scored
from recdistill.objectives.base import Objective, check_positive, weighted_mean
from recdistill.objectives.row_by_row import RowByRow
from recdistill.objectives.standardised import StandardisedCatalogue, divergence


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardisedKLConfig:
    tau: float = 0.5
    """Softens both distributions, in standard deviations of a user's scores."""

    def __post_init__(self) -> None:
        check_positive("standardised_kl", tau=self.tau)


class StandardisedKL(Objective):
    """τ²·KL(softmax(z(t)/τ)‖softmax(z(s)/τ)), z(x) = (x - mean) / deviation of a user's valid candidates.

    Logit standardisation (Sun et al., CVPR 2024).

    The student keeps a scale of its own, and the teacher's needs no temperature: the order and the shape are taught.
    """

    needs = frozenset({"scores"})
    config_type = StandardisedKLConfig
    shown = by_argument({"candidates": Scored()})

    def __init__(self, config: StandardisedKLConfig | None = None) -> None:
        super().__init__()
        self.config = config or StandardisedKLConfig()

    def forward(
        self, student: Tensor, teacher: Tensor, *, mask: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """Both are scores (batch, candidates); mask: the valid ones. A row whose scores are all the same is even."""
        terms = RowByRow.apply(student, teacher.detach(), mask, partial(divergence, self.config.tau))
        valid = terms.new_ones(terms.shape, dtype=torch.bool) if mask is None else mask.any(-1)
        return weighted_mean(terms, valid, weight)

    def over_catalogue(
        self,
        users: Tensor,
        items: Tensor,
        bias: Tensor,
        teacher: Callable[[slice], tuple[Tensor, Tensor | None]],
        *,
        mask: Callable[[slice], Tensor] | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """The same of scores users (batch, d) @ items.T (d, n_items) + bias, never held whole. `teacher` gives its
        scores of some users (rows, n_items) and, where that is known, 1 / their deviation over `mask` (rows, 1)."""
        weight = users.new_ones(len(users)) if weight is None else weight.detach()
        found: Tensor = StandardisedCatalogue.apply(users, items, bias, teacher, mask, weight, self.config.tau)
        return found
