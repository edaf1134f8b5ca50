"""A teacher's knowledge as the loss asks for it: a tile of users at a time, on the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from recdistill.objectives.teacher_tile import FullTile, ListTile, TeacherSource
from recdistill.training.device import product_precision
from recdistill.training.teacher_sample import SampleOfLists, SampleOfTiles, SampleOfVectors

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recdistill.knowledge.store import Knowledge

CACHE_BYTES = 400_000_000
"""Probabilities of all users × items are kept in half precision where they fit in this."""
TILE_ROWS = 512


def teacher_source(
    knowledge: Knowledge, *, temperature: float, device: torch.device, unseen: csr_matrix | None = None
) -> TeacherSource:
    """Soft labels over all items where the teacher has vectors or told all its scores, else from its lists.

    `unseen`: the training log (n_users, n_items), where the loss asks about what users have not used; the rest is then
    taken out once, not at every step, of all that is kept in memory.
    """
    if knowledge.logits is not None:
        told = LogitTeacher(knowledge.logits, temperature, device)
        return CachedTeacher(told, knowledge.n_users, knowledge.n_items, device, unseen)
    if knowledge.item_vectors is None:
        return ListTeacher(knowledge, temperature, device, unseen=unseen is not None)
    precision = product_precision(device, knowledge.item_vectors.shape[1])
    live = VectorTeacher(knowledge, temperature, precision, device)
    if 2 * knowledge.n_users * knowledge.n_items > CACHE_BYTES:
        return live
    return CachedTeacher(live, knowledge.n_users, knowledge.n_items, device, unseen)


class VectorTeacher(TeacherSource):
    """Logits made from the teacher's vectors when they are asked for."""

    def __init__(self, knowledge: Knowledge, temperature: float, precision: torch.dtype, device: torch.device) -> None:
        assert knowledge.user_vectors is not None
        assert knowledge.item_vectors is not None
        bias = knowledge.item_bias
        bias = np.zeros(knowledge.n_items, np.float32) if bias is None else bias
        self._users = torch.from_numpy(knowledge.user_vectors / temperature).to(device, precision)
        self._items = torch.from_numpy(knowledge.item_vectors).to(device, precision)
        self._bias = torch.from_numpy(bias / temperature).to(device, torch.float32)
        self._known = torch.from_numpy(knowledge.users_known).to(device)
        self._log_z = torch.full((knowledge.n_users,), torch.nan, device=device)
        self._negative_entropy = torch.zeros(knowledge.n_users, device=device)

    def known(self, user_rows: Tensor) -> Tensor:
        return self._known[user_rows]

    def among(self, items: Tensor, offset: Tensor) -> TeacherSource:
        return SampleOfVectors(self._users, self._items[items], self._bias[items], offset, self._known)

    def tile(self, user_rows: Tensor, at: Tensor | None = None) -> FullTile:
        """What a user's logits sum to is computed the first time and kept: the teacher does not change."""
        logits = torch.mm(self._users[user_rows], self._items.T).float().add_(self._bias)
        if self._log_z[user_rows].isnan().any():
            self._log_z[user_rows] = logits.logsumexp(1)
            log_p = logits.sub_(self._log_z[user_rows, None])
            p = log_p.exp()
            self._negative_entropy[user_rows] = log_p.mul_(p).sum(1)
        else:
            p = logits.sub_(self._log_z[user_rows, None]).exp_()
        return FullTile(p, self._negative_entropy[user_rows])

    def state(self) -> Mapping[str, Tensor]:
        """Sums are of the batch that a user was first asked in, which rounds them."""
        return {"log_z": self._log_z, "negative_entropy": self._negative_entropy}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._log_z.copy_(state["log_z"])
        self._negative_entropy.copy_(state["negative_entropy"])


class LogitTeacher(TeacherSource):
    """Logits of all items as they are stored."""

    def __init__(self, logits: np.ndarray, temperature: float, device: torch.device) -> None:
        self._logits, self._temperature, self._device = torch.from_numpy(logits), temperature, device

    def known(self, user_rows: Tensor) -> Tensor:
        return torch.ones_like(user_rows, dtype=torch.bool)

    def among(self, items: Tensor, offset: Tensor) -> TeacherSource:
        return SampleOfTiles(self, items, offset)

    def tile(self, user_rows: Tensor, at: Tensor | None = None) -> FullTile:
        return FullTile.of(self._logits[user_rows.cpu()].to(self._device).float() / self._temperature)


