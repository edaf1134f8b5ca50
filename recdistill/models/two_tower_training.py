"""The torch half of the two-tower model: its parameters, one training, and what it leaves to the serving half."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, normalize

from recdistill.candidates.mixed import MixedNegatives
from recdistill.models.base import valid_ndcg
from recdistill.models.popularity import log_counts
from recdistill.models.two_tower_features import FeatureRows, OwnRowDropout, Sides
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
    from recdistill.models.cold_items import ItemMap
    from recdistill.training.progress import Progress

HISTORY_POWER = 0.5
"""A bag is divided by the root of the history's length: it grows beside the user's own row as more is known."""


class Towers(nn.Module):
    """User = bag of history rows (+ own row), item = row; both are brought to length 1."""

    def __init__(
        self,
        items: Tensor,
        users: Tensor | None,
        *,
        tied: bool,
        tau: float,
        item_side: FeatureRows | None = None,
        user_side: FeatureRows | None = None,
    ) -> None:
        """`items` and `users` are what the rows start as, what the sides say of them included."""
        super().__init__()
        own = items if item_side is None else items - item_side.rows().detach()
        self.tables = TiedTable(own) if tied else FullTables(own, items)
        if users is not None and user_side is not None:
            users = users - user_side.rows().detach()
        self.users = None if users is None else nn.Parameter(users.clone())
        self.bias = nn.Parameter(torch.zeros(len(items)))
        self.tau = tau
        self.item_side, self.user_side = item_side, user_side

    def forward(self, batch: Batch, kept: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Users (batch, d) and items (n_items, d) and biases such that logit = user · item + bias.

        `kept` (n_items, 1) is 0 for items that are ranked by their features alone.
        """
        if batch.shown is not None:
            return self._among(batch, batch.shown.items)
        said = None if self.item_side is None else self.item_side.rows()
        users = bag_sum(self._history(said), batch.bags)
        if self.users is not None:
            users = users + self.users[batch.users]
            if self.user_side is not None:
                users = users + self.user_side.rows(batch.users)
        return normalize(users, dim=1) / self.tau, *self._items(said, kept)

    def _history(self, said: Tensor | None) -> Tensor:
        """Rows of histories: where they are tied, with what features say, whatever is kept of the ranked ones."""
        rows = self.tables.history_rows()
        return rows if said is None or not isinstance(self.tables, TiedTable) else rows + said

    def _items(self, said: Tensor | None, kept: Tensor | None) -> tuple[Tensor, Tensor]:
        """Items of length 1, and biases."""
        if self.item_side is None or said is None:
            return self.tables.item_rows(), self.bias
        own: Tensor = self._own()
        bias: Tensor = self.bias
        if kept is not None:
            own, bias = own * kept, bias * kept[:, 0]
        return normalize(own + said, dim=1), bias + self.item_side.biases()

    def _among(self, batch: Batch, shown: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same of a sample of the items; the gradients of tables are of the rows in it."""
        history, items = self.tables.among(shown)
        users = bag_sum(history, batch.bags)
        if self.users is not None:
            users = users + embedding(batch.users, self.users, sparse=True)
            if self.user_side is not None:
                users = users + self.user_side.rows(batch.users)
        return normalize(users, dim=1) / self.tau, items, self.bias[shown]

    def by_rows(self) -> list[nn.Parameter]:
        """Tables of which a step over a sample of the items touches a few rows."""
        return [*self.tables.parameters(), *([] if self.users is None else [self.users])]

    def _own(self) -> Tensor:
        return self.tables.rows if isinstance(self.tables, TiedTable) else self.tables.items

    def _whole_tables(self) -> TiedTable | FullTables:
        """Tables of the rows with what the features say of them."""
        if self.item_side is None:
            return self.tables
        whole = self._own() + self.item_side.rows()
        return TiedTable(whole) if isinstance(self.tables, TiedTable) else FullTables(whole, self.tables.history)

    @torch.no_grad()
    def scorer(self) -> BagScorer:
        """The rows as they are ranked, whatever they are made of."""
        bias = self.bias if self.item_side is None else self.bias + self.item_side.biases()
        exported = {**self._whole_tables().export(), "item_bias": bias}
        if self.users is not None:
            exported["user_table"] = self.users if self.user_side is None else self.users + self.user_side.rows()
        arrays = {name: value.detach().float().cpu().numpy().copy() for name, value in exported.items()}
        fields = {name: CodedTable.of(array) if array.ndim == 2 else array for name, array in arrays.items()}
        return BagScorer(**fields, normalize=True, history_power=HISTORY_POWER, scale=1.0 / self.tau)  # type: ignore[arg-type]


class Trained(NamedTuple):
    scorer: BagScorer
    item_map: ItemMap | None
    """From an item's features to its vector, where the model has learned from features."""


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
    sides: Sides | None = None,
) -> Trained:
    """One training from the start to the last epoch; `sides` are the features that rows are made of, too."""
    where = resolve_device(device)
    sides = sides or Sides()
    towers = _start(plan, log, knowledge, seed, sides).to(where)
    precision = product_precision(where, plan.dim)
    negatives = None
    if plan.negatives is not None:
        draw = np.random.default_rng([seed, 3])
        negatives = MixedNegatives(log.csr(), batch_users=plan.batch_users, sample=plan.negatives, generator=draw)
    batches = UserBatches(
        log.csr(), batch_users=plan.batch_users, history_power=HISTORY_POWER, history_dropout=plan.history_dropout,
        generator=np.random.default_rng([seed, 1]), device=where, negatives=negatives,
    )  # fmt: skip
    teacher, unseen_only = None, False
    if knowledge is not None and plan.label_share < 1.0:
        teacher = teacher_source(knowledge, temperature=plan.temperature, device=where)
        unseen_only = "all_scores" not in knowledge.gives if plan.unseen_only is None else plan.unseen_only
    config = CatalogueConfig(
        label_share=plan.label_share, temperature=plan.temperature, precision=precision, unseen_only=unseen_only,
        value=False,
    )  # fmt: skip
    loss = CatalogueLoss(config)

    kept = None
    if towers.item_side is not None and plan.feature_dropout > 0:
        kept = OwnRowDropout(log.n_items, plan.feature_dropout, np.random.default_rng([seed, 2]), where)

    def loss_of(batch: Batch) -> Tensor:
        users, items, bias = towers(batch, None if kept is None else kept())
        weight = batch.positives.counts.to(users.dtype).pow(1.0 - plan.user_weight)
        told, offset = teacher, None
        if batch.shown is not None:
            offset = batch.shown.offset
            told = None if teacher is None else teacher.among(batch.shown.items, offset)
        return loss(
            users, items, bias, batch.positives, weight=weight, teacher=told, teacher_users=batch.users, offset=offset
        )

    schedule = Schedule(epochs=plan.epochs, learning_rate=plan.learning_rate)
    # two bytes an item answer whoever has no history; a fitted vector of d floats ranked .01 NDCG@10 worse
    popularity = half(log_counts(log), "popularity")

    def scorer() -> BagScorer:
        return dataclasses.replace(towers.scorer(), popularity=popularity)

    check = None if valid is None else lambda: valid_ndcg(scorer(), log, valid)
    with (progress or NullProgress()).task(name, total=plan.epochs) as bar:
        by_rows = [] if negatives is None else towers.by_rows()
        train(towers, batches, loss_of, schedule, bar=bar, check=check, by_rows=by_rows)
    item_map = None
    if towers.item_side is not None and sides.items is not None:
        item_map = towers.item_side.item_map(sides.items.encoder, scale=1.0 / plan.tau)
    return Trained(scorer(), item_map)


def _start(plan: TwoTowerPlan, log: Interactions, knowledge: Knowledge | None, seed: int, sides: Sides) -> Towers:
    """Users and items from the log's singular vectors; a student's items from its teacher's, where it has vectors."""
    generator = np.random.default_rng(seed)
    if knowledge is not None and "all_scores" in knowledge.gives and not plan.user_id:
        items, users = from_teacher(knowledge, plan.dim, generator), None
    else:
        start = from_log(log.csr(), plan.dim, generator)
        items, users = start.items, start.users if plan.user_id else None
    return Towers(
        torch.from_numpy(items), None if users is None else torch.from_numpy(users), tied=plan.tied, tau=plan.tau,
        item_side=None if sides.items is None else FeatureRows(sides.items.matrix, items),
        user_side=None if sides.users is None or users is None else FeatureRows(sides.users.matrix, users, bias=False),
    )  # fmt: skip
