"""The torch half of the two-tower model: its parameters, one training, and what it leaves to the serving half."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from recdistill.models.base import valid_ndcg
from recdistill.models.popularity import log_counts
from recdistill.models.two_tower_rules import TwoTowerPlan
from recdistill.objectives.catalogue import CatalogueConfig, CatalogueLoss
from recdistill.serving.scorers import BagScorer
from recdistill.tables.codecs import CodedTable, half
from recdistill.tables.full import FullTables
from recdistill.tables.tied import TiedTable
from recdistill.training.bags import bag_sum
from recdistill.training.batches import Batch, UserBatches
from recdistill.training.device import product_precision, resolve_device
from recdistill.training.loop import Schedule, train
from recdistill.training.progress import NullProgress
from recdistill.training.start import from_log, from_teacher
from recdistill.training.teacher import teacher_source

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.knowledge.store import Knowledge
    from recdistill.training.progress import Progress

HISTORY_POWER = 0.5
"""A bag is divided by the root of the history's length: it grows beside the user's own row as more is known."""


class Towers(nn.Module):
    """User = bag of history rows (+ own row), item = row; both are brought to length 1."""

    def __init__(self, items: Tensor, users: Tensor | None, *, tied: bool, tau: float) -> None:
        super().__init__()
        self.tables = TiedTable(items) if tied else FullTables(items, items)
        self.users = None if users is None else nn.Parameter(users.clone())
        self.bias = nn.Parameter(torch.zeros(len(items)))
        self.tau = tau

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Users (batch, d) and items (n_items, d) and biases such that logit = user · item + bias."""
        users = bag_sum(self.tables.history_rows(), batch.bags)
        if self.users is not None:
            users = users + self.users[batch.users]
        return normalize(users, dim=1) / self.tau, self.tables.item_rows(), self.bias

    @torch.no_grad()
    def scorer(self) -> BagScorer:
        exported = {**self.tables.export(), "item_bias": self.bias}
        if self.users is not None:
            exported["user_table"] = self.users
        arrays = {name: value.detach().float().cpu().numpy().copy() for name, value in exported.items()}
        fields = {name: CodedTable.of(array) if array.ndim == 2 else array for name, array in arrays.items()}
        return BagScorer(**fields, normalize=True, history_power=HISTORY_POWER, scale=1.0 / self.tau)  # type: ignore[arg-type]


def train_two_tower(
    plan: TwoTowerPlan,
    log: Interactions,
    knowledge: Knowledge | None,
    valid: HeldOut | None,
    *,
    seed: int,
    device: str,
    progress: Progress | None,
    name: str,
) -> BagScorer:
    """One training from the start to the last epoch."""
    where = resolve_device(device)
    towers = _start(plan, log, knowledge, seed).to(where)
    precision = product_precision(where, plan.dim)
    batches = UserBatches(
        log.csr(), batch_users=plan.batch_users, history_power=HISTORY_POWER, history_dropout=plan.history_dropout,
        generator=np.random.default_rng([seed, 1]), device=where,
    )  # fmt: skip
    teacher, unseen_only = None, False
    if knowledge is not None and plan.label_share < 1.0:
        teacher = teacher_source(knowledge, temperature=plan.temperature, device=where)
        unseen_only = "vectors" not in knowledge.gives if plan.unseen_only is None else plan.unseen_only
    config = CatalogueConfig(
        label_share=plan.label_share, temperature=plan.temperature, precision=precision, unseen_only=unseen_only,
        value=False,
    )  # fmt: skip
    loss = CatalogueLoss(config)

    def loss_of(batch: Batch) -> Tensor:
        users, items, bias = towers(batch)
        weight = batch.positives.counts.to(users.dtype).pow(1.0 - plan.user_weight)
        return loss(users, items, bias, batch.positives, weight=weight, teacher=teacher, teacher_users=batch.users)

    schedule = Schedule(epochs=plan.epochs, learning_rate=plan.learning_rate)
    # two bytes an item answer whoever has no history; a fitted vector of d floats ranked .01 NDCG@10 worse
    popularity = half(log_counts(log), "popularity")

    def scorer() -> BagScorer:
        return dataclasses.replace(towers.scorer(), popularity=popularity)

    check = None if valid is None else lambda: valid_ndcg(scorer(), log, valid)
    with (progress or NullProgress()).task(name, total=plan.epochs) as bar:
        train(towers, batches, loss_of, schedule, bar=bar, check=check)
    return scorer()


def _start(plan: TwoTowerPlan, log: Interactions, knowledge: Knowledge | None, seed: int) -> Towers:
    """Users and items from the log's singular vectors; a student's items from its teacher's, where it has vectors."""
    generator = np.random.default_rng(seed)
    if knowledge is not None and "vectors" in knowledge.gives and not plan.user_id:
        items, users = from_teacher(knowledge, plan.dim, generator), None
    else:
        start = from_log(log.csr(), plan.dim, generator)
        items, users = start.items, start.users if plan.user_id else None
    return Towers(
        torch.from_numpy(items), None if users is None else torch.from_numpy(users), tied=plan.tied, tau=plan.tau
    )
