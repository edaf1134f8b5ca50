"""Somebody's torch module trained here: on labels, and on what a teacher says."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from recdistill.distillation.student import Vectors
from recdistill.distillation.training import Training, train_taught
from recdistill.models.base import valid_ndcg
from recdistill.models.own_model import OwnModel
from recdistill.models.own_scorer import OwnScorer
from recdistill.models.popularity import log_counts
from recdistill.models.two_tower import TwoTowerConfig
from recdistill.models.two_tower_rules import LogFacts, TwoTowerPlan, plan
from recdistill.objectives.catalogue import CatalogueConfig, CatalogueLoss
from recdistill.objectives.knowledge.soft_kl import SoftKL, SoftKLConfig
from recdistill.objectives.labels.softmax import Softmax
from recdistill.objectives.teacher_tile import FullTile, ListTile, TeacherSource
from recdistill.serving.histories import Histories
from recdistill.training.batches import Batch, UserBatches
from recdistill.training.checkpoint import Kept
from recdistill.training.device import resolve_device
from recdistill.training.loop import Schedule, train
from recdistill.training.progress import NullProgress
from recdistill.training.state import Resumable
from recdistill.training.teacher import teacher_source

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.distillation.methods import Methods
    from recdistill.knowledge.store import Knowledge
    from recdistill.models.wrapped import WrappedConfig
    from recdistill.training.progress import Progress

HISTORY_POWER = 0.0
"""The model divides by a history's length itself, if it does."""
Loss = Callable[[Batch], Tensor]


class OwnStudent(nn.Module):
    """The module as a student: users (batch, d), items (n_items, d) and biases (n_items,) of a batch."""

    def __init__(self, own: OwnModel) -> None:
        super().__init__()
        self.module = own.model
        self._own = [own]

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        own = self._own[0]
        users, items, bias = own.user_vectors(*own.of_batch(batch)), own.item_vectors(), own.item_bias()
        if users.shape[1] != items.shape[1]:
            raise own.refused(f"user_vectors have {users.shape[1]} columns, item_vectors {items.shape[1]}")
        bias = items.new_zeros(len(items)) if bias is None else bias
        return self._finite("user_vectors", users.float()), self._finite("item_vectors", items.float()), bias.float()

    def scores(self, batch: Batch) -> Tensor:
        """(batch, n_items) of a module without vectors."""
        own = self._own[0]
        return self._finite("score", own.scores(*own.of_batch(batch)).float())

    def _finite(self, what: str, found: Tensor) -> Tensor:
        if not bool(found.detach().isfinite().all()):
            raise self._own[0].refused(
                f"{what} holds NaN or infinity in training; lower learning_rate, and see that nothing divides by the "
                "length of an empty history"
            )
        return found


def train_wrapped(
    model: nn.Module,
    config: WrappedConfig,
    log: Interactions,
    knowledge: Knowledge | None,
    methods: Methods | None,
    valid: HeldOut | None,
    *,
    seed: int,
    device: str,
    progress: Progress | None,
) -> nn.Module:
    """A trained copy of the module; what it draws itself comes from torch's own generator, which is left as it was."""
    where = resolve_device(device)
    own = OwnModel(copy.deepcopy(model).to(where).train(), log.n_items, user_id=config.user_id)
    student = OwnStudent(own)
    live = OwnScorer(own=own, popular=log_counts(log))
    _try(own, live, log, methods)
    rule = plan(_like(config), LogFacts.of(log), distilled=knowledge is not None)
    check = None if valid is None else lambda: valid_ndcg(live_again(live), log, valid)
    drawn = _generators(where)
    schedule = Schedule(epochs=rule.epochs, learning_rate=rule.learning_rate)
    told = [dataclasses.asdict(config), repr(model)]
    devices = [where] if where.type == "cuda" else []
    title = f"own model {own.name}"
    with torch.random.fork_rng(devices=devices), (progress or NullProgress()).task(title, total=rule.epochs) as bar:
        torch.manual_seed(seed)
        if knowledge is not None and methods is not None:
            of_labels = CatalogueLoss(CatalogueConfig(value=False))
            training = Training(
                epochs=rule.epochs, learning_rate=rule.learning_rate, batch_users=rule.batch_users,
                label_share=rule.label_share, user_weight=rule.user_weight,
                history_power=HISTORY_POWER, history_dropout=rule.history_dropout,
            )  # fmt: skip

            def labels(batch: Batch, made: Vectors) -> Tensor:
                return of_labels(*made, batch.positives, weight=_weight(batch, rule))

            train_taught(
                student, log, knowledge, methods, training, dim=live.dimension, labels=labels, seed=seed, device=where,
                bar=bar, check=check, of=told, parts=drawn,
            )  # fmt: skip
            return own.model.eval()
        batches = UserBatches(
            log.csr(), batch_users=rule.batch_users, history_power=HISTORY_POWER,
            history_dropout=rule.history_dropout, generator=np.random.default_rng([seed, 1]), device=where,
        )  # fmt: skip
        whole = knowledge is not None and "all_scores" in knowledge.gives
        teacher = None
        if knowledge is not None and rule.label_share < 1.0:
            teacher = teacher_source(
                knowledge, temperature=config.temperature, device=where, unseen=None if whole else log.csr()
            )
        loss = _of_vectors if own.vectors else _of_scores
        known = "" if knowledge is None else knowledge.sha256()
        keeps = teacher if isinstance(teacher, Resumable) else None
        kept = Kept(lambda: [told, log.sha256(), known, seed], {"drawn": drawn, "teacher": keeps})
        train(
            student, batches, loss(student, rule, teacher, unseen_only=not whole), schedule, bar=bar, check=check,
            kept=kept,
        )  # fmt: skip
    return cast(nn.Module, own.model.eval())


