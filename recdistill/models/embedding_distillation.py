"""Matrix factorisation as a student: its tables, taught by methods."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from recdistill.distillation.student import Vectors
from recdistill.distillation.training import Training, train_taught
from recdistill.models.base import valid_ndcg
from recdistill.models.embedding_training import Embeddings, bpr_loss, bsl_loss, exported, softmax_loss
from recdistill.training.device import resolve_device
from recdistill.training.progress import NullProgress
from recdistill.training.start import from_log

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.distillation.methods import Methods
    from recdistill.knowledge.store import Knowledge
    from recdistill.models.embedding_rules import EmbeddingPlan
    from recdistill.serving.scorers import LinearFoldInScorer
    from recdistill.training.batches import Batch
    from recdistill.training.progress import Progress

LABEL_SHARE = 0.5


class EmbeddingStudent(nn.Module):
    """Cosine / τ of the rows, or, as BPR ranks, their products."""

    def __init__(self, tables: Embeddings, plan: EmbeddingPlan) -> None:
        super().__init__()
        self.tables, self.plan = tables, plan
        self.register_buffer("bias", torch.zeros(len(tables.items)), persistent=False)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Users (batch, d), items (n_items, d), biases (n_items,), which are 0."""
        users, items = self.tables()
        users = users[batch.users]
        bias = cast(Tensor, self.bias)
        if self.plan.loss == "bpr":
            return users, items, bias
        return normalize(users, dim=1) / self.plan.tau, normalize(items, dim=1), bias


def distil_embeddings(
    plan: EmbeddingPlan,
    log: Interactions,
    knowledge: Knowledge,
    methods: Methods,
    valid: HeldOut | None,
    *,
    seed: int,
    device: str,
    progress: Progress | None,
    name: str,
) -> LinearFoldInScorer:
    """One training from the log's singular vectors to the last epoch."""
    where = resolve_device(device)
    start = from_log(log.csr(), plan.dim, np.random.default_rng(seed))
    tables = Embeddings(torch.from_numpy(start.users), torch.from_numpy(start.items)).to(where)
    negatives = torch.Generator(where).manual_seed(seed)
    student = EmbeddingStudent(tables, plan).to(where)
    if plan.loss == "bpr":
        of_labels = bpr_loss(tables, plan, negatives)
    else:
        of_labels = {"softmax": softmax_loss, "bsl": bsl_loss}[plan.loss](tables, plan)

    def labels(batch: Batch, vectors: Vectors) -> Tensor:
        return of_labels(batch)

    check = None if valid is None else lambda: valid_ndcg(exported(tables, plan, log), log, valid)
    share = LABEL_SHARE if methods.label_share is None else methods.label_share
    training = Training(
        epochs=plan.epochs, learning_rate=plan.learning_rate, label_share=share, batch_users=plan.batch_users,
        user_weight=plan.user_weight, history_power=0.0,
    )  # fmt: skip
    with (progress or NullProgress()).task(f"{name} d={plan.dim}", total=plan.epochs) as bar:
        train_taught(
            student, log, knowledge, methods, training, dim=plan.dim, labels=labels, seed=seed, device=where, bar=bar,
            check=check, of=[name, dataclasses.asdict(plan)], parts={"negatives": negatives},
        )  # fmt: skip
    return exported(tables, plan, log)
