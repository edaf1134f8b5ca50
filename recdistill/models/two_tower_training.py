"""The torch half of the two-tower model: its parameters, one training, and what it leaves to the serving half."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, normalize

from recdistill.candidates.mixed import MixedNegatives
from recdistill.compression.rotation import rotation
from recdistill.distillation.student import Vectors
from recdistill.distillation.taught import Taught
from recdistill.errors import ConfigError
from recdistill.models.base import valid_ndcg
from recdistill.models.popularity import log_counts
from recdistill.models.two_tower_begin import go_on_from, sha256_of_begin
from recdistill.models.two_tower_features import FeatureRows, OwnRowDropout, Sides
from recdistill.models.two_tower_nested import NestedLoss
from recdistill.models.two_tower_order import PlaceWeights
from recdistill.models.two_tower_rules import TwoTowerPlan, leaves_out_used
from recdistill.objectives.catalogue import CatalogueConfig, CatalogueLoss
from recdistill.objectives.teacher_tile import TeacherSource
from recdistill.serving.scorers import BagScorer
from recdistill.tables.codecs import CodedTable, half
from recdistill.tables.coded import CodedFull, CodedTied
from recdistill.tables.full import FullTables
from recdistill.tables.pruned import PrunedTied
from recdistill.tables.tied import TiedTable
from recdistill.training.bags import bag_sum, weighed_bag_sum
from recdistill.training.batches import Batch, UserBatches
from recdistill.training.checkpoint import Kept
from recdistill.training.device import product_precision, resolve_device
from recdistill.training.loop import Schedule, train
from recdistill.training.ordered_batches import OrderedBatches
from recdistill.training.progress import NullProgress
from recdistill.training.start import at_random, from_log, from_teacher
from recdistill.training.state import Resumable
from recdistill.training.teacher import teacher_source

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.distillation.methods import Methods
    from recdistill.knowledge.store import Knowledge
    from recdistill.models.cold_items import ItemMap
    from recdistill.training.progress import Progress

PRUNED_IN = 0.5
"""Share of a training's steps in which a table is pruned; the others train what is left."""
HISTORY_POWER = 0.5
"""A bag is divided by the root of the history's length: it grows beside the user's own row as more is known."""

