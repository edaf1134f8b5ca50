"""Preference-consistent distillation: projectors that keep the student's own ranking."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import linear, logsigmoid

from recdistill.candidates.base import by_argument
from recdistill.candidates.teacher_top import RankSampled
from recdistill.objectives.base import check_not_negative, check_positive, valid_positions, weighted_mean
from recdistill.objectives.knowledge.soft_kl import soft_kl_terms
from recdistill.objectives.vectors.owned import OwningObjective, distance, drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class PCKDListConfig:
    alpha: float = 0.1
    """Weight of the regulariser beside the two distances."""
    tau: float = 0.1
    """Softens both rankings of the samples. A published α at τ is this one times τ²."""

    def __post_init__(self) -> None:
        check_not_negative("pckd_list", alpha=self.alpha)
        check_positive("pckd_list", tau=self.tau)


@dataclass(frozen=True, slots=True, kw_only=True)
class PCKDPairConfig:
    alpha: float = 0.1
    """Weight of the regulariser beside the two distances."""

    def __post_init__(self) -> None:
        check_not_negative("pckd_pair", alpha=self.alpha)


class _PCKD(OwningObjective):
    """Two projectors without bias, for users and for items."""

    needs = frozenset({"vectors", "top_k"})
    shown = by_argument({"samples": RankSampled(n=5, of=100, temperature=100.0)})

    def __init__(self, *, student_dim: int, teacher_dim: int, generator: torch.Generator) -> None:
        super().__init__(student_dim=student_dim, teacher_dim=teacher_dim)
        self.projector_user = drawn(teacher_dim, student_dim, fan_in=student_dim, generator=generator)
        self.projector_item = drawn(teacher_dim, student_dim, fan_in=student_dim, generator=generator)


class PCKDList(_PCKD):
    """Mean ‖t_u - W_u s_u‖² + mean ‖t_i - W_i s_i‖² + α·τ²KL(softmax(pre/τ)‖softmax(post/τ)) (Zhu & Zhang, 2024).

    pre and post: a user's scores of items drawn from the teacher's list, before and after projection. The student's
    vectors are constants there, so that this part trains the projectors only. Owns both.
    """

    config_type = PCKDListConfig

    def __init__(
        self, config: PCKDListConfig | None = None, *, student_dim: int, teacher_dim: int, generator: torch.Generator
    ) -> None:
        super().__init__(student_dim=student_dim, teacher_dim=teacher_dim, generator=generator)
        self.config = config or PCKDListConfig()

    def forward(
        self,
        student_user: Tensor,
        student_item: Tensor,
        teacher_user: Tensor,
        teacher_item: Tensor,
        samples: Tensor,
        *,
        sample_mask: Tensor | None = None,
    ) -> Tensor:
        """Vectors of the users (B, ·) and items (n, ·) of a batch; samples (B, Q) index those items."""
        projectors = self.projector_user, self.projector_item
        near = distances(student_user, student_item, teacher_user, teacher_item, *projectors)
        kept = list_consistency(
            student_user, student_item, *projectors, samples, tau=self.config.tau, sample_mask=sample_mask
        )
        return near + self.config.alpha * kept


class PCKDPair(_PCKD):
    """As `PCKDList`, with pairs of samples: α·mean of -log σ((post₁ - post₂)(pre₁ - pre₂)) (Zhu & Zhang, 2024)."""

    config_type = PCKDPairConfig
    shown = by_argument({"samples": RankSampled(n=2, of=100, temperature=100.0)})

    def __init__(
        self, config: PCKDPairConfig | None = None, *, student_dim: int, teacher_dim: int, generator: torch.Generator
    ) -> None:
        super().__init__(student_dim=student_dim, teacher_dim=teacher_dim, generator=generator)
        self.config = config or PCKDPairConfig()

    def forward(
        self,
        student_user: Tensor,
        student_item: Tensor,
        teacher_user: Tensor,
        teacher_item: Tensor,
        samples: Tensor,
        *,
        sample_mask: Tensor | None = None,
    ) -> Tensor:
        """As in `PCKDList`, with samples (B, 2); a user needs both of them."""
        projectors = self.projector_user, self.projector_item
        near = distances(student_user, student_item, teacher_user, teacher_item, *projectors)
        kept = pair_consistency(student_user, student_item, *projectors, samples, sample_mask=sample_mask)
        return near + self.config.alpha * kept


def distances(
    student_user: Tensor,
    student_item: Tensor,
    teacher_user: Tensor,
    teacher_item: Tensor,
    projector_user: Tensor,
    projector_item: Tensor,
) -> Tensor:
    """Mean over users of ‖t - W s‖² + the same over items; projectors (d_T, d_S)."""
    users = distance(linear(student_user, projector_user), teacher_user.detach(), "squared")
    items = distance(linear(student_item, projector_item), teacher_item.detach(), "squared")
    return users.sum() / max(1, len(users)) + items.sum() / max(1, len(items))


def list_consistency(
    student_user: Tensor,
    student_item: Tensor,
    projector_user: Tensor,
    projector_item: Tensor,
    samples: Tensor,
    *,
    tau: float,
    sample_mask: Tensor | None = None,
) -> Tensor:
    """τ²KL between the rankings of the samples before and after projection, mean over users that have samples."""
    pre, post = _scores(student_user, student_item, projector_user, projector_item, samples)
    valid = valid_positions(samples, sample_mask)
    return weighted_mean(soft_kl_terms(post, pre, tau, valid), valid.any(-1), None)


def pair_consistency(
    student_user: Tensor,
    student_item: Tensor,
    projector_user: Tensor,
    projector_item: Tensor,
    samples: Tensor,
    *,
    sample_mask: Tensor | None = None,
) -> Tensor:
    """-log σ of the product of the pair's two differences, mean over users that have both samples."""
    pre, post = _scores(student_user, student_item, projector_user, projector_item, samples)
    agreement = (post[:, 0] - post[:, 1]) * (pre[:, 0] - pre[:, 1])
    return weighted_mean(-logsigmoid(agreement), valid_positions(samples, sample_mask).all(-1), None)


def _scores(
    student_user: Tensor, student_item: Tensor, projector_user: Tensor, projector_item: Tensor, samples: Tensor
) -> tuple[Tensor, Tensor]:
    """Scores (B, Q) of the samples by the student's vectors as they are, and projected."""
    users, items = student_user.detach(), student_item.detach()
    projected_users, projected_items = linear(users, projector_user), linear(items, projector_item)
    pre = torch.einsum("bd,bqd->bq", users, items[samples])
    return pre, torch.einsum("bd,bqd->bq", projected_users, projected_items[samples])
