"""Objectives of vectors that are smoothed over a graph: an entity comes with its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from recdistill.candidates.source import Source
from recdistill.distillation.feeds import Feed, Taken, called
from recdistill.distillation.vector_feed import ENTITIES, sampled, unit
from recdistill.objectives.base import Objective
from recdistill.objectives.vectors.freqd import sparse_graph

if TYPE_CHECKING:
    from collections.abc import Callable

NEIGHBOURS = 5
USERS = 128
"""Of a batch that are compared: each brings neighbours from outside the batch, whose vectors cost as much."""
TILE_ROWS = 512


@dataclass(frozen=True, slots=True)
class Neighbours:
    """A graph of entities of one side, normalised as D^-½ A D^-½."""

    rows: Tensor
    """(n, k) int64 the neighbours"""
    values: Tensor
    """(n, k) float32; 0 where there are fewer"""


class GraphFeed(Feed):
    """An objective for each side, mean of both."""

    def __init__(self, objectives: Sequence[Objective], source: Source) -> None:
        self.of_users, self.of_items = objectives
        self.source = source

    def loss(self, taken: Taken) -> Tensor:
        vectors, step = taken.scores.vectors, taken.step
        teacher_users, teacher_items = self.source.vectors()
        csr = self.source.csr
        items = self.source.kept("item graph", lambda: co_occurrence(csr.T.tocsr(), step.users.device))
        users = self.source.kept("user graph", lambda: co_occurrence(csr, step.users.device))
        chosen = sampled(len(step.users), USERS, taken)
        one = self._side(self.of_users, step.users[chosen], users, teacher_users, taken.users_of)
        asked = sampled(len(vectors.items), ENTITIES, taken)
        two = self._side(self.of_items, asked, items, teacher_items, lambda rows: vectors.items[rows])
        return 0.5 * (one + two)

    def _side(
        self,
        objective: Objective,
        asked: Tensor,
        graph: Neighbours,
        teacher: Tensor,
        student_of: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """asked: rows of this side, whose own rows and neighbours' are made."""
        near, values = graph.rows[asked], graph.values[asked]
        pool, places = torch.cat([asked, near.flatten()]).unique(return_inverse=True)
        entities, columns = places[: len(asked)], places[len(asked) :]
        adjacency = sparse_graph(entities.repeat_interleave(near.shape[1]), columns, values.flatten(), len(pool))
        arguments = {
            "student": unit(student_of(pool)),
            "teacher": teacher[pool],
            "adjacency": adjacency,
            "entities": entities,
        }
        return called(objective, arguments)


def co_occurrence(csr: csr_matrix, device: torch.device, k: int = NEIGHBOURS) -> Neighbours:
    """The k rows of `csr` that share most columns with each row, itself apart, normalised by both degrees."""
    count = csr.shape[0]
    k = max(1, min(k, count - 1))
    near, shared = np.zeros((count, k), np.int64), np.zeros((count, k), np.float32)
    transposed = csr.T.tocsr()
    for start in range(0, count, TILE_ROWS):
        tile = (csr[start : start + TILE_ROWS] @ transposed).toarray()
        own = np.arange(len(tile))
        tile[own, own + start] = -1.0
        best = np.argpartition(-tile, k - 1, axis=1)[:, :k]
        near[start : start + TILE_ROWS] = best
        shared[start : start + TILE_ROWS] = np.maximum(np.take_along_axis(tile, best, 1), 0.0)
    linked = (shared > 0).astype(np.float32)
    out, into = linked.sum(1), np.bincount(near.ravel(), weights=linked.ravel(), minlength=count)
    values = linked / np.sqrt(np.maximum(out[:, None] * into[near], 1.0)).astype(np.float32)
    return Neighbours(torch.from_numpy(near).to(device), torch.from_numpy(values.astype(np.float32)).to(device))
