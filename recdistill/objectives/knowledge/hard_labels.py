"""The teacher's top items taken as positives: three forms, three classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from recdistill.candidates.base import by_argument
from recdistill.candidates.catalogue import Catalogue
from recdistill.candidates.teacher_top import TeacherTop
from recdistill.candidates.unused import Uniform
from recdistill.objectives.base import (
    Objective,
    check_positive,
    gather_valid,
    masked_mean,
    membership,
    valid_positions,
    weighted_mean,
)
from recdistill.objectives.listwise import group_logsumexp


class HardLabelsSoftplus(Objective):
    """Mean over the teacher's list of -log σ(s_i): RD without places (Tang & Wang, 2018, w = 1/K)."""

    needs = frozenset({"top_k"})
    shown = by_argument({"top": TeacherTop(k=10)})

    def forward(
        self, student: Tensor, top: Tensor, *, top_mask: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """student: scores (batch, candidates); top: the teacher's list (batch, K)."""
        listed = valid_positions(top, top_mask)
        return weighted_mean(*masked_mean(-logsigmoid(gather_valid(student, top, listed)), listed), weight)


@dataclass(frozen=True, slots=True, kw_only=True)
class HardLabelsSoftmaxConfig:
    tau: float = 1.0
    """Divides the scores; 1 where they are logits already."""

    def __post_init__(self) -> None:
        check_positive("hard_labels_softmax", tau=self.tau)


class HardLabelsSoftmax(Objective):
    """The decoupled softmax with the teacher's list as the positives and everything else as negatives."""

    needs = frozenset({"top_k"})
    config_type = HardLabelsSoftmaxConfig
    shown = by_argument({"candidates": Catalogue(unseen=True), "top": TeacherTop(k=10)})

    def __init__(self, config: HardLabelsSoftmaxConfig | None = None) -> None:
        super().__init__()
        self.config = config or HardLabelsSoftmaxConfig()

    def forward(
        self,
        student: Tensor,
        top: Tensor,
        *,
        top_mask: Tensor | None = None,
        mask: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """student: scores (batch, candidates); top: the teacher's list (batch, K); mask: the valid candidates."""
        listed = valid_positions(top, top_mask)
        outside = ~membership(top, listed, student)
        if mask is not None:
            listed, outside = listed & mask.gather(-1, top), outside & mask
        scores = student if self.config.tau == 1.0 else student / self.config.tau
        above, rest = gather_valid(scores, top, listed), group_logsumexp(scores, outside)
        return weighted_mean(*masked_mean(torch.logaddexp(above, rest[:, None]) - above, listed), weight)


class HardLabelsBPR(Objective):
    """Mean over pairs of an item of the teacher's list and a negative of -log σ(s_i - s_j)."""

    needs = frozenset({"top_k"})
    shown = by_argument({"top": TeacherTop(k=10), "negatives": Uniform(n=10, apart_from=("top",))})

    def forward(
        self,
        student: Tensor,
        top: Tensor,
        negatives: Tensor,
        *,
        top_mask: Tensor | None = None,
        negative_mask: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """student: scores (batch, candidates); top (batch, K) and negatives (batch, N): indices."""
        listed, drawn = valid_positions(top, top_mask), valid_positions(negatives, negative_mask)
        above, below = gather_valid(student, top, listed), gather_valid(student, negatives, drawn)
        gap = above[:, :, None] - below[:, None, :]  # (batch, K, N)
        pairs = listed[:, :, None] & drawn[:, None, :]
        return weighted_mean(*masked_mean(-logsigmoid(gap).flatten(1), pairs.flatten(1)), weight)
