"""Several sources of candidates as one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch

from recdistill.candidates.base import Candidates, Listed, Step
from recdistill.errors import ConfigError

if TYPE_CHECKING:
    from recdistill.candidates.source import Source


@dataclass(frozen=True)
class Joined(Candidates):
    """The lists of all parts, one after the other; an item that stands in several is kept where it stands first."""

    parts: tuple[Candidates, ...]

    needs: ClassVar[frozenset[str]] = frozenset()
    told: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.parts or any(part.whole for part in self.parts):
            raise ConfigError("candidates: a joined list needs parts, none of which is the whole catalogue.")
        object.__setattr__(self, "needs", frozenset[str]().union(*(part.needs for part in self.parts)))
        object.__setattr__(self, "told", all(part.told for part in self.parts))

    @property
    def student_list(self) -> int:
        return max(part.student_list for part in self.parts)

    @property
    def refresh(self) -> int:
        return min(part.refresh for part in self.parts if part.student_list) if self.student_list else 1

    def after(self) -> tuple[str, ...]:
        return tuple(name for part in self.parts for name in part.after())

    def checked(self, source: Source) -> Candidates:
        return replace(self, parts=tuple(part.checked(source) for part in self.parts))

    def draw(self, step: Step) -> Listed:
        lists = [part.draw(step) for part in self.parts]
        items, mask = (torch.cat(found, 1) for found in zip(*((one.items, one.mask) for one in lists), strict=True))
        mask = mask & (places_of(items, mask) == torch.arange(items.shape[1], device=items.device))
        told = [one.scores for one in lists if one.scores is not None]
        return Listed(items, mask, torch.cat(told, 1) if len(told) == len(lists) else None)


def places_of(items: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(batch, n): the first place at which each item stands in its row among those that count; -1 for the others."""
    width = items.shape[1]
    keys = torch.where(mask, items, items.max() + 1 if items.numel() else 0)
    values, order = keys.sort(dim=1, stable=True)
    fresh = torch.ones_like(mask)
    fresh[:, 1:] = values[:, 1:] != values[:, :-1]
    starts = torch.where(fresh, torch.arange(width, device=items.device), 0).cummax(1).values
    first = torch.empty_like(order).scatter_(1, order, order.gather(1, starts))
    return torch.where(mask, first, -1)
