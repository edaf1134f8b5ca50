"""What every source of candidates is, and what it is told about the batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from recdistill.errors import ConfigError
from recdistill.objectives.positives import Positives

if TYPE_CHECKING:
    from recdistill.candidates.source import Source
    from recdistill.candidates.trajectory import Curriculum


@dataclass(frozen=True, slots=True)
class Listed:
    """Items for each user of a batch; what a masked position holds means nothing, but is a row of the catalogue."""

    items: Tensor
    """(batch, n) int64 item rows; (batch, sides, n) where an entry has several, as pairs have"""
    mask: Tensor
    """(batch, n) bool: the entries that count"""
    scores: Tensor | None = None
    """(batch, n) the teacher's scores of them, where it lists them"""
    places: Tensor | None = None
    """(batch, draws, n) where the argument is not the items as they stand but orders of their places"""
    log_q: Tensor | None = None
    """(batch, n) logarithm of the probability with which each was drawn, where that is known and not even"""


@dataclass(frozen=True, slots=True)
class Step:
    """One batch, as a source of candidates sees it."""

    users: Tensor
    """(batch,) user rows"""
    positives: Positives
    """What these users have used, as item rows, sorted within each"""
    source: Source
    """What stays the same: the teacher's lists and scores, the log"""
    generator: torch.Generator
    """Of this step alone: a step draws the same whatever was drawn before it"""
    student_top: Tensor | None = None
    """(n_users, k) the student's best unseen items at the last refresh, -1 where there are no more"""
    top_scores: Tensor | None = None
    """(n_users, k) the teacher's scores of these, where they were worked out beforehand"""
    curriculum: Curriculum | None = None
    """Which of the teacher's checkpoints every user has reached"""
    score: Callable[[Tensor], Tensor] | None = None
    """The student's present scores of items (batch, n), without gradient"""
    drawn: dict[str, Listed] = field(default_factory=dict)
    """The lists of this objective that were drawn before this one, by the name of the argument"""

    @property
    def n_items(self) -> int:
        return self.source.n_items

    def own(self, items: Tensor) -> Tensor:
        """Which of (batch, n) items their user has used."""
        return self._among(items, self.positives.rows * self.n_items + self.positives.items)

    def within(self, items: Tensor, other: Listed) -> Tensor:
        """Which of (batch, n) items stand in the user's list `other` (batch, m)."""
        rows = torch.arange(len(items), device=items.device)[:, None].expand_as(other.items)
        keys = (rows * self.n_items + other.items)[other.mask]
        return self._among(items, keys.sort().values)

    def _among(self, items: Tensor, keys: Tensor) -> Tensor:
        """keys: sorted batch row · n_items + item."""
        if not len(keys):
            return torch.zeros_like(items, dtype=torch.bool)
        asked = torch.arange(len(items), device=items.device)[:, None] * self.n_items + items
        place = torch.searchsorted(keys, asked).clamp_max_(len(keys) - 1)
        return keys[place] == asked

    def chance(self, *shape: int) -> Tensor:
        """Uniform draws in [0, 1), float32, on the device of the batch."""
        return torch.rand(*shape, generator=self.generator).to(self.users.device)

    def gumbel(self, *shape: int) -> Tensor:
        """Draws of the standard Gumbel distribution: the n largest of log p + these are n draws without repetition."""
        drawn = torch.rand(*shape, generator=self.generator).clamp_(1e-7, 1 - 1e-7)
        return drawn.log_().neg_().log_().neg_().to(self.users.device)


class Candidates(ABC):
    """Draws items for every user of a batch; a frozen dataclass of its settings, without state."""

    needs: ClassVar[frozenset[str]] = frozenset()
    """What the knowledge must give, in the words of `objectives.base.NEEDS`."""
    told: ClassVar[bool] = False
    """Whether the teacher's lists hold its scores of all that is shown."""
    whole: ClassVar[bool] = False
    """Whether it is the catalogue itself, so that an item's place among the candidates is its row."""

    @abstractmethod
    def draw(self, step: Step) -> Listed: ...

    @property
    def student_list(self) -> int:
        """How many of the student's best items are needed; 0: none."""
        return 0

    @property
    def refresh(self) -> int:
        """Every how many epochs the student's best items are found anew."""
        return 1

    def after(self) -> tuple[str, ...]:
        """Arguments whose lists it looks at, which are drawn before it."""
        return ()

    def checked(self, source: Source) -> Candidates:
        """Itself, or what stands for it with this knowledge; raises ConfigError where it cannot be."""
        return self


class FromStudent(Candidates):
    """Looks at the student's best items: subclasses say how many (`student_list`)."""

    every: int
    """Epochs from one refresh to the next."""

    @property
    def refresh(self) -> int:
        return self.every


def check_counts(where: str, least: int = 1, **counts: int) -> None:
    """Refuse counts below `least`."""
    for name, count in counts.items():
        if count < least:
            raise ConfigError(f"{where}: {name} = {count}: give at least {least}.")


def in_order(shown: Mapping[str | tuple[str, ...], Candidates]) -> list[str | tuple[str, ...]]:
    """The arguments in an order in which each comes after those that it looks at."""
    waiting, done = list(shown), list[str | tuple[str, ...]]()
    while waiting:
        ready = [name for name in waiting if not {*shown[name].after()} & {*waiting}]
        if not ready:
            raise ConfigError(f"candidates of {', '.join(map(str, waiting))} look at each other; let one stand alone.")
        done += ready
        waiting = [name for name in waiting if name not in ready]
    return done


def by_argument(sources: Mapping[str | tuple[str, ...], Candidates]) -> Mapping[str | tuple[str, ...], Candidates]:
    """For `Objective.shown`: the same, unchangeable."""
    return MappingProxyType(dict(sources))
