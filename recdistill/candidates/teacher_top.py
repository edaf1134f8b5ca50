"""The teacher's best items, as they stand or drawn by rank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from recdistill.candidates.base import Candidates, Listed, Step, check_counts
from recdistill.objectives.base import check_positive


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherTop(Candidates):
    """The first k of the teacher's list, best first: what beats drawing from it in later papers."""

    needs = frozenset({"top_k"})
    told = True

    k: int | None = 40
    """How many; none: the whole list."""
    unseen: bool = True
    """Whether what a user has used is left out before."""

    def __post_init__(self) -> None:
        if self.k is not None:
            check_counts("teacher_top", k=self.k)

    def draw(self, step: Step) -> Listed:
        lists = step.source.lists(self.k, unseen=self.unseen)
        rows, device = step.users.cpu().numpy(), step.users.device
        items = torch.from_numpy(lists.items[rows].astype(np.int64)).to(device)
        counts = torch.from_numpy(lists.counts[rows]).to(device)
        mask = torch.arange(items.shape[1], device=device) < counts[:, None]
        return Listed(items, mask, torch.from_numpy(lists.scores[rows]).to(device))


@dataclass(frozen=True, slots=True, kw_only=True)
class RankSampled(Candidates):
    """n of the teacher's first `of`, without repetition, with p ∝ e^{-rank/temperature}; the better first.

    The draw of RD's successors (CD: Lee et al., 2019; DE-RRD: Kang et al., 2020).
    """

    needs = frozenset({"top_k"})
    told = True

    n: int = 40
    of: int = 100
    temperature: float = 10.0
    unseen: bool = True

    def __post_init__(self) -> None:
        check_counts("rank_sampled", n=self.n, of=self.of)
        check_positive("rank_sampled", temperature=self.temperature)

    def draw(self, step: Step) -> Listed:
        first = TeacherTop(k=self.of, unseen=self.unseen).draw(step)
        width = first.items.shape[1]
        keys = step.gumbel(*first.items.shape) - torch.arange(width, device=first.items.device) / self.temperature
        keys = keys.masked_fill(~first.mask, -torch.inf)
        places = keys.topk(min(self.n, width), sorted=False).indices.sort(1).values
        assert first.scores is not None
        # masked ones are behind all others in the list, and the sort leaves them there
        return Listed(first.items.gather(1, places), first.mask.gather(1, places), first.scores.gather(1, places))
