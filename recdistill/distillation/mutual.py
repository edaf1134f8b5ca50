"""A course of its own: teacher and student learn at the same time, each from the labels and from the other."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from recdistill.candidates.base import Listed, Step, check_counts
from recdistill.candidates.source import Source
from recdistill.candidates.student_top import Overestimated, Underestimated, discrepant
from recdistill.distillation.student import Batches, Student, StudentScores, Vectors
from recdistill.distillation.taught import best_unseen, generator_of
from recdistill.errors import ConfigError
from recdistill.knowledge.store import Knowledge
from recdistill.models.base import check_log, valid_ndcg
from recdistill.models.popularity import log_counts
from recdistill.models.towers import HISTORY_POWER
from recdistill.models.two_tower_features import Sides
from recdistill.models.two_tower_rules import LogFacts
from recdistill.models.two_tower_start import start_towers
from recdistill.objectives.catalogue import CatalogueConfig, CatalogueLoss
from recdistill.objectives.knowledge.mutual import MutualBCE, MutualKL
from recdistill.objectives.registry import build
from recdistill.tables.codecs import half
from recdistill.training.batches import UserBatches, whole_batches
from recdistill.training.checkpoint import Kept
from recdistill.training.device import resolve_device
from recdistill.training.loop import Schedule, train
from recdistill.training.progress import NullProgress

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.models.towers import Towers
    from recdistill.models.two_tower import TwoTower
    from recdistill.training.batches import Batch
    from recdistill.training.progress import Progress


class Together(NamedTuple):
    teacher: TwoTower
    student: TwoTower


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What each is shown of the other's list, for `mutual_bce`."""

    n: int = 5
    """Items that each learns from the other in a step, of every user."""
    of: int = 100
    """Of each one's best unseen items they are drawn from."""
    temperature: float = 10.0
    """How far apart two ranks must be to count: p ∝ tanh(difference / temperature)."""
    every: int = 5
    """Epochs from one refresh of the lists to the next."""

    def __post_init__(self) -> None:
        check_counts("mutual", n=self.n, of=self.of, every=self.every)


