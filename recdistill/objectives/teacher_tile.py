"""What the teacher says about a few users, in the two shapes that a student can learn from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

_LEAST = 1e-6
"""Probability that a teacher leaves at least to what a user has not seen, so that it can be divided by."""


class TeacherTile(ABC):
    """The knowledge about a tile of users; `exp` below is exp of the student's logits, shifted by any number."""

    @abstractmethod
    def without(self, at: Tensor, n_items: int) -> TeacherTile:
        """The belief about all other items: those at row · n_items + item are taken out, the rest sums to one again."""

    @abstractmethod
    def expected(self, logits: Tensor) -> Tensor:
        """Σ p·s over what the teacher names, per row."""

    @abstractmethod
    def divergence(
        self, exp: Tensor, expected: Tensor | None, weight: Tensor, *, also: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Σ_rows weight·KL(teacher‖student) and its gradient by the logits + `also`·exp, written over `exp`.

        Without `expected` only the gradient is made, and the value is 0.
        """


class TeacherSource(ABC):
    """Gives the knowledge about any users, in memory for one tile at a time."""

    @abstractmethod
    def known(self, user_rows: Tensor) -> Tensor:
        """(rows,) bool: whether the teacher says anything about these users."""

    @abstractmethod
    def tile(self, user_rows: Tensor, at: Tensor | None = None) -> TeacherTile:
        """The tile of these users, on their device; `at` are the places row · n_items + item of what they have used,
        which a source that speaks of a sample needs."""

    @abstractmethod
    def among(self, items: Tensor, offset: Tensor) -> TeacherSource:
        """The same teacher about a sample of the items, ascending; `offset` (-log of the probability to be in it) is
        added to the logits of all that a user has not used."""


@dataclass(frozen=True, slots=True)
class FullTile(TeacherTile):
    """Probabilities of all items (rows, items), and Σ p log p (rows,)."""

    probabilities: Tensor
    negative_entropy: Tensor
    unseen: bool = False
    """Whether what the users have used was taken out before."""

    @classmethod
    def of(cls, logits: Tensor) -> FullTile:
        """Their softmax; the logits are not kept."""
        log_p = logits.log_softmax(1)
        p = log_p.exp()
        return cls(p, log_p.mul_(p).sum(1))

    def without(self, at: Tensor, n_items: int) -> FullTile:
        if self.unseen:
            return self
        taken, rows = self.probabilities.view(-1)[at].to(self.negative_entropy.dtype), at // n_items
        left = self.negative_entropy.new_ones(len(self.negative_entropy)).index_add_(0, rows, -taken)
        left = left.clamp_min(_LEAST)
        entropy = self.negative_entropy.index_add(0, rows, -torch.special.xlogy(taken, taken))
        kept = self.probabilities.clone()
        kept.view(-1)[at] = 0.0
        return FullTile(kept.div_(left[:, None]), entropy / left - left.log(), unseen=True)

    def expected(self, logits: Tensor) -> Tensor:
        return (self.probabilities * logits).sum(1, dtype=self.negative_entropy.dtype)

    def divergence(
        self, exp: Tensor, expected: Tensor | None, weight: Tensor, *, also: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        total = exp.sum(1, dtype=weight.dtype).clamp_min(torch.finfo(weight.dtype).tiny)
        value = weight.new_zeros(())
        if expected is not None:
            value = (weight * (self.negative_entropy - expected + total.log())).sum()
        factor = weight / total if also is None else weight / total + also
        exp.mul_(factor[:, None])
        return value, exp.addcmul_(self.probabilities.to(exp.dtype), weight[:, None].to(exp.dtype), value=-1.0)


@dataclass(frozen=True, slots=True)
class ListTile(TeacherTile):
    """Probabilities of a few items per user, ragged, (entries,) each, and of everything else (rows,)."""

    rows: Tensor
    items: Tensor
    probabilities: Tensor
    tail: Tensor
    unseen: bool = False
    """Whether what the users have used was taken out before."""

    def without(self, at: Tensor, n_items: int) -> ListTile:
        if self.unseen:
            return self
        own = torch.zeros(len(self.tail) * n_items, dtype=torch.bool, device=at.device)
        own[at] = True
        kept = ~own[self.rows * n_items + self.items]
        rows, p = self.rows[kept], self.probabilities[kept]
        left = self.tail.index_add(0, rows, p.to(self.tail.dtype)).clamp_min(_LEAST)
        return ListTile(rows, self.items[kept], p / left[rows], self.tail / left, unseen=True)

    def expected(self, logits: Tensor) -> Tensor:
        return self._sums(self.probabilities * logits.view(-1)[self._at(logits)])

    def divergence(
        self, exp: Tensor, expected: Tensor | None, weight: Tensor, *, also: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        at, flat = self._at(exp), exp.view(-1)
        listed = flat[at]
        flat[at] = 0.0
        rest = exp.sum(1, dtype=weight.dtype)
        listed = listed.to(weight.dtype)
        total = (rest + self._sums(listed)).clamp_min(torch.finfo(weight.dtype).tiny)
        says_anything = self.tail + self._sums(self.probabilities) > _LEAST
        weight = weight * says_anything
        tail = torch.where(rest > 0, self.tail, 0.0)
        rest = torch.where(rest > 0, rest, 1.0)
        value = weight.new_zeros(())
        if expected is not None:
            negative_entropy = self._sums(torch.special.xlogy(self.probabilities, self.probabilities))
            in_tail = torch.special.xlogy(tail, tail) - tail * rest.log()
            value = (weight * (negative_entropy + in_tail - expected + total.log())).sum()
        factor = weight / total if also is None else weight / total + also
        exp.mul_((factor - weight * tail / rest)[:, None])
        flat[at] = (listed * factor[self.rows] - self.probabilities * weight[self.rows]).to(exp.dtype)
        return value, exp

    def _at(self, matrix: Tensor) -> Tensor:
        return self.rows * matrix.shape[1] + self.items

    def _sums(self, entries: Tensor) -> Tensor:
        return torch.zeros_like(self.tail, dtype=entries.dtype).index_add_(0, self.rows, entries)
