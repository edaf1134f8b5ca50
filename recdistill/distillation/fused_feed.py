"""Soft labels over the whole catalogue, by losses that make them tile by tile with gradients in closed form."""

from __future__ import annotations

import torch
from torch import Tensor

from recdistill.candidates.catalogue import Catalogue
from recdistill.candidates.source import Source
from recdistill.distillation.feeds import Feed, Taken
from recdistill.objectives.catalogue import CatalogueConfig, CatalogueLoss
from recdistill.objectives.knowledge.soft_kl import SoftKL
from recdistill.objectives.knowledge.standardised_kl import StandardisedKL
from recdistill.objectives.row_by_row import TILE_ROWS
from recdistill.objectives.standardised import per_deviation
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


class StandardisedFeed(Feed):
    """`standardised_kl` over all items, or over the unseen ones."""

    def __init__(self, objective: StandardisedKL, candidates: Catalogue, source: Source) -> None:
        self.objective, self.unseen, self.source = objective, candidates.unseen, source

    def loss(self, taken: Taken) -> Tensor:
        step = taken.step

        def teacher(tile: slice) -> tuple[Tensor, Tensor | None]:
            users = step.users[tile]
            return self.source.all_scores(users), None if self.unseen else self._spread()[users]

        def unseen(tile: slice) -> Tensor:
            offsets = step.positives.offsets
            own = slice(int(offsets[tile.start]), int(offsets[tile.stop]))
            mask = torch.ones(tile.stop - tile.start, step.n_items, dtype=torch.bool, device=step.users.device)
            mask[step.positives.rows[own] - tile.start, step.positives.items[own]] = False
            return mask

        return self.objective.over_catalogue(
            *taken.scores.vectors, teacher, mask=unseen if self.unseen else None, weight=taken.weight
        )

    def _spread(self) -> Tensor:
        """(n_users, 1) 1 / deviation of the teacher's scores of all items."""
        return self.source.kept("1 / deviation", self._measured)

    def _measured(self) -> Tensor:
        rows = torch.arange(self.source.n_users, device=self.source.device)
        return torch.cat([per_deviation(self.source.all_scores(part)) for part in rows.split(TILE_ROWS)])
