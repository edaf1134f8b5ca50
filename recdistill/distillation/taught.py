"""The loss of one training: labels and methods together, and what changes from epoch to epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from recdistill.candidates.base import Step
from recdistill.candidates.source import Source
from recdistill.candidates.trajectory import Curriculum, TrajectoryTop
from recdistill.distillation.adaptive import ADAPTIVE, Adaptive, Certainty, certainty
from recdistill.distillation.building import feed_of, objectives_of
from recdistill.distillation.feeds import Feed, Taken
from recdistill.distillation.methods import Method, Methods
from recdistill.distillation.student import Batches, Student, StudentScores, Vectors

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recdistill.knowledge.store import Knowledge
    from recdistill.training.batches import Batch

REFRESH_ROWS = 1024
Labels = Callable[["Batch", Vectors], Tensor]
"""The labels' loss of a batch."""


class Taught(nn.Module):
    """Owns the objectives and what they own; the student is named, not owned.

    Saved and loaded with the student, it goes on where it was: `steps` and the student's lists are buffers.
    """

    steps: Tensor
    student_top: Tensor
    reached: Tensor
    distance: Tensor

    def __init__(
        self,
        methods: Methods,
        knowledge: Knowledge,
        csr: csr_matrix,
        student: Student,
        *,
        dim: int,
        labels: Labels,
        label_share: float,
        batches: Batches,
        steps_an_epoch: int,
        epochs: int,
        user_weight: float = 1.0,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        """csr: the training log; dim: the student's; `labels`: its own loss of labels; `batches`: any users', whole.

        A user counts n^(1 - user_weight), n its interactions. Raises KnowledgeError or ConfigError, before anything is
        trained, where a method cannot be fed from this knowledge.
        """
        super().__init__()
        methods.require(knowledge)
        self._student, self._labels, self._batches = [student], labels, batches
        self.label_share, self.user_weight = label_share, user_weight
        self.steps_an_epoch, self.epochs, self.seed = steps_an_epoch, epochs, seed
        self.source = Source(knowledge, csr, device)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self._parts = [self._part(method, number, dim) for number, method in enumerate(methods.taught)]
        self._own_labels = None if methods.labels is None else self._part(methods.labels, -1, dim)
        parts = [*self._parts, *([] if self._own_labels is None else [self._own_labels])]
        self.objectives = nn.ModuleList([one for part in parts for one in part.objectives])
        self._sure = None
        if any(isinstance(part.adapt, Certainty) for part in parts):
            self._sure = torch.from_numpy(certainty(knowledge)).to(device)
        lists = [part.feed.student_list() for part in parts]
        self._list_length = min(max(length for length, _ in lists), csr.shape[1])
        self._refresh = min((every for length, every in lists if length), default=1)
        found = torch.full((csr.shape[0] if self._list_length else 0, self._list_length), -1, dtype=torch.int32)
        self.register_buffer("student_top", found)
        self._keeps_scores = any(part.feed.scores_students_list() for part in parts) and self.source.multiplies
        self._top_scores: Tensor | None = None
        self._curriculum = self._begun([part.feed.curriculum() for part in parts])
        self._known = torch.from_numpy(knowledge.users_known).to(device)
        self._epoch = -1
        self.to(device)

    def _begun(self, given: list[TrajectoryTop | None]) -> Curriculum | None:
        settings = next((one for one in given if one is not None), None)
        trajectory = self.source.knowledge.trajectory
        if settings is None or trajectory is None:
            return None
        device, n_users = self.source.device, self.source.n_users
        self.register_buffer("reached", torch.zeros(n_users, dtype=torch.int64, device=device))
        self.register_buffer("distance", torch.full((n_users,), -1.0, device=device))
        return Curriculum(self.reached, self.distance, trajectory, settings)

    def _part(self, method: Method, number: int, dim: int) -> _Part:
        generator = generator_of(self.seed, 1000 + number)
        objectives = objectives_of(method, self.source, dim, generator)
        adapt = None if method.adapt is None else ADAPTIVE[method.adapt]()
        return _Part(method, objectives, feed_of(method, objectives, self.source), adapt)

    def loss(self, batch: Batch, *made: Vectors) -> Tensor:
        """Of one step, the mean over what the student made of the batch; steps are counted, and epochs begun, here."""
        step = int(self.steps)
        epoch = step // self.steps_an_epoch
        if epoch != self._epoch:
            self._begin(epoch, due=step % self.steps_an_epoch == 0)
        self.steps += 1
        first, *others = (self.of(batch, vectors, step) for vectors in made)
        return sum(others, first) / len(made) if others else first

    def of(self, batch: Batch, vectors: Vectors, step: int) -> Tensor:
        """label_share · labels + (1 - label_share) · Σ weight · method."""
        taken = self._taken(batch, vectors, step)
        total: Tensor = vectors.users.new_zeros(())
        labels = total
        needs_labels = self.label_share > 0 or any(part.adapt is not None for part in self._parts)
        if needs_labels:
            own = self._own_labels
            labels = self._labels(batch, vectors) if own is None else own.feed.loss(taken)
            total = self.label_share * labels
        if self.label_share == 1:
            return total
        for number, part in enumerate(self._parts):
            told = taken
            if isinstance(part.adapt, Certainty) and self._sure is not None and taken.weight is not None:
                told = replace(taken, weight=taken.weight * self._sure[batch.users])
            told = replace(told, step=replace(told.step, drawn={}, generator=self._generator(step, number)))
            found = part.feed.loss(told)
            weight: float | Tensor = part.weight
            if part.adapt is not None and not isinstance(part.adapt, Certainty):
                weight = weight * part.adapt.factor(labels, found, vectors.users)
            total = total + (1.0 - self.label_share) * weight * found
        return total

    def _taken(self, batch: Batch, vectors: Vectors, step: int) -> Taken:
        scores = StudentScores(vectors)
        counts = batch.positives.counts.to(vectors.users.dtype)
        weight = counts.clamp(min=1).pow(1.0 - self.user_weight) * self._known[batch.users]
        if self._keeps_scores and self._top_scores is None:
            self._top_scores = self.source.scores_of_lists(self.student_top)
        asked = Step(
            batch.users, batch.positives, self.source, self._generator(step, -1), student_top=self.student_top,
            top_scores=self._top_scores, curriculum=self._curriculum, score=scores.now,
        )  # fmt: skip
        return Taken(asked, scores, self._users_of, weight)

    def _users_of(self, rows: Tensor) -> Tensor:
        users: Tensor = self._student[0](self._batches(rows.cpu().numpy()))[0]
        return users

    def _generator(self, step: int, number: int) -> torch.Generator:
        """Of one objective in one step, whatever was drawn before."""
        return generator_of(self.seed, step, number + 1)

    def _begin(self, epoch: int, *, due: bool) -> None:
        """`due`: at its first step, and not where a training goes on in the middle of an epoch."""
        self._epoch = epoch
        for part in [*self._parts, *([] if self._own_labels is None else [self._own_labels])]:
            part.advance(epoch / max(1, self.epochs))
        if self._list_length and due and epoch % self._refresh == 0:
            self.student_top.copy_(
                best_unseen(self._student[0], self._batches, self.source.csr, self._list_length, self.source.device)
            )
            self._top_scores = None
            if self._curriculum is not None:
                self._curriculum.look(self.student_top, epoch // self._refresh)


class _Part:
    """One method: its objectives, how they are fed, and what its weight is now."""

    def __init__(self, method: Method, objectives: list[Any], feed: Feed, adapt: Adaptive | None) -> None:
        self.method, self.objectives, self.feed, self.adapt = method, objectives, feed, adapt
        self.weight = method.weight.at(0.0)

    def advance(self, progress: float) -> None:
        self.weight = self.method.weight.at(progress)
        changed = {name: schedule.at(progress) for name, schedule in self.method.scheduled.items()}
        for objective in self.objectives:
            if changed:
                objective.config = replace(objective.config, **changed)
            objective.advance(progress)


@torch.no_grad()
def best_unseen(
    student: Student, batches: Batches, csr: csr_matrix, k: int, device: torch.device | str = "cpu"
) -> Tensor:
    """(n_users, k) int32 the items that the student ranks highest among the unused, best first, -1 where none is left.

    A few users at a time: memory is flat in users but for the lists themselves.
    """
    found = torch.empty(csr.shape[0], k, dtype=torch.int32, device=device)
    for start in range(0, csr.shape[0], REFRESH_ROWS):
        rows = np.arange(start, min(start + REFRESH_ROWS, csr.shape[0]))
        batch = batches(rows)
        users, items, bias = student(batch)
        scores = torch.addmm(bias, users, items.T)
        scores[batch.positives.rows, batch.positives.items] = -torch.inf
        best = scores.topk(k, dim=1)
        found[start : start + len(rows)] = best.indices.int().masked_fill(best.values == -torch.inf, -1)
    return found


def generator_of(*numbers: int) -> torch.Generator:
    """The generator of these numbers: the same draws whatever was drawn before."""
    mixed = np.random.SeedSequence([number & 0xFFFFFFFF for number in numbers]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(mixed >> 1))
