"""Objectives with an item side: beside the users' lists, items of the batch with the teacher's best users of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recdistill.candidates.base import Candidates
from recdistill.candidates.source import Source
from recdistill.distillation.feeds import Taken
from recdistill.distillation.list_feed import ListFeed
from recdistill.objectives.base import Objective

ITEMS = 64
"""Of a step; each brings its users, whose vectors the student has to make."""


class ItemFeed(ListFeed):
    """As a list feed; `student_item`, the items' lists and their masks besides.

    Interesting users are the teacher's best of an item, in their order; uninteresting ones are drawn from the batch.
    """

    def __init__(
        self, objective: Objective, shown: Mapping[str | tuple[str, ...], Candidates], source: Source, name: str
    ) -> None:
        super().__init__(objective, shown, source, name)
        self.users = type(objective).item_users
        self.top = source.knowledge.item_lists

    def _columns(self, taken: Taken) -> dict[str, Any]:
        return {**super()._columns(taken), **self._items(taken)}

    def _items(self, taken: Taken) -> dict[str, Any]:
        assert self.top is not None
        step, vectors = taken.step, taken.scores.vectors
        device = step.users.device
        items = torch.randperm(step.n_items, generator=step.generator)[:ITEMS].sort().values.to(device)
        best = torch.from_numpy(self.top[items.cpu().numpy(), : self.users].astype(np.int64)).to(device)  # (M, K)
        listed = best >= 0
        brought, places = best.clamp_min(0).unique(return_inverse=True)
        pool = torch.cat([taken.users_of(brought), vectors.users])
        drawn = torch.randint(len(step.users), (len(items), self.users), generator=step.generator).to(device)
        taken_away = self._uses(step.users[drawn], items) | (step.users[drawn][:, :, None] == best[:, None]).any(2)
        return {
            "student_item": torch.addmm(vectors.bias[items, None], vectors.items[items], pool.T),
            "item_interesting": places,
            "item_interesting_mask": listed,
            "item_uninteresting": drawn + len(brought),
            "item_uninteresting_mask": ~taken_away,
        }

    def _uses(self, users: Tensor, items: Tensor) -> Tensor:
        """Which of the users (M, n) have used the item of their row."""
        keys = self.source.kept("pairs", self._keys)
        asked = users * self.source.n_items + items[:, None]
        place = torch.searchsorted(keys, asked).clamp_max_(max(0, len(keys) - 1))
        return keys[place] == asked if len(keys) else torch.zeros_like(asked, dtype=torch.bool)

    def _keys(self) -> Tensor:
        csr = self.source.csr
        rows = np.repeat(np.arange(csr.shape[0], dtype=np.int64), np.diff(csr.indptr))
        return torch.from_numpy(rows * csr.shape[1] + csr.indices).to(self.source.device)
