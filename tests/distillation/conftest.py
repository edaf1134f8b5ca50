"""A log of three tastes, a teacher that knows them, and a student of free rows that knows nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recdistill.data.interactions import HeldOut, Interactions
from recdistill.distillation.methods import Methods, read_methods
from recdistill.distillation.student import Vectors
from recdistill.distillation.taught import Taught
from recdistill.knowledge.store import Knowledge
from recdistill.models.two_tower import TwoTower
from recdistill.training.batches import Batch, whole_batches
from tests.models.test_two_tower import blocks

DIM = 6
EPOCHS = 4
STEPS = 2
"""An epoch."""


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def log() -> tuple[Interactions, HeldOut]:
    return blocks()


@pytest.fixture(scope="session")
def known(log: tuple[Interactions, HeldOut]) -> Knowledge:
    """Everything that a source can give."""
    train = log[0]
    early, late = (TwoTower(dim=8, epochs=epochs, learning_rate=0.02).fit(train, device="cpu") for epochs in (2, 60))
    last = Knowledge.extract(late, train, top_k=20).with_item_lists(train, 10)
    return last.with_trajectory([Knowledge.extract(early, train, top_k=20)])


class Rows(nn.Module):
    """A free row for every user and item."""

    def __init__(self, n_users: int, n_items: int, dim: int = DIM, seed: int = 0) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.users = nn.Parameter(torch.randn(n_users, dim, generator=draw) * 0.3)
        self.items = nn.Parameter(torch.randn(n_items, dim, generator=draw) * 0.3)
        self.bias = nn.Parameter(torch.zeros(n_items))

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        return self.users[batch.users], self.items, self.bias


class Training:
    """A student and what it is taught, stepped by hand."""

    def __init__(
        self, train: Interactions, known: Knowledge, methods: Methods, label_share: float = 0.0, rate: float = 0.02
    ) -> None:
        self.student = Rows(train.n_users, train.n_items)
        self.batches = whole_batches(train.csr(), 0.5, torch.device("cpu"))
        self.users = np.array_split(np.random.default_rng(0).permutation(train.n_users), STEPS)
        self.taught = Taught(
            methods, known, train.csr(), self.student, dim=DIM, labels=labels, label_share=label_share,
            batches=self.batches, steps_an_epoch=STEPS, epochs=EPOCHS, seed=0,
        )  # fmt: skip
        parameters = [*self.student.parameters(), *self.taught.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=rate)

    def loss(self, step: int) -> Tensor:
        batch = self.batches(self.users[step % STEPS])
        return self.taught.loss(batch, Vectors(*self.student(batch)))

    def epoch(self, *, learn: bool = True, again: bool = True) -> float:
        """The mean loss of an epoch; `again`: the next one draws the same."""
        total = 0.0
        for step in range(STEPS):
            loss = self.loss(step)
            if learn:
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
            total += float(loss.detach())
        if again:
            self.taught.steps.zero_()
        return total / STEPS


def labels(batch: Batch, made: Vectors) -> Tensor:
    """Softmax over all items, any form of it."""
    scores = made.users @ made.items.T + made.bias
    picked = scores.log_softmax(1)[batch.positives.rows, batch.positives.items]
    return -picked.mean()


@pytest.fixture
def training(log: tuple[Interactions, HeldOut], known: Knowledge) -> Callable[..., Training]:
    def make(
        method: object, label_share: float = 0.0, knowledge: Knowledge | None = None, rate: float = 0.02
    ) -> Training:
        return Training(log[0], knowledge or known, read_methods(method), label_share, rate)  # type: ignore[arg-type]

    return make
