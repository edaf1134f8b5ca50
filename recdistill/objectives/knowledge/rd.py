"""Ranking Distillation: the teacher's top list as positives that count by their place."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from recdistill.candidates.base import by_argument
from recdistill.candidates.teacher_top import TeacherTop
from recdistill.candidates.unused import Uniform
from recdistill.errors import ConfigError
from recdistill.objectives.base import Objective, check_positive, gather_valid, valid_positions, weighted_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class RDConfig:
    decay: float = 1.0
    """λ: a place weighs e^{-k/λ}; the larger, the more even."""
    mu: float = 0.1
    """μ: how fast the weight grows with the places by which the student ranks an item too low."""
    dynamic: bool = True
    """Weigh by the student's mistakes, too; needs samples. Papers switch it on after a few epochs."""
    renormalise: bool = False
    """Make the product of the two weights sum to one again."""
    item_count: int | None = None
    """Size of the catalogue in which the student's rank is estimated; None: the number of candidates."""

    def __post_init__(self) -> None:
        check_positive("rd", decay=self.decay, mu=self.mu)
        if self.item_count is not None and self.item_count < 1:
            raise ConfigError(f"rd: item_count must be 1 or more, found {self.item_count}.")


class RD(Objective):
    """Σ_k w_k·(-log σ(s_k)) over the teacher's list (Ranking Distillation: Tang & Wang, 2018).

    w_k = e^{-k/λ} / Σ_j e^{-j/λ}, times tanh(μ·max(0, rank_k - k)) where dynamic: rank_k is the student's rank of the
    item, estimated from the share of drawn items that it scores above. The weights are constants.
    """

    needs = frozenset({"top_k"})
    config_type = RDConfig
    shown = by_argument({"top": TeacherTop(k=10), "samples": Uniform(n=100)})

    def __init__(self, config: RDConfig | None = None) -> None:
        super().__init__()
        self.config = config or RDConfig()

    def forward(
        self,
        student: Tensor,
        top: Tensor,
        samples: Tensor | None = None,
        *,
        top_mask: Tensor | None = None,
        sample_mask: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """student: scores (batch, candidates); top (batch, K), best first; samples: drawn uniformly (batch, M)."""
        valid = valid_positions(top, top_mask)
        scores = gather_valid(student, top, valid)
        place = valid.cumsum(-1)
        shares = torch.where(valid, (-place.to(student.dtype) / self.config.decay), -torch.inf)
        shares = shares.masked_fill(~valid.any(-1, keepdim=True), 0.0).softmax(-1)
        if self.config.dynamic:
            if samples is None:
                raise ConfigError("rd: dynamic weights need samples of items; give them or set dynamic = false.")
            drawn = valid_positions(samples, sample_mask)
            count = self.config.item_count or student.shape[-1]
            rank = estimated_rank(scores.detach(), student.detach().gather(-1, samples), drawn, count)
            behind = (rank - place).clamp(min=0).to(student.dtype)
            shares = torch.where(valid, shares * torch.tanh(self.config.mu * behind), 0.0)
            if self.config.renormalise:
                total = shares.sum(-1, keepdim=True)
                shares = shares / total.where(total > 0, 1.0)
        terms = torch.where(valid, -shares * logsigmoid(scores), 0.0).sum(-1)
        return weighted_mean(terms, valid.any(-1), weight)


def estimated_rank(scores: Tensor, sampled: Tensor, drawn: Tensor, item_count: int) -> Tensor:
    """1 + ⌊(item_count - 1)·c/M⌋, c of the M drawn scores being strictly above; whole numbers (batch, K), from 1."""
    ascending = sampled.where(drawn, -torch.inf).sort(-1).values
    above = sampled.shape[-1] - torch.searchsorted(ascending, scores.contiguous(), right=True)
    count = drawn.sum(-1, keepdim=True).clamp(min=1)
    return 1 + torch.div((item_count - 1) * above, count, rounding_mode="floor")
