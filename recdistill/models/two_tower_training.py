"""One training of the two-tower model, from the start to the last epoch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from recdistill.distillation.taught import Labels, Taught
from recdistill.models.base import valid_ndcg
from recdistill.models.popularity import log_counts
from recdistill.models.towers import Towers
from recdistill.models.two_tower_batches import batches_of_any, training_batches
from recdistill.models.two_tower_begin import go_on_from, sha256_of_begin
from recdistill.models.two_tower_features import OwnRowDropout, Sides
from recdistill.models.two_tower_losses import MethodsLoss, MomentLoss, SoftLabels, StepLoss, WholeLoss
from recdistill.models.two_tower_rules import TwoTowerPlan
from recdistill.models.two_tower_start import start_towers
from recdistill.serving.scorers import BagScorer
from recdistill.tables.codecs import half
from recdistill.tables.pruned import PrunedTied
from recdistill.training.checkpoint import Kept
from recdistill.training.device import resolve_device
from recdistill.training.loop import Schedule, train
from recdistill.training.progress import NullProgress

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.distillation.methods import Methods
    from recdistill.knowledge.store import Knowledge
    from recdistill.models.cold_items import ItemMap
    from recdistill.training.batches import Batch
    from recdistill.training.progress import Progress

PRUNED_IN = 0.5
"""Share of a training's steps in which a table is pruned; the others train what is left."""


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
    make: Callable[..., Towers] = Towers,
    methods: Methods | None = None,
    begin: BagScorer | None = None,
) -> Trained:
    """`sides` are the features that rows are made of, too, and `make` is called as the class of towers is. `begin`:
    what an earlier phase left, to go on from."""
    where, sides = resolve_device(device), sides or Sides()
    towers = start_towers(plan, log, knowledge, seed, sides, make).to(where)
    if begin is not None:
        go_on_from(towers, begin, np.random.default_rng([seed, 4]))
    batches = training_batches(plan, log, whole=knowledge is not None, seed=seed, device=where)
    steps = len(batches)
    loss = _loss(plan, log, towers, knowledge, methods, steps_an_epoch=steps, seed=seed, device=where)
    # two bytes an item answer whoever has no history; a fitted vector of d floats ranked .01 NDCG@10 worse
    popularity = half(log_counts(log), "popularity")

    def scorer() -> BagScorer:
        made = dataclasses.replace(towers.scorer(), popularity=popularity)
        codec = None if plan.codec is None or made.item_table is None else made.item_table.codec
        return made if codec is None else made.quantized(codec)  # its tables are; the small arrays follow

    def of() -> list[Any]:
        known = None if knowledge is None else knowledge.sha256()
        gone_on = [] if begin is None else [sha256_of_begin(begin)]
        facts = [dataclasses.asdict(plan), log.sha256(), sides.sha256(), known, seed]
        return ["two_tower", *facts, str(methods or ""), *gone_on]

    sampled = plan.negatives is not None
    with (progress or NullProgress()).task(name, total=plan.epochs) as bar:
        train(
            loss.model, batches, _pruned_first(towers, loss, plan.epochs * steps),
            Schedule(epochs=plan.epochs, learning_rate=plan.learning_rate), bar=bar,
            check=None if valid is None else lambda: valid_ndcg(scorer(), log, valid),
            by_rows=towers.by_rows() if sampled else [], seldom=towers.seldom(sampled=sampled),
            kept=Kept(of, loss.parts),
        )  # fmt: skip
    item_map = None
    if towers.item_side is not None and sides.items is not None:
        item_map = towers.item_side.item_map(sides.items.encoder, scale=1.0 / plan.tau)
    return Trained(scorer(), item_map)


def _loss(
    plan: TwoTowerPlan,
    log: Interactions,
    towers: Towers,
    knowledge: Knowledge | None,
    methods: Methods | None,
    *,
    steps_an_epoch: int,
    seed: int,
    device: torch.device,
) -> StepLoss:
    """By methods where there are some, else by labels and, where they have a share, soft labels."""
    own_rows = None
    if towers.item_side is not None and plan.feature_dropout > 0:
        own_rows = OwnRowDropout(log.n_items, plan.feature_dropout, np.random.default_rng([seed, 2]), device)
    if methods is not None and knowledge is not None:

        def taught_by(labels: Labels) -> Taught:
            return Taught(
                methods, knowledge, log.csr(), towers, dim=plan.dim, label_share=plan.label_share, epochs=plan.epochs,
                labels=labels, batches=batches_of_any(plan, log, device), steps_an_epoch=steps_an_epoch,
                user_weight=plan.user_weight, seed=seed, device=device,
            )  # fmt: skip

        return MethodsLoss(plan, towers, taught_by, own_rows=own_rows)
    soft = None
    if knowledge is not None and plan.label_share < 1.0:
        soft = SoftLabels.of(plan, knowledge, log, device)
    return (MomentLoss if plan.order else WholeLoss)(plan, towers, soft=soft, own_rows=own_rows)


def _pruned_first(towers: Towers, loss: StepLoss, steps: int) -> Callable[[Batch], Tensor]:
    """The loss after a step of pruning, where the table is pruned; `steps`: of the whole training."""
    tables = towers.tables
    if not isinstance(tables, PrunedTied):
        return loss
    tables.pruning.last = max(1, round(PRUNED_IN * steps))

    def pruned(batch: Batch) -> Tensor:
        tables.prune()
        return loss(batch)

    return pruned
