"""One training of any student by methods: what a model has to call beside its own start and end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from recdistill.distillation.student import Vectors
from recdistill.distillation.taught import Labels, Taught
from recdistill.training.batches import Batch, UserBatches, whole_batches
from recdistill.training.checkpoint import Kept
from recdistill.training.loop import Schedule, train

if TYPE_CHECKING:
    import torch

    from recdistill.data.interactions import Interactions
    from recdistill.distillation.methods import Methods
    from recdistill.knowledge.store import Knowledge
    from recdistill.training.progress import Bar


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a student is trained, beside what it is taught."""

    epochs: int
    learning_rate: float
    label_share: float
    batch_users: int = 512
    user_weight: float = 0.0
    """A user counts n^(1-w), n its interactions."""
    history_power: float = 0.5
    history_dropout: float = 0.0


def train_taught(
    student: nn.Module,
    log: Interactions,
    knowledge: Knowledge,
    methods: Methods,
    training: Training,
    *,
    dim: int,
    labels: Labels,
    seed: int,
    device: torch.device,
    bar: Bar,
    check: Callable[[], float] | None = None,
    of: Any = "",
    parts: Mapping[str, Any] | None = None,
) -> None:
    """Train `student` in place: a module whose forward of a batch gives users, items and biases (`Student`).

    `labels` is its loss of labels; `of` says what else a checkpoint depends on, `parts` what else draws. Raises
    KnowledgeError or ConfigError before anything is trained where a method cannot be fed.
    """
    batches = UserBatches(
        log.csr(), batch_users=training.batch_users, history_power=training.history_power,
        history_dropout=training.history_dropout, generator=np.random.default_rng([seed, 1]), device=device,
    )  # fmt: skip
    taught = Taught(
        methods, knowledge, log.csr(), student, dim=dim, labels=labels, label_share=training.label_share,
        batches=whole_batches(log.csr(), training.history_power, device), steps_an_epoch=len(batches),
        epochs=training.epochs, user_weight=training.user_weight, seed=seed, device=device,
    )  # fmt: skip

    def loss_of(batch: Batch) -> Tensor:
        return taught.loss(batch, Vectors(*student(batch)))

    kept = Kept(lambda: [of, str(training), str(methods), log.sha256(), knowledge.sha256(), seed], parts or {})
    schedule = Schedule(epochs=training.epochs, learning_rate=training.learning_rate)
    train(nn.ModuleList([student, taught]), batches, loss_of, schedule, bar=bar, check=check, kept=kept)
