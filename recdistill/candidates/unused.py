"""Items that a user has not used, drawn evenly, by popularity, from the batch, or the hardest of a draw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recdistill.candidates.base import Candidates, Listed, Step, check_counts
from recdistill.errors import ConfigError
from recdistill.objectives.base import check_not_negative


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform(Candidates):
    """n items, each as likely as any other; those that the user has used, or that stand in other lists, are masked.

    A masked draw is not replaced: what is left is still drawn evenly, and of a large catalogue nearly all is.
    """

    n: int = 40
    apart_from: tuple[str, ...] = ()
    """Arguments of the objective in whose lists none of these may stand."""

    def __post_init__(self) -> None:
        check_counts("uniform", n=self.n)

    def after(self) -> tuple[str, ...]:
        return self.apart_from

    def draw(self, step: Step) -> Listed:
        items = torch.randint(step.n_items, (len(step.users), self.n), generator=step.generator).to(step.users.device)
        return _kept(items, step, self.apart_from)


@dataclass(frozen=True, slots=True, kw_only=True)
class ByPopularity(Candidates):
    """n items with p ∝ (number of users)^power, each with log p."""

    n: int = 40
    power: float = 1.0
    """1: as often as they are used, 0: evenly."""
    apart_from: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_counts("by_popularity", n=self.n)
        check_not_negative("by_popularity", power=self.power)

    def after(self) -> tuple[str, ...]:
        return self.apart_from

    def draw(self, step: Step) -> Listed:
        ends, log_p = step.source.kept(("popularity", self.power), lambda: self._chances(step))
        at = step.chance(len(step.users), self.n).double() * ends[-1]
        items = torch.searchsorted(ends, at, right=True).clamp_max_(step.n_items - 1)
        return _kept(items, step, self.apart_from, log_p[items])

    def _chances(self, step: Step) -> tuple[Tensor, Tensor]:
        counts = np.bincount(step.source.csr.indices, minlength=step.n_items).astype(np.float64)
        weights = np.where(counts > 0, counts**self.power, 0.0 if self.power > 0 else 1.0)
        log_p = np.log(np.maximum(weights / weights.sum(), 1e-300)).astype(np.float32)
        device = step.users.device
        return torch.from_numpy(np.cumsum(weights)).to(device), torch.from_numpy(log_p).to(device)


@dataclass(frozen=True, slots=True, kw_only=True)
class InBatch(Candidates):
    """n of what the batch's users have used: the popular more often, each with its log p (Yi et al., 2019)."""

    n: int = 40
    apart_from: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_counts("in_batch", n=self.n)

    def after(self) -> tuple[str, ...]:
        return self.apart_from

    def draw(self, step: Step) -> Listed:
        used = step.positives.items
        if not len(used):
            nothing = torch.zeros(len(step.users), self.n, dtype=torch.int64, device=step.users.device)
            return Listed(nothing, nothing.bool())
        places = torch.randint(len(used), (len(step.users), self.n), generator=step.generator).to(used.device)
        items = used[places]
        log_p = torch.bincount(used, minlength=step.n_items).float().log() - float(np.log(len(used)))
        return _kept(items, step, self.apart_from, log_p[items])


@dataclass(frozen=True, slots=True, kw_only=True)
class Hard(Candidates):
    """The n that the student now scores highest of `of` even draws (dynamic negatives: Zhang et al., 2013)."""

    n: int = 10
    of: int = 100
    apart_from: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_counts("hard", n=self.n, of=self.of)
        if self.of < self.n:
            raise ConfigError(f"hard: of = {self.of} is below n = {self.n}; draw at least as many as are kept.")

    def after(self) -> tuple[str, ...]:
        return self.apart_from

    def draw(self, step: Step) -> Listed:
        assert step.score is not None
        drawn = Uniform(n=self.of, apart_from=self.apart_from).draw(step)
        scores = step.score(drawn.items).masked_fill(~drawn.mask, -torch.inf)
        places = scores.topk(self.n, sorted=True).indices
        return Listed(drawn.items.gather(1, places), drawn.mask.gather(1, places))


def _kept(items: Tensor, step: Step, apart_from: tuple[str, ...], log_q: Tensor | None = None) -> Listed:
    taken = step.own(items)
    for name in apart_from:
        taken |= step.within(items, step.drawn[name])
    return Listed(items, ~taken, log_q=log_q)
