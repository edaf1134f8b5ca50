"""The torch half of re-ranking: a network learns from what a base that never saw them retrieves of hidden items."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from recdistill.models.reranked import MOST_USERS
from recdistill.objectives.labels.softmax import Softmax
from recdistill.serving.perceptron import Perceptron
from recdistill.serving.reranked import Pool, RerankedScorer, pair_features
from recdistill.serving.scorers import Histories

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.serving.scorers import Scorer

TILE_FLOATS = 8_000_000
"""Of features, in memory at once."""


class Correction(nn.Module):
    """A perceptron whose last layer starts at 0: the base's order is where it starts from."""

    def __init__(self, inputs: int, hidden: tuple[int, ...], generator: torch.Generator) -> None:
        super().__init__()
        widths = (inputs, *hidden)
        shapes = list(zip(hidden, widths, strict=False))
        first = [torch.randn(shape, generator=generator) * (2 / shape[1]) ** 0.5 for shape in shapes]
        self.weights = nn.ParameterList([*first, torch.zeros(1, widths[-1])])
        self.biases = nn.ParameterList([*(torch.zeros(width) for width in hidden), torch.zeros(1)])

    def forward(self, rows: Tensor) -> Tensor:
        """(pairs,) of features (pairs, inputs)."""
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            rows = torch.addmm(bias, torch.relu(rows) if number else rows, weight.T)
        return rows[:, 0]

    def export(self) -> Perceptron:
        layers = zip(self.weights, self.biases, strict=True)
        return Perceptron.of(*((w.detach().cpu().numpy().copy(), b.detach().cpu().numpy().copy()) for w, b in layers))


@dataclass(frozen=True, eq=False, slots=True)
class Asked:
    """Users, what a base retrieves for them, and which of it they wanted."""

    scorer: RerankedScorer
    """Whose base is asked, and whose facts of items count."""
    histories: Histories
    user_rows: np.ndarray
    pool: Pool
    wanted: np.ndarray
    """bool (users, depth)"""
    wanted_count: np.ndarray
    """(users,) also of items that were not retrieved"""
    turn: np.ndarray | None = None
    """(d, d) rotation of the base's vectors"""

    @classmethod
    def of(cls, scorer: RerankedScorer, train: Interactions, held: HeldOut, *, turn: np.ndarray | None = None) -> Asked:
        """The users of `held` with a wanted item, made of what is known of them by `train`; of very many every n-th."""
        from recdistill.data.known import known_histories
        from recdistill.evaluation.ranking import hits_of
        from recdistill.retrieval.exact import top_k

        counted = np.flatnonzero(held.relevant_count > 0)
        counted = counted[:: max(1, -(-len(counted) // MOST_USERS))]
        histories = known_histories(held, train, ordered=scorer.ordered).take(counted)
        rows = held.user_rows[counted]
        pool = Pool(*top_k(scorer.base, histories, rows, scorer.depth, histories))
        wanted = hits_of(pool.items, held.relevant[counted])
        return cls(scorer, histories, rows, pool, wanted, held.relevant_count[counted], turn)

    def take(self, users: np.ndarray) -> Asked:
        pool = Pool(*(part[users] for part in self.pool))
        return replace(
            self, histories=self.histories.take(users), user_rows=self.user_rows[users], pool=pool,
            wanted=self.wanted[users], wanted_count=self.wanted_count[users],
        )  # fmt: skip

    def spread(self) -> float:
        """The mean over users of the standard deviation of what is retrieved for them."""
        there = self.pool.items >= 0
        each = [
            row[kept].std(dtype=np.float64) for row, kept in zip(self.pool.scores, there, strict=True) if kept.any()
        ]
        return float(np.mean(each)) or 1.0

    def features(self) -> Tensor:
        scorer = self.scorer
        found = pair_features(scorer.base, scorer.item_facts, self.histories, self.user_rows, self.pool, self.turn)
        return torch.from_numpy(found)

    def logits(self, network: Correction) -> Tensor:
        """(users, depth), -inf where nothing was retrieved."""
        base = torch.from_numpy(self.pool.scores / np.float32(self.scorer.unit))
        known = torch.from_numpy(~self.scorer.unknown(self.histories, self.user_rows))
        return base + known[:, None] * network(self.features()).reshape(base.shape)

    def ndcg(self, network: Correction, k: int) -> float:
        """Mean NDCG@k of the whole ranking, the retrieval's misses included."""
        from recdistill.evaluation.ranking import ndcg

        k = min(k, self.wanted.shape[1])
        total = 0.0
        with torch.no_grad():
            for users in self.batches(np.arange(len(self.user_rows))):
                part = self.take(users)
                best = part.logits(network).numpy().argsort(axis=1, kind="stable")[:, ::-1][:, :k]
                total += float(ndcg(np.take_along_axis(part.wanted, best, 1), part.wanted_count, k).sum())
        return total / len(self.user_rows)

    def batches(self, order: np.ndarray, users: int | None = None) -> Iterator[np.ndarray]:
        step = users or max(1, TILE_FLOATS // (self.wanted.shape[1] * self.scorer.network.inputs))
        for start in range(0, len(order), step):
            yield order[start : start + step]


class Learner:
    """One epoch after the other at a constant rate, so that stopping early is the same as going no further."""

    def __init__(
        self, asked: Asked, *, hidden: tuple[int, ...], learning_rate: float, weight_decay: float, batch_users: int,
        seed: int,
    ) -> None:  # fmt: skip
        self.asked = asked.take(np.flatnonzero(asked.wanted.any(axis=1)))
        inputs = asked.scorer.network.inputs
        self.network = Correction(inputs, hidden, torch.Generator().manual_seed(seed))
        self._order = np.random.default_rng([seed, 5])
        self._optimizer = torch.optim.AdamW(self.network.parameters(), lr=learning_rate, weight_decay=weight_decay)
        self._users, self._loss = batch_users, Softmax()

    def epoch(self) -> None:
        for users in self.asked.batches(self._order.permutation(len(self.asked.user_rows)), self._users):
            part = self.asked.take(users)
            there = torch.from_numpy(part.pool.items >= 0)
            loss = self._loss(part.logits(self.network), torch.from_numpy(part.wanted), mask=there)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self._optimizer.step()


def turn_to(items: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The rotation (d, d) that takes item vectors (n, d) nearest to others of the same items (Schönemann, 1966)."""
    left, _, right = np.linalg.svd(items.T.astype(np.float64) @ wanted)
    return (left @ right).astype(np.float32)


def item_facts(scorer: Scorer, log_counts: np.ndarray) -> np.ndarray:
    """float32 (n_items, 2): the base's bias and log popularity, each of mean 0 and spread 1."""
    bias = np.zeros(scorer.n_items) if scorer.item_bias is None else scorer.item_bias
    facts = np.stack([bias, log_counts], axis=1).astype(np.float64)
    spread = facts.std(axis=0)
    return ((facts - facts.mean(axis=0)) / np.where(spread > 0, spread, 1)).astype(np.float32)
