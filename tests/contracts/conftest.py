"""Logs whose right answer is known by construction, and every registered model with settings that train in a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from recdistill.data.interactions import HeldOut, Interactions, binary_csr
from recdistill.data.vocab import Vocab
from recdistill.models.base import Ranker
from recdistill.models.registry import MODELS
from recdistill.retrieval.exact import top_k
from recdistill.serving.scorers import Histories

TOWERS: dict[str, Any] = {"dim": 8, "epochs": 25, "batch_users": 64, "learning_rate": 0.02}
SMALL: dict[str, dict[str, Any]] = {
    "two_tower": TOWERS,
    "deep_tower": {**TOWERS, "hidden": (16,)},
    "ensemble": {"member_settings": {"two_tower": TOWERS}},
    "reranked": {"base_settings": TOWERS, "depth": 15, "epochs": 2},
    "als": {"dim": 8},
    "svd": {"dim": 5},
    "mf": {"dim": 8, "epochs": 25, "batch_users": 64},
    "lightgcn": {"dim": 8, "epochs": 20, "batch_users": 64},
    "self_attention": {"dim": 8, "epochs": 10, "batch_users": 32, "learning_rate": 0.01, "dropout": 0.1},
}
ORDERED = {"self_attention"}
"""Models that learn from logs with times alone."""
N_USERS, N_ITEMS = 120, 40


@dataclass(frozen=True)
class KnownLog:
    """A training log, and the items that its construction says each user wants beside those of train."""

    train: Interactions
    held: HeldOut

    @property
    def histories(self) -> Histories:
        return Histories.from_csr(self.train.csr())

    @property
    def rows(self) -> np.ndarray:
        return np.arange(self.train.n_users)


def known_log(wanted: np.ndarray, held_share: float, seed: int) -> KnownLog:
    """`wanted` (users, items) bool; a share of each user's wanted items is held out, the others are the log."""
    draw = np.random.default_rng(seed)
    hidden = np.zeros_like(wanted)
    for user, row in enumerate(wanted):
        items = draw.permutation(np.flatnonzero(row))
        hidden[user, items[: max(1, round(held_share * len(items)))]] = True
    n_users, n_items = wanted.shape
    users, items = Vocab([f"user {u}" for u in range(n_users)]), Vocab([f"item {i}" for i in range(n_items)])
    train = Interactions(users, items, *np.nonzero(wanted & ~hidden), source="made for a test")
    relevant = binary_csr(*np.nonzero(hidden), (n_users, n_items))
    return KnownLog(train, HeldOut(users.ids(), np.arange(n_users), relevant, hidden.sum(axis=1)))


def top_items(model: Ranker, log: KnownLog, k: int = 10) -> np.ndarray:
    """Item rows (users, k) without those of train."""
    return top_k(model.scorer, log.histories, log.rows, k, log.histories)[0]


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors of a hundred rows are slower on two threads, much slower on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(limits=1):
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def logs() -> dict[str, KnownLog]:
    """Every known log by its name, and, as "… timed", the same with times that tell nothing."""
    found = {"checkerboard": _checkerboard(), "low_rank": _low_rank()}
    return found | {f"{name} timed": timed(log) for name, log in found.items()}


@pytest.fixture
def checkerboard(logs: dict[str, KnownLog], request: pytest.FixtureRequest) -> KnownLog:
    """Even users want all even items, odd users all odd ones; a third of them is held out."""
    return logs["checkerboard" + _suffix(request)]


@pytest.fixture
def low_rank(logs: dict[str, KnownLog], request: pytest.FixtureRequest) -> KnownLog:
    """Each user wants the quarter of the items that lie nearest in a plane of tastes; a fifth of them is held out."""
    return logs["low_rank" + _suffix(request)]


def timed(log: KnownLog) -> KnownLog:
    """With each user's items in an order that was drawn."""
    times = np.random.default_rng(2).permutation(log.train.n_rows)
    return KnownLog(replace(log.train, times=times), log.held)


def _suffix(request: pytest.FixtureRequest) -> str:
    """Models that need times get them."""
    wanted = "kind" in request.fixturenames and request.getfixturevalue("kind") in ORDERED
    return " timed" if wanted else ""


def _checkerboard() -> KnownLog:
    return known_log(np.add.outer(np.arange(N_USERS), np.arange(N_ITEMS)) % 2 == 0, held_share=0.35, seed=0)


def _low_rank() -> KnownLog:
    draw = np.random.default_rng(1)
    angle_u, angle_i = draw.uniform(0, 2 * np.pi, N_USERS), np.linspace(0, 2 * np.pi, N_ITEMS, endpoint=False)
    affinity = np.cos(angle_u[:, None] - angle_i)
    wanted = affinity >= np.quantile(affinity, 0.75, axis=1, keepdims=True)
    return known_log(wanted, held_share=0.2, seed=1)


@pytest.fixture(scope="session")
def fitted() -> Callable[[str, KnownLog], Ranker]:
    """The model of a kind, fitted once on each log with seed 3; do not fit it again."""
    models: dict[tuple[str, int], Ranker] = {}

    def fit(kind: str, log: KnownLog) -> Ranker:
        key = kind, id(log)
        if key not in models:
            models[key] = new(kind).fit(log.train, seed=3, device="cpu")
        return models[key]

    return fit


@pytest.fixture(params=list(MODELS))
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def model(kind: str, checkerboard: KnownLog, fitted: Callable[[str, KnownLog], Ranker]) -> Ranker:
    """Each registered model in turn, fitted on the checkerboard."""
    return fitted(kind, checkerboard)


def new(kind: str) -> Ranker:
    return MODELS[kind](**SMALL.get(kind, {}))


def rows_of(matrix: csr_matrix) -> list[list[int]]:
    return [matrix.indices[start:stop].tolist() for start, stop in zip(matrix.indptr, matrix.indptr[1:], strict=False)]
