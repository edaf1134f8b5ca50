"""Some of a log's users as a log of their own, with what a teacher says of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.knowledge.store import Knowledge


@dataclass(frozen=True)
class Sample:
    """Whom a training sees and whom it is judged by; rows are of the whole train part."""

    whole: Interactions
    valid: HeldOut
    rows: np.ndarray
    """int64, ascending: the users who are learned from."""

    @classmethod
    def drawn(cls, whole: Interactions, valid: HeldOut, users: int, generator: np.random.Generator) -> Sample:
        """A seeded choice of `users`, or all where there are no more."""
        if users >= whole.n_users:
            return cls(whole, valid, np.arange(whole.n_users))
        return cls(whole, valid, np.sort(generator.choice(whole.n_users, users, replace=False)))

    def part(self, share: float, generator: np.random.Generator) -> Sample:
        """A seeded share of these users, at least one."""
        count = max(1, round(share * len(self.rows)))
        return replace(self, rows=np.sort(generator.choice(self.rows, count, replace=False)))

    @property
    def complete(self) -> bool:
        return len(self.rows) == self.whole.n_users

    @cached_property
    def train(self) -> Interactions:
        return self.whole if self.complete else self.whole.of_users(self.rows)

    @cached_property
    def held(self) -> HeldOut:
        """The valid rows of these users; of people whom train does not know all of them, since nobody was left out."""
        if self.complete:
            return self.valid
        rows = self.valid.user_rows
        return self.valid.take(np.flatnonzero(np.isin(rows, self.rows) | (rows < 0)))

    def knowledge(self, known: Knowledge) -> Knowledge:
        """What a teacher of the whole says of these users; lists of the items' best users are left out."""
        if self.complete:
            return known
        rows = self.rows
        return replace(
            known,
            top_items=known.top_items[rows],
            top_scores=known.top_scores[rows],
            top_own=known.top_own[rows],
            tail_mass=known.tail_mass[rows],
            log_sha256=self.train.sha256(),
            user_vectors=None if known.user_vectors is None else known.user_vectors[rows],
            logits=None if known.logits is None else known.logits[rows],
            item_lists=None,
            trajectory=None if known.trajectory is None else known.trajectory[:, rows],
        )