def live_again(live: OwnScorer) -> OwnScorer:
    """The same module with nothing kept of what it said before."""
    return dataclasses.replace(live)


def _of_vectors(student: OwnStudent, rule: TwoTowerPlan, teacher: TeacherSource | None, *, unseen_only: bool) -> Loss:
    """Softmax over all items of labels and knowledge at once."""
    taught = teacher is not None and unseen_only
    loss = CatalogueLoss(
        CatalogueConfig(label_share=rule.label_share, temperature=rule.temperature, value=False, unseen_only=taught)
    )

    def of(batch: Batch) -> Tensor:
        return loss(
            *student(batch), batch.positives, weight=_weight(batch, rule), teacher=teacher, teacher_users=batch.users
        )

    return of


def _of_scores(student: OwnStudent, rule: TwoTowerPlan, teacher: TeacherSource | None, *, unseen_only: bool) -> Loss:
    """The same of a matrix of scores (batch, n_items), held whole."""
    labels, soft = Softmax(), SoftKL(SoftKLConfig(tau=rule.temperature))

    def of(batch: Batch) -> Tensor:
        scores, weight = student.scores(batch), _weight(batch, rule)
        used = torch.zeros_like(scores, dtype=torch.bool)
        used[batch.positives.rows, batch.positives.items] = True
        found = labels(scores, used, weight=weight)
        if teacher is None:
            return found
        told, mask = _teacher_logits(teacher, batch, scores), ~used if unseen_only else None
        known = weight * teacher.known(batch.users)
        return rule.label_share * found + (1.0 - rule.label_share) * soft(
            scores, told * rule.temperature, mask=mask, weight=known
        )

    return of


def _teacher_logits(teacher: TeacherSource, batch: Batch, scores: Tensor) -> Tensor:
    """log of the teacher's probabilities (batch, n_items); a list's tail is spread over what it does not name."""
    at = batch.positives.rows * scores.shape[1] + batch.positives.items
    tile = teacher.tile(batch.users, at)
    if isinstance(tile, FullTile):
        return tile.probabilities.to(scores.dtype).clamp_min(1e-30).log()
    assert isinstance(tile, ListTile)
    named = torch.bincount(tile.rows, minlength=len(scores))
    rest = tile.tail.to(scores.dtype) / (scores.shape[1] - named).clamp_min(1)
    found = rest[:, None].expand_as(scores).clone()
    found[tile.rows, tile.items] = tile.probabilities.to(scores.dtype)
    return found.clamp_min(1e-30).log()


def _try(own: OwnModel, live: OwnScorer, log: Interactions, methods: Methods | None) -> None:
    """What the module answers for a few people, one without a history among them, before anything is trained."""
    if not any(one.requires_grad for one in own.model.parameters()):
        raise own.refused("has no parameters that can be trained; if it is trained already, wrap it with on=train")
    if methods is not None and not own.vectors:
        raise own.refused("gives scores and no vectors; methods need user_vectors and item_vectors, soft labels do not")
    rows = np.arange(min(2, log.n_users))
    few = log.histories(rows)
    nobody = Histories(np.append(few.indptr, few.indptr[-1]), few.items)
    people = np.append(rows, 0 if own.user_id else -1)
    if own.vectors:
        live.user_vectors(nobody, people)
    else:
        live.score(nobody, people)


def _like(config: WrappedConfig) -> TwoTowerConfig:
    """What the rules are asked for: those of a two-tower model without user ids."""
    return TwoTowerConfig(
        dim=1, user_id=False, epochs=config.epochs, learning_rate=config.learning_rate, batch_users=config.batch_users,
        user_weight=config.user_weight, history_dropout=config.history_dropout, label_share=config.label_share,
        temperature=config.temperature, negatives=0,
    )  # fmt: skip


def _generators(device: torch.device) -> dict[str, Any]:
    """What the module's own dropout draws from."""
    found: dict[str, Any] = {"cpu": torch.default_generator}
    if device.type == "cuda":
        found["cuda"] = torch.cuda.default_generators[device.index or torch.cuda.current_device()]
    return found


def _weight(batch: Batch, rule: TwoTowerPlan) -> Tensor:
    return batch.positives.counts.to(torch.float32).pow(1.0 - rule.user_weight)