USERS_BY_ROWS = 200_000
"""Users from which a step changes only the rows of those in it: each has one gradient in an epoch of hundreds of
steps, and Adam on all of them takes longer than the rest of a step (`benchmarks/growth.py`)."""


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
        ordered: bool = False,
        codec: str | None = None,
        learned_step: bool = False,
        pruned: tuple[str, float] | None = None,
    ) -> None:
        """`items` and `users` are what the rows start as, what the sides say of them included; a `codec` is one to
        train through, without sides; `pruned`: what by, and the share of it that goes."""
        super().__init__()
        own = items if item_side is None else items - item_side.rows().detach()
        self.tables: TiedTable | FullTables | CodedTied | CodedFull | PrunedTied
        if codec is not None and pruned is not None:
            self.tables = PrunedTied(items, codec, by=pruned[0], share=pruned[1], learned=learned_step)
        elif codec is not None:
            made = CodedTied(items, codec, learned=learned_step) if tied else None
            self.tables = made or CodedFull(items, items, codec, learned=learned_step)
        else:
            self.tables = TiedTable(own) if tied else FullTables(own, items)
        if users is not None and user_side is not None:
            users = users - user_side.rows().detach()
        self.users = None if users is None else nn.Parameter(users.clone())
        self.bias = nn.Parameter(torch.zeros(len(items)))
        self.tau = tau
        self.item_side, self.user_side = item_side, user_side
        self.places = PlaceWeights() if ordered else None

    def forward(self, batch: Batch, kept: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Users (batch, d) and items (n_items, d) and biases such that logit = user · item + bias.

        `kept` (n_items, 1) is 0 for items that are ranked by their features alone.
        """
        if batch.shown is not None:
            return self._among(batch, batch.shown.items)
        said = None if self.item_side is None else self.item_side.rows()
        users = self._bag(self._history(said), batch)
        if self.users is not None:
            seldom = len(self.users) >= USERS_BY_ROWS
            users = users + (embedding(batch.users, self.users, sparse=True) if seldom else self.users[batch.users])
            if self.user_side is not None:
                users = users + self.user_side.rows(batch.users)
        return normalize(users, dim=1) / self.tau, *self._items(said, kept)

    def _bag(self, history: Tensor, batch: Batch) -> Tensor:
        """(batch, d) sums of history rows, weighed by their places where order counts."""
        if self.places is None or batch.places is None:
            return bag_sum(history, batch.bags)
        return weighed_bag_sum(history, self.places(batch.places), batch.bags)

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
        users = self._bag(history, batch)
        if self.users is not None:
            users = users + embedding(batch.users, self.users, sparse=True)
            if self.user_side is not None:
                users = users + self.user_side.rows(batch.users)
        return normalize(users, dim=1) / self.tau, items, self.bias[shown]

    def by_rows(self) -> list[nn.Parameter]:
        """Tables of which a step over a sample of the items touches a few rows."""
        return [one for name, one in self.tables.named_parameters() if "codec" not in name]

    def _own(self) -> Tensor:
        return self.tables.items if isinstance(self.tables, FullTables | CodedFull) else self.tables.rows

    def _whole_tables(self) -> TiedTable | FullTables | CodedTied | CodedFull | PrunedTied:
        """Tables of the rows with what the features say of them."""
        if self.item_side is None:
            return self.tables
        whole = self._own() + self.item_side.rows()
        return FullTables(whole, self.tables.history) if isinstance(self.tables, FullTables) else TiedTable(whole)

    @torch.no_grad()
    def scorer(self) -> BagScorer:
        """The rows as they are ranked, whatever they are made of."""
        bias = self.bias if self.item_side is None else self.bias + self.item_side.biases()
        exported: dict[str, Tensor | CodedTable] = {**self._whole_tables().export(), "item_bias": bias}
        if self.users is not None:
            exported["user_table"] = self.users if self.user_side is None else self.users + self.user_side.rows()
        if self.places is not None:
            exported["place_weight"] = self.places.export()
        fields = {name: _field(value) for name, value in exported.items()}
        return BagScorer(**fields, normalize=True, history_power=HISTORY_POWER, scale=1.0 / self.tau)  # type: ignore[arg-type]


def _field(value: Tensor | CodedTable) -> CodedTable | np.ndarray:
    if isinstance(value, CodedTable):
        return value
    array = value.detach().float().cpu().numpy().copy()
    return CodedTable.of(array) if array.ndim == 2 else array


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
    """One training from the start to the last epoch; `sides` are the features that rows are made of, too, and `make` is
    called as the class of towers is. `begin`: what an earlier phase left, to go on from."""
    where = resolve_device(device)
    sides = sides or Sides()
    towers = start_towers(plan, log, knowledge, seed, sides, make).to(where)
    if begin is not None:
        go_on_from(towers, begin, np.random.default_rng([seed, 4]))
    precision = product_precision(where, plan.dim)
    negatives = None
    if plan.negatives is not None:
        draw = np.random.default_rng([seed, 3])
        negatives = MixedNegatives(log.csr(), batch_users=plan.batch_users, sample=plan.negatives, generator=draw)
    batches = _batches(
        plan, log, whole=knowledge is not None, batch_users=plan.batch_users, history_power=HISTORY_POWER,
        history_dropout=plan.history_dropout, generator=np.random.default_rng([seed, 1]), device=where,
        negatives=negatives,
    )  # fmt: skip
    teacher, unseen_only = None, False
    if knowledge is not None and methods is None and plan.label_share < 1.0:
        unseen_only = leaves_out_used(plan, whole="all_scores" in knowledge.gives)
        used = log.csr() if unseen_only else None
        teacher = teacher_source(knowledge, temperature=plan.temperature, device=where, unseen=used)
    config = CatalogueConfig(
        label_share=plan.label_share, temperature=plan.temperature, precision=precision, unseen_only=unseen_only,
        value=False,
    )  # fmt: skip

    def loss_by(config: CatalogueConfig) -> CatalogueLoss | NestedLoss:
        whole = CatalogueLoss(config)
        return NestedLoss(whole, plan.nested, tau=plan.tau) if plan.nested else whole

    loss = loss_by(config)
    label_loss = loss if teacher is None else loss_by(dataclasses.replace(config, label_share=1.0))
    soft_loss = loss_by(dataclasses.replace(config, label_share=0.0))

    kept = None
    if towers.item_side is not None and plan.feature_dropout > 0:
        kept = OwnRowDropout(log.n_items, plan.feature_dropout, np.random.default_rng([seed, 2]), where)

    def labels_of(batch: Batch, made: Vectors) -> Tensor:
        if batch.moment is not None:
            batch = batch.moment
            made = Vectors(*towers(batch))
        return loss(*made, batch.positives, weight=_weight(batch, plan))

    taught = None
    if methods is not None and knowledge is not None:
        taught = Taught(
            methods, knowledge, log.csr(), towers, dim=plan.dim, label_share=plan.label_share, epochs=plan.epochs,
            labels=labels_of,
            batches=_batches(
                plan, log, whole=True, batch_users=1, history_power=HISTORY_POWER, history_dropout=0.0,
                generator=np.random.default_rng(0), device=where,
            ).of,
            steps_an_epoch=len(batches),
            user_weight=plan.user_weight, seed=seed, device=where,
        )  # fmt: skip

    def among(batch: Batch) -> tuple[TeacherSource | None, Tensor | None]:
        """The teacher and the offsets of logits, among the items that the batch is scored against."""
        if batch.shown is None:
            return teacher, None
        offset = batch.shown.offset
        return None if teacher is None else teacher.among(batch.shown.items, offset), offset

    def in_order(batch: Batch) -> Tensor:
        """Labels at a moment of the histories; what a teacher says, which knows the whole ones, of these."""
        moment, total = batch.moment or batch, 0.0 * towers.bias.sum()  # a batch may have nobody with two items
        own_rows = None if kept is None else kept()
        if plan.label_share > 0 and len(moment.users):
            offset = None if moment.shown is None else moment.shown.offset
            total = total + plan.label_share * label_loss(*towers(moment, own_rows), moment.positives, offset=offset)
        if teacher is not None:
            told, offset = among(batch)
            soft = soft_loss(
                *towers(batch, own_rows), batch.positives, teacher=told, teacher_users=batch.users, offset=offset
            )
            total = total + (1.0 - plan.label_share) * soft
        return total

    pruned = towers.tables if isinstance(towers.tables, PrunedTied) else None
    if pruned is not None:
        pruned.pruning.last = max(1, round(PRUNED_IN * plan.epochs * len(batches)))

    def loss_of(batch: Batch) -> Tensor:
        if pruned is not None:
            pruned.prune()
        if plan.order and taught is None:
            return in_order(batch)
        users, items, bias = towers(batch, None if kept is None else kept())
        if taught is not None:
            return taught.loss(batch, Vectors(users, items, bias))
        told, offset = among(batch)
        return loss(
            users, items, bias, batch.positives, weight=_weight(batch, plan), teacher=told, teacher_users=batch.users,
            offset=offset,
        )  # fmt: skip

    schedule = Schedule(epochs=plan.epochs, learning_rate=plan.learning_rate)
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

    to_keep = Kept(of, {"own_rows": kept, "teacher": teacher if isinstance(teacher, Resumable) else None})
    check = None if valid is None else lambda: valid_ndcg(scorer(), log, valid)
    with (progress or NullProgress()).task(name, total=plan.epochs) as bar:
        by_rows = [] if negatives is None else towers.by_rows()
        seldom = [] if towers.users is None else [towers.users]
        if negatives is None and log.n_users < USERS_BY_ROWS:
            seldom = []
        model = towers if taught is None else nn.ModuleList([towers, taught])
        train(model, batches, loss_of, schedule, bar=bar, check=check, by_rows=by_rows, seldom=seldom, kept=to_keep)
    item_map = None
    if towers.item_side is not None and sides.items is not None:
        item_map = towers.item_side.item_map(sides.items.encoder, scale=1.0 / plan.tau)
    return Trained(scorer(), item_map)


def _batches(plan: TwoTowerPlan, log: Interactions, *, whole: bool, **more: Any) -> UserBatches:
    """Of users with all that they used; where order counts, at a moment, and, if asked for, whole as well."""
    if not plan.order:
        return UserBatches(log.csr(), **more)
    places = log.places()
    if places is None:
        raise ConfigError(
            "two_tower: order = true, and the log has no times. Name their column (--columns timestamp=…), or leave "
            "order out."
        )
    if places.max() == 0:
        raise ConfigError("two_tower: order = true, and nobody has used two items. Leave order out.")
    return OrderedBatches(log.csr(), places, whole=whole, **more)


def _weight(batch: Batch, plan: TwoTowerPlan) -> Tensor:
    return batch.positives.counts.to(torch.float32).pow(1.0 - plan.user_weight)


def start_towers(
    plan: TwoTowerPlan,
    log: Interactions,
    knowledge: Knowledge | None,
    seed: int,
    sides: Sides,
    make: Callable[..., Towers],
) -> Towers:
    """Users and items from the log's singular vectors; a student's items from its teacher's, where it has vectors;
    or from what the plan names.

    Where they are trained through codes, turned at random: every dimension then carries the same energy.
    """
    generator = np.random.default_rng(seed)
    told = knowledge is not None and "all_scores" in knowledge.gives and not plan.user_id
    if plan.start == "teacher" and not told:
        raise ConfigError(
            "two_tower: start = 'teacher' needs a teacher that tells all its scores or has vectors, and a student "
            "without user ids. Leave start out."
        )
    if plan.start == "random":
        start = at_random(log.n_users, log.n_items, plan.dim, generator)
        items, users = start.items, start.users if plan.user_id else None
    elif knowledge is not None and told and plan.start != "log":
        items, users = from_teacher(knowledge, plan.dim, generator), None
    else:
        start = from_log(log.csr(), plan.dim, generator)
        items, users = start.items, start.users if plan.user_id else None
    more: dict[str, Any] = {}
    if plan.codec is not None:
        items = items @ _turn(plan, generator).astype(np.float32)
        more = {"codec": plan.codec, "learned_step": plan.learned_step}
    if plan.pruned:
        more["pruned"] = (plan.pruned_by, plan.pruned)
    return make(
        torch.from_numpy(items), None if users is None else torch.from_numpy(users), tied=plan.tied, tau=plan.tau,
        item_side=None if sides.items is None else FeatureRows(sides.items.matrix, items),
        user_side=None if sides.users is None or users is None else FeatureRows(sides.users.matrix, users, bias=False),
        ordered=plan.order, **more,
    )  # fmt: skip


def _turn(plan: TwoTowerPlan, generator: np.random.Generator) -> np.ndarray:
    """(d, d): a random rotation; where dimensions are pruned, of those that carry most and of the others apart."""
    if not plan.pruned or plan.pruned_by != "dimensions":
        return rotation(plan.dim, generator)
    kept = max(1, round((1.0 - plan.pruned) * plan.dim))
    turn = np.zeros((plan.dim, plan.dim))
    turn[:kept, :kept], turn[kept:, kept:] = rotation(kept, generator), rotation(plan.dim - kept, generator)
    return turn
