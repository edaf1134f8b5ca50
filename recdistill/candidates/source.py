"""What candidates are drawn from: the teacher's lists and scores, and the log; made once for a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recdistill.knowledge.store import Knowledge

T = TypeVar("T")
CACHE_BYTES = 400_000_000
"""Scores of all users × items are kept in half floats where they fit in this."""
TILE_ROWS = 1024
LIST_ROWS = 128
"""Users whose lists are scored at once: each item of a list brings its vector."""


@dataclass(frozen=True, slots=True)
class TeacherLists:
    """The teacher's best items of every user, best first."""

    items: np.ndarray
    """(n_users, k) in the narrowest type; 0 after the end of a list"""
    scores: np.ndarray
    """(n_users, k) float32"""
    counts: np.ndarray
    """(n_users,) how many there are"""

    @property
    def nbytes(self) -> int:
        return self.items.nbytes + self.scores.nbytes + self.counts.nbytes


class Source:
    """Lists are cut to what is asked for and kept; scores come from stored logits or from vectors."""

    def __init__(self, knowledge: Knowledge, csr: csr_matrix, device: torch.device | str = "cpu") -> None:
        """csr: (n_users, n_items), the training log that the knowledge is of."""
        self.knowledge, self.csr, self.device = knowledge, csr, torch.device(device)
        self.n_users, self.n_items = csr.shape
        self.gives = knowledge.gives
        self._kept: dict[Any, Any] = {}

    def kept(self, key: Any, make: Callable[[], T]) -> T:
        """What `make` returned when `key` was asked for first."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def lists(self, k: int | None, *, unseen: bool) -> TeacherLists:
        """The teacher's lists cut to `k` (none: whole), without what a user has used where `unseen`."""
        return self.kept(("lists", k, unseen), lambda: self._lists(k, unseen))

    def _lists(self, k: int | None, unseen: bool) -> TeacherLists:
        known = self.knowledge
        width = known.top_items.shape[1] if k is None else min(k, known.top_items.shape[1])
        items = np.zeros((self.n_users, width), row_type(self.n_items))
        scores = np.zeros((self.n_users, width), np.float32)
        counts = np.zeros(self.n_users, np.int64)
        for start in range(0, self.n_users, TILE_ROWS):
            part = slice(start, start + TILE_ROWS)
            counted = known.top_items[part] >= 0
            if unseen:
                counted = counted & ~known.top_own[part]
            order = np.argsort(~counted, axis=1, kind="stable")[:, :width]
            counts[part] = np.minimum(counted.sum(1), width)
            held = np.take_along_axis(counted, order, 1)
            items[part] = np.where(held, np.take_along_axis(known.top_items[part], order, 1), 0)
            scores[part] = np.where(held, np.take_along_axis(known.top_scores[part], order, 1), 0.0)
        return TeacherLists(items, scores, counts)

    def scores(self, users: Tensor, items: Tensor) -> Tensor:
        """float32 (batch, n) the teacher's scores of items (batch, n); needs all_scores."""
        logits = self._logits()
        if logits is not None:
            return logits[users[:, None], items].float() + self._best()[users, None]
        left, right, bias = self._vectors()
        return torch.einsum("bd,bnd->bn", left[users], right[items]) + bias[items]

    @property
    def multiplies(self) -> bool:
        """Whether a score is a product of long vectors, which is worth keeping, and not one number to look up."""
        return "all_scores" in self.gives and self._logits() is None

    def scores_of_lists(self, items: Tensor) -> Tensor:
        """float32 (n_users, k) the teacher's scores of a list for every user, items (n_users, k), some users at a time;
        entries below 0 are none and have the score of item 0."""
        found = torch.empty(items.shape, device=self.device)
        for start in range(0, self.n_users, LIST_ROWS):
            users = torch.arange(start, min(start + LIST_ROWS, self.n_users), device=self.device)
            found[users] = self.scores(users, items[users].long().clamp_min(0))
        return found

    def all_scores(self, users: Tensor) -> Tensor:
        """float32 (batch, n_items) the teacher's scores of the whole catalogue; needs all_scores."""
        logits = self._logits()
        if logits is not None:
            found = logits[users].float()
            return found if self.knowledge.logits is None else found.add_(self._best()[users, None])
        left, right, bias = self._vectors()
        return torch.addmm(bias, left[users], right.T)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """float32 (n_users, d) and (n_items, d), each side with a root-mean-square length of 1; needs vectors."""
        return self.kept("unit vectors", self._unit_vectors)

    def _unit_vectors(self) -> tuple[Tensor, Tensor]:
        users, items, _ = self._vectors()
        return users / typical_length(users), items / typical_length(items)

    def _vectors(self) -> tuple[Tensor, Tensor, Tensor]:
        def make() -> tuple[Tensor, Tensor, Tensor]:
            known = self.knowledge
            assert known.user_vectors is not None
            assert known.item_vectors is not None
            bias = np.zeros(self.n_items, np.float32) if known.item_bias is None else known.item_bias
            arrays = known.user_vectors, known.item_vectors, bias
            users, items, biases = (torch.from_numpy(np.ascontiguousarray(a, np.float32)) for a in arrays)
            return users.to(self.device), items.to(self.device), biases.to(self.device)

        return self.kept("vectors", make)

    def _best(self) -> Tensor:
        """(n_users,) what stored logits were lowered by: each user's largest."""
        stored = self.knowledge.logits is not None
        best = self.knowledge.top_scores[:, 0] if stored else np.zeros(self.n_users, np.float32)
        return self.kept("best", lambda: torch.from_numpy(best.astype(np.float32)).to(self.device))

    def _logits(self) -> Tensor | None:
        """Scores of all users × items in half floats, where they are stored or few enough."""
        return self.kept("logits", self._make_logits)

    def _make_logits(self) -> Tensor | None:
        if self.knowledge.logits is not None:
            return torch.from_numpy(self.knowledge.logits).to(self.device)
        if self.knowledge.item_vectors is None or 2 * self.n_users * self.n_items > CACHE_BYTES:
            return None
        left, right, bias = self._vectors()
        logits = torch.empty(self.n_users, self.n_items, dtype=torch.float16, device=self.device)
        for start in range(0, self.n_users, TILE_ROWS):
            part = slice(start, start + TILE_ROWS)
            logits[part] = torch.addmm(bias, left[part], right.T)
        return logits


def typical_length(vectors: Tensor) -> Tensor:
    """Root mean square of the rows' lengths; 1 where all are 0."""
    length = vectors.square().sum(1).mean().sqrt()
    return torch.where(length > 0, length, 1.0)


def row_type(n_items: int) -> type[np.unsignedinteger]:
    """The narrowest type that holds an item row."""
    return np.uint16 if n_items <= 1 << 16 else np.uint32
