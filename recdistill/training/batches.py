"""Users in shuffled batches of equal size, each with its whole history."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from recdistill.candidates.mixed import MixedNegatives, Shown
from recdistill.objectives.positives import Positives
from recdistill.training.bags import Bags


@dataclass(frozen=True, slots=True)
class Batch:
    """Users of a training log, their items, and the bags that they are made of."""

    users: Tensor  # (batch,) user rows
    positives: Positives
    bags: Bags
    shown: Shown | None = None
    """Where the batch is scored against a sample of the items: positives and bags are then places among these."""
    places: Tensor | None = None
    """(entries of the bags,) int64, the place of each from the end of the history, where order counts"""
    moment: Batch | None = None
    """The users at a moment of their histories, where this batch has the whole ones: see `OrderedBatches`"""


class UserBatches:
    """Each pass over it is one epoch in a new order; the last batch is as large as the others, give or take one."""

    def __init__(
        self,
        csr: csr_matrix,
        *,
        batch_users: int,
        history_power: float,
        history_dropout: float,
        generator: np.random.Generator,
        device: torch.device,
        negatives: MixedNegatives | None = None,
    ) -> None:
        """`negatives` draws the items that each batch is scored against; none: all items."""
        self._csr, self._negatives = csr, negatives
        self._steps = -(-csr.shape[0] // batch_users)
        self._power, self._dropout = history_power, history_dropout
        self._generator, self._device = generator, device
        self._began: Mapping[str, Any] = generator.bit_generator.state
        """The generator's at the beginning of the epoch, from which its order follows."""
        self._given, self._goes_on = 0, False

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[Batch]:
        """An epoch, or after `restore` what is left of it."""
        if not self._goes_on:
            self._began, self._given = self._generator.bit_generator.state, 0
            order = self._generator.permutation(self._csr.shape[0])
        else:
            now, self._generator.bit_generator.state = self._generator.bit_generator.state, self._began
            order = self._generator.permutation(self._csr.shape[0])
            self._generator.bit_generator.state = now
        self._goes_on = False
        for users in np.array_split(order, self._steps)[self._given :]:
            self._given += 1
            yield self._batch(users)

    def state(self) -> dict[str, Any]:
        """Where it is between two batches: the order of the epoch, the place in it, and its generators."""
        state = {"began": self._began, "now": self._generator.bit_generator.state, "given": self._given}
        return state if self._negatives is None else {**state, "negatives": self._negatives.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`: the next pass is the rest of the epoch that it was taken in."""
        self._began, self._given, self._goes_on = state["began"], int(state["given"]), True
        self._generator.bit_generator.state = state["now"]
        if self._negatives is not None:
            self._negatives.restore(state["negatives"])

    def of(self, users: np.ndarray) -> Batch:
        """The batch of these user rows."""
        return self._batch(users)

    def _batch(self, users: np.ndarray) -> Batch:
        rows, device = self._csr[users], self._device
        counts = np.diff(rows.indptr)
        positives = Positives(
            offsets=torch.from_numpy(rows.indptr).long().to(device),
            items=torch.from_numpy(rows.indices).long().to(device),
            rows=torch.from_numpy(np.repeat(np.arange(len(users)), counts)).to(device),
        )
        shown = None
        if self._negatives is not None:
            shown = self._negatives.of(positives)
            positives, places = shown.positives, shown.positives.items.cpu().numpy()
            rows = csr_matrix((rows.data, places, rows.indptr), shape=(len(users), len(shown.items)))
        bags = Bags.of(self._bags(rows, counts), device)
        return Batch(torch.from_numpy(users).to(device), positives, bags, shown)

    def _bags(self, rows: csr_matrix, counts: np.ndarray) -> csr_matrix:
        """Weights 1/n^power, a share of the entries hidden and the others raised to make up for them."""
        weights = np.repeat(np.maximum(counts, 1).astype(np.float32) ** -self._power, counts)
        if self._dropout <= 0.0:
            return csr_matrix((weights, rows.indices, rows.indptr), shape=rows.shape)
        kept = self._generator.random(len(weights), dtype=np.float32) >= self._dropout
        offsets = np.concatenate([[0], np.cumsum(kept)])[rows.indptr]
        raised = weights[kept] / np.float32(1.0 - self._dropout)
        return csr_matrix((raised, rows.indices[kept], offsets), shape=rows.shape)


def whole_batches(csr: csr_matrix, history_power: float, device: torch.device) -> Callable[[np.ndarray], Batch]:
    """The batch of any user rows, scored against all items, nothing of their histories hidden."""
    unused = np.random.default_rng(0)  # nothing is drawn where nothing is hidden
    return UserBatches(
        csr, batch_users=1, history_power=history_power, history_dropout=0.0, generator=unused, device=device
    ).of