def train_together(
    teacher: TwoTower,
    student: TwoTower,
    on: Interactions,
    valid: HeldOut | None = None,
    *,
    method: str = "mutual_bce",
    settings: dict[str, Any] | None = None,
    exchange: Exchange | None = None,
    label_share: float = 0.5,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> Together:
    """Fit both on `on`, and return them: label_share · both labels + (1 - label_share) · `method` between the two.

    `mutual_kl` compares all unseen items, `mutual_bce` those of which the two ranks differ (bidirectional distillation:
    Kweon et al., 2021). Both start from the log's singular vectors. `valid` is only looked at for the progress bar.
    """
    check_log(on, "mutual")
    objective = build(method, settings)
    if not isinstance(objective, MutualBCE | MutualKL):
        raise ConfigError(f"method = {method!r}: two models teach each other by mutual_bce or mutual_kl.")
    if not 0 <= label_share <= 1:
        raise ConfigError(f"label_share = {label_share}: give a share from 0 to 1.")
    where, facts = resolve_device(device), LogFacts.of(on)
    plans = [
        dataclasses.replace(one._plan(one.config, facts, distilled=False), negatives=None) for one in (teacher, student)
    ]
    towers = [
        start_towers(plan, on, None, seed, Sides(), one._towers(plan, seed)).to(where)
        for plan, one in zip(plans, (teacher, student), strict=True)
    ]
    batches = UserBatches(
        on.csr(), batch_users=plans[1].batch_users, history_power=HISTORY_POWER,
        history_dropout=plans[1].history_dropout, generator=np.random.default_rng([seed, 1]), device=where,
    )  # fmt: skip
    mutual = Mutual(
        towers[0], towers[1], objective, exchange or Exchange(), on.csr(), label_share=label_share,
        user_weights=(plans[0].user_weight, plans[1].user_weight), steps_an_epoch=len(batches), seed=seed,
        batches=whole_batches(on.csr(), HISTORY_POWER, where), device=where,
    )  # fmt: skip
    popularity = half(log_counts(on), "popularity")

    def scorer(one: Towers) -> Any:
        return dataclasses.replace(one.scorer(), popularity=popularity)

    epochs, rate = max(plan.epochs for plan in plans), min(plan.learning_rate for plan in plans)
    check = None if valid is None else lambda: valid_ndcg(scorer(towers[1]), on, valid)
    kept = Kept(lambda: [method, str(settings), str(exchange), str(plans), on.sha256(), label_share, seed])
    with (progress or NullProgress()).task("together", total=epochs) as bar:
        train(
            mutual, batches, mutual.loss, Schedule(epochs=epochs, learning_rate=rate), bar=bar, check=check, kept=kept
        )
    for model, one in ((teacher, towers[0]), (student, towers[1])):
        model.chosen = {}
        model._keep(scorer(one), on, seed)
    return Together(teacher, student)


class Mutual(nn.Module):
    """Both models, the lists that they have of each other, and the loss of a step."""

    steps: Tensor
    lists: Tensor

    def __init__(
        self,
        teacher: nn.Module,
        student: nn.Module,
        objective: MutualBCE | MutualKL,
        exchange: Exchange,
        csr: csr_matrix,
        *,
        label_share: float,
        user_weights: tuple[float, float],
        steps_an_epoch: int,
        seed: int,
        batches: Batches,
        device: torch.device,
    ) -> None:
        super().__init__()
        self.models = nn.ModuleList([teacher, student])
        self.objective, self.exchange, self.label_share = objective, exchange, label_share
        self.user_weights, self.steps_an_epoch, self.seed = user_weights, steps_an_epoch, seed
        self._csr, self._batches, self._device = csr, batches, device
        self._labels = CatalogueLoss(CatalogueConfig(value=False))
        self._source = Source(_nothing(csr), csr, device)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        k = min(exchange.of, csr.shape[1]) if isinstance(objective, MutualBCE) else 0
        self.register_buffer("lists", torch.full((2, csr.shape[0] if k else 0, k), -1, dtype=torch.int32))
        self.to(device)

    def loss(self, batch: Batch) -> Tensor:
        step = int(self.steps)
        if step % (self.steps_an_epoch * self.exchange.every) == 0 and self.lists.numel():
            for place, model in enumerate(self.models):
                found = best_unseen(cast(Student, model), self._batches, self._csr, self.lists.shape[2], self._device)
                self.lists[place].copy_(found)
        self.steps += 1
        made = [Vectors(*model(batch)) for model in self.models]
        total = torch.zeros((), device=batch.users.device)
        for vectors, power in zip(made, self.user_weights, strict=True):
            weight = batch.positives.counts.float().pow(1.0 - power)
            total = total + self.label_share * self._labels(*vectors, batch.positives, weight=weight)
        teacher, student = (StudentScores(vectors) for vectors in made)
        told = self._items if isinstance(self.objective, MutualBCE) else self._all
        return total + (1.0 - self.label_share) * told(batch, teacher, student, step)

    def _all(self, batch: Batch, teacher: StudentScores, student: StudentScores, step: int) -> Tensor:
        mask = torch.ones_like(student.whole(), dtype=torch.bool)
        mask[batch.positives.rows, batch.positives.items] = False
        told: Tensor = self.objective(student.whole(), teacher.whole(), mask=mask)
        return told

    def _items(self, batch: Batch, teacher: StudentScores, student: StudentScores, step: int) -> Tensor:
        asked = Step(batch.users, batch.positives, self._source, generator_of(self.seed, step, 1))
        settings = {"n": self.exchange.n, "of": self.exchange.of, "temperature": self.exchange.temperature}
        of_teacher, of_student = (self._listed(place, batch.users) for place in (0, 1))
        to_student = discrepant(of_teacher, of_student, asked, Underestimated(**settings))  # type: ignore[arg-type]
        to_teacher = discrepant(of_student, of_teacher, asked, Overestimated(**settings))  # type: ignore[arg-type]
        items = torch.cat([to_student.items, to_teacher.items], 1)
        places = torch.arange(items.shape[1], device=items.device).expand_as(items)
        width = to_student.items.shape[1]
        told: Tensor = self.objective(
            student.at(items), teacher.at(items), places[:, :width], places[:, width:],
            to_student_mask=to_student.mask, to_teacher_mask=to_teacher.mask,
        )  # fmt: skip
        return told

    def _listed(self, place: int, users: Tensor) -> Listed:
        items = self.lists[place][users].long()
        return Listed(items.clamp_min(0), items >= 0)


def _nothing(csr: csr_matrix) -> Knowledge:
    """Of no teacher: lists without items."""
    shape = csr.shape[0], 1
    return Knowledge(
        top_items=np.full(shape, -1), top_scores=np.zeros(shape, np.float32), top_own=np.zeros(shape, bool),
        tail_mass=np.zeros(shape[0], np.float32), n_items=csr.shape[1], log_sha256="",
    )  # fmt: skip