class CachedTeacher(TeacherSource):
    """All probabilities in memory, in half precision: the large matrix product is done once."""

    def __init__(
        self,
        source: TeacherSource,
        n_users: int,
        n_items: int,
        device: torch.device,
        unseen: csr_matrix | None = None,
    ) -> None:
        """unseen: (n_users, n_items), what users have used and nothing is to be said about; none: all is said."""
        self._unseen = unseen is not None
        self._p = torch.empty(n_users, n_items, dtype=torch.bfloat16, device=device)
        self._negative_entropy = torch.empty(n_users, device=device)
        self._known = source.known(torch.arange(n_users, device=device))
        for start in range(0, n_users, TILE_ROWS):
            rows = torch.arange(start, min(start + TILE_ROWS, n_users), device=device)
            tile = source.tile(rows)
            assert isinstance(tile, FullTile)
            if unseen is not None:
                used = unseen[start : start + TILE_ROWS]
                own = np.repeat(np.arange(used.shape[0], dtype=np.int64), np.diff(used.indptr)) * n_items + used.indices
                tile = tile.without(torch.from_numpy(own).to(device), n_items)
            self._p[rows], self._negative_entropy[rows] = tile.probabilities.to(torch.bfloat16), tile.negative_entropy

    def known(self, user_rows: Tensor) -> Tensor:
        return self._known[user_rows]

    def among(self, items: Tensor, offset: Tensor) -> TeacherSource:
        return SampleOfTiles(self, items, offset)

    def tile(self, user_rows: Tensor, at: Tensor | None = None) -> FullTile:
        return FullTile(self._p[user_rows], self._negative_entropy[user_rows], self._unseen)


class ListTeacher(TeacherSource):
    """Probabilities of the stored lists, ragged, and of the tail.

    The tail's mass is known at temperature 1; at others it is estimated as if it were spread evenly over its items.
    """

    def __init__(self, knowledge: Knowledge, temperature: float, device: torch.device, *, unseen: bool = False) -> None:
        listed = knowledge.top_items >= 0
        counts = listed.sum(1)
        scores = np.where(listed, knowledge.top_scores.astype(np.float64), -np.inf)
        top = np.where(counts > 0, scores.max(1, initial=-np.inf), 0.0)[:, None]
        shares = np.exp(scores - top)
        within = shares.sum(1)
        mass = knowledge.tail_mass.astype(np.float64)
        rest = np.maximum(knowledge.n_items - counts, 0)
        tail_share = np.where(rest > 0, within * mass / np.maximum(1.0 - mass, 1e-12), 0.0)  # in units of `shares`
        each = tail_share / np.maximum(rest, 1)
        softened, tail = shares ** (1.0 / temperature), rest * each ** (1.0 / temperature)
        self._known = torch.from_numpy(counts > 0).to(device)
        if unseen:
            listed = listed & ~knowledge.top_own
            counts = listed.sum(1)
        total = np.maximum((softened * listed).sum(1) + tail, 1e-300)
        p = (softened / total[:, None])[listed]
        self._offsets = torch.from_numpy(np.concatenate([[0], np.cumsum(counts)]))
        self._items = torch.from_numpy(knowledge.top_items[listed].astype(np.int64))
        self._p = torch.from_numpy(p.astype(np.float32))
        self._tail = torch.from_numpy((tail / total).astype(np.float32)).to(device)
        self._device, self._unseen = device, unseen

    def known(self, user_rows: Tensor) -> Tensor:
        return self._known[user_rows]

    def among(self, items: Tensor, offset: Tensor) -> TeacherSource:
        return SampleOfLists(self, items)

    def tile(self, user_rows: Tensor, at: Tensor | None = None) -> ListTile:
        users = user_rows.cpu()
        starts, counts = self._offsets[users], self._offsets[users + 1] - self._offsets[users]
        rows = torch.repeat_interleave(torch.arange(len(users)), counts)
        entries = torch.arange(len(rows)) + (starts - counts.cumsum(0) + counts)[rows]
        return ListTile(
            rows=rows.to(self._device),
            items=self._items[entries].to(self._device),
            probabilities=self._p[entries].to(self._device),
            tail=self._tail[user_rows],
            unseen=self._unseen,
        )
