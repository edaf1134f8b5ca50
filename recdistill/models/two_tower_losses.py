"""What a step of the two-tower's training makes small: labels, and what a teacher tells beside them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from recdistill.distillation.student import Vectors
from recdistill.models.two_tower_features import OwnRowDropout
from recdistill.models.two_tower_nested import NestedLoss, prefix
from recdistill.models.two_tower_rules import TwoTowerPlan, leaves_out_used
from recdistill.objectives.catalogue import CatalogueConfig, CatalogueLoss
from recdistill.objectives.teacher_tile import TeacherSource
from recdistill.training.device import product_precision
from recdistill.training.state import Resumable
from recdistill.training.teacher import teacher_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from recdistill.data.interactions import Interactions
    from recdistill.distillation.taught import Labels, Taught
    from recdistill.knowledge.store import Knowledge
    from recdistill.models.towers import Towers
    from recdistill.training.batches import Batch


class SoftLabels(NamedTuple):
    """A teacher's scores, asked for in every step."""

    source: TeacherSource
    unseen_only: bool
    """Whether they are about the items that a user has not used."""

    @classmethod
    def of(cls, plan: TwoTowerPlan, knowledge: Knowledge, log: Interactions, device: torch.device) -> SoftLabels:
        unseen_only = leaves_out_used(plan, whole="all_scores" in knowledge.gives)
        used = log.csr() if unseen_only else None
        return cls(teacher_source(knowledge, temperature=plan.temperature, device=device, unseen=used), unseen_only)

    def among(self, batch: Batch) -> TeacherSource:
        """Of the items that the batch is scored against."""
        return self.source if batch.shown is None else self.source.among(batch.shown.items, batch.shown.offset)


class StepLoss(ABC):
    """The loss of a batch, and what of it learns or changes from step to step."""

    def __init__(
        self,
        plan: TwoTowerPlan,
        towers: Towers,
        *,
        soft: SoftLabels | None = None,
        own_rows: OwnRowDropout | None = None,
    ) -> None:
        """`own_rows` draws the items that keep their own rows beside their features in a step; none: all do."""
        self.plan, self.towers, self.soft, self.own_rows = plan, towers, soft, own_rows

    @abstractmethod
    def __call__(self, batch: Batch) -> Tensor: ...

    @property
    def model(self) -> nn.Module:
        """All that learns."""
        return self.towers

    @property
    def parts(self) -> Mapping[str, Any]:
        """Whatever else a checkpoint must hold."""
        source = None if self.soft is None else self.soft.source
        return {"own_rows": self.own_rows, "teacher": source if isinstance(source, Resumable) else None}

    def over_items(self, label_share: float) -> CatalogueLoss | NestedLoss:
        """`of_one_size`; of nested models, of every size."""
        loss, plan = self.of_one_size(label_share), self.plan
        return NestedLoss(loss, plan.nested, tau=plan.tau) if plan.nested else loss

    def of_one_size(self, label_share: float) -> CatalogueLoss:
        """Labels and soft labels over the items that a batch is scored against."""
        plan = self.plan
        config = CatalogueConfig(
            label_share=label_share, temperature=plan.temperature, value=False,
            precision=product_precision(self.towers.bias.device, plan.dim),
            unseen_only=self.soft is not None and self.soft.unseen_only,
        )  # fmt: skip
        return CatalogueLoss(config)

    def kept_rows(self) -> Tensor | None:
        """float32 (n_items, 1) drawn anew; None: all."""
        return None if self.own_rows is None else self.own_rows()

    def user_weights(self, batch: Batch) -> Tensor:
        """(batch,) n^(1 - user_weight), n a user's items."""
        return batch.positives.counts.to(torch.float32).pow(1.0 - self.plan.user_weight)


class WholeLoss(StepLoss):
    """Labels and soft labels of whole histories, in one pass over the items."""

    def __init__(self, plan: TwoTowerPlan, towers: Towers, **more: Any) -> None:
        super().__init__(plan, towers, **more)
        self._loss = self.over_items(plan.label_share)

    def __call__(self, batch: Batch) -> Tensor:
        loss: Tensor = self._loss(
            *self.towers(batch, self.kept_rows()), batch.positives, weight=self.user_weights(batch),
            teacher=None if self.soft is None else self.soft.among(batch), teacher_users=batch.users,
            offset=_offset(batch),
        )  # fmt: skip
        return loss


class MomentLoss(StepLoss):
    """Labels at a moment of the histories, where order counts; what a teacher says, which knows the whole ones, of
    these."""

    def __init__(self, plan: TwoTowerPlan, towers: Towers, **more: Any) -> None:
        super().__init__(plan, towers, **more)
        self._labels, self._softly = self.over_items(1.0), self.over_items(0.0)

    def __call__(self, batch: Batch) -> Tensor:
        moment, share, kept = batch.moment or batch, self.plan.label_share, self.kept_rows()
        total: Tensor = 0.0 * self.towers.bias.sum()  # a batch may have nobody with two items
        if share > 0 and len(moment.users):
            labels = self._labels(*self.towers(moment, kept), moment.positives, offset=_offset(moment))
            total = total + share * labels
        if self.soft is not None:
            told = self._softly(
                *self.towers(batch, kept), batch.positives, teacher=self.soft.among(batch), teacher_users=batch.users,
                offset=_offset(batch),
            )  # fmt: skip
            total = total + (1.0 - share) * told
        return total


class MethodsLoss(StepLoss):
    """Labels, and methods of distillation beside them; of nested models the mean over every size."""

    def __init__(self, plan: TwoTowerPlan, towers: Towers, taught_by: Callable[[Labels], Taught], **more: Any) -> None:
        """`taught_by` is given the labels' loss."""
        super().__init__(plan, towers, **more)
        self._label_loss = self.of_one_size(plan.label_share)
        self.taught = taught_by(self._labels)

    def __call__(self, batch: Batch) -> Tensor:
        made = Vectors(*self.towers(batch, self.kept_rows()))
        sizes, tau = self.plan.nested, self.plan.tau
        narrow = [Vectors(*prefix(made.users, made.items, size, tau), made.bias) for size in sizes]
        return self.taught.loss(batch, made, *narrow)

    @property
    def model(self) -> nn.Module:
        return nn.ModuleList([self.towers, self.taught])

    def _labels(self, batch: Batch, made: Vectors) -> Tensor:
        """At a moment of the histories where order counts."""
        if batch.moment is not None:
            batch = batch.moment
            made = Vectors(*self.towers(batch))
        loss: Tensor = self._label_loss(*made, batch.positives, weight=self.user_weights(batch))
        return loss


def _offset(batch: Batch) -> Tensor | None:
    """What is added to the logits of a sample of the items."""
    return None if batch.shown is None else batch.shown.offset
