"""Soft labels over the whole catalogue, by the loss that makes them tile by tile with gradients in closed form."""

from __future__ import annotations

from torch import Tensor

from recdistill.candidates.catalogue import Catalogue
from recdistill.candidates.source import Source
from recdistill.distillation.feeds import Feed, Taken
from recdistill.objectives.catalogue import CatalogueConfig, CatalogueLoss
from recdistill.objectives.knowledge.soft_kl import SoftKL
from recdistill.training.teacher import teacher_source


class FusedFeed(Feed):
    """τ²·KL over all items, or over the unseen ones: the value of `soft_kl` there, at half its cost or less."""

    def __init__(self, objective: SoftKL, candidates: Catalogue, source: Source) -> None:
        tau = objective.config.tau
        self.loss_of = CatalogueLoss(CatalogueConfig(label_share=0.0, temperature=tau, unseen_only=candidates.unseen))
        used = source.csr if candidates.unseen else None
        self.teacher = teacher_source(source.knowledge, temperature=tau, device=source.device, unseen=used)

    def loss(self, taken: Taken) -> Tensor:
        step = taken.step
        return self.loss_of(
            *taken.scores.vectors, step.positives, weight=taken.weight, teacher=self.teacher, teacher_users=step.users
        )
