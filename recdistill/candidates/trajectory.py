"""The target of a curriculum: the list of the teacher's checkpoint that a user has reached."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recdistill.candidates.base import FromStudent, Listed, Step, check_counts
from recdistill.objectives.base import check_positive

SHARPNESS = 10.0
"""An item at place t of the target counts 2^{e^{-t/10}} - 1."""
DECAY = 0.995
"""Of the threshold, at each look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrajectoryTop(FromStudent):
    """The first k of the list at the user's checkpoint, best first, from easy to hard (HetComp: Kang et al., 2023)."""

    needs = frozenset({"trajectory"})

    k: int = 50
    every: int = 5
    """Epochs between two looks at who goes on to the next checkpoint."""
    threshold: float = 1.05
    """By how much nearer to the next list a user must have come since the last step, to take it."""

    def __post_init__(self) -> None:
        check_counts("trajectory_top", k=self.k, every=self.every)
        check_positive("trajectory_top", threshold=self.threshold)

    @property
    def student_list(self) -> int:
        return self.k

    def draw(self, step: Step) -> Listed:
        assert step.curriculum is not None
        lists = step.source.kept("trajectory", lambda: _lists(step))
        items = lists[step.curriculum.reached[step.users], step.users, : self.k].long()
        return Listed(items.clamp_min(0), items >= 0)


def _lists(step: Step) -> Tensor:
    trajectory = step.source.knowledge.trajectory
    assert trajectory is not None
    return torch.from_numpy(np.ascontiguousarray(trajectory)).to(step.users.device)


class Curriculum:
    """Where every user is on the teacher's trajectory, and how far its student was from the next list then."""

    def __init__(self, reached: Tensor, distance: Tensor, trajectory: np.ndarray, settings: TrajectoryTop) -> None:
        """reached (n_users,) int64 and distance (n_users,) float32 are changed in place; -1: not looked at yet."""
        self.reached, self.distance = reached, distance
        self._trajectory, self._settings = trajectory, settings

    def look(self, student_top: Tensor, number: int) -> None:
        """Who came near enough to the next list, or drifts from it, takes it; `number` of the look, from 0."""
        last = len(self._trajectory) - 1
        ahead = (self.reached + 1).clamp(max=last)
        now = self._distances(student_top, ahead)
        first = self.distance < 0
        ratio = self.distance / now.clamp_min(1e-6)
        goes = ~first & (self.reached < last)
        goes &= (ratio > self._settings.threshold * DECAY**number) | (ratio < 1.0)
        self.reached += goes.long()
        after = self._distances(student_top, (self.reached + 1).clamp(max=last))
        self.distance.copy_(torch.where(goes | first, after, self.distance))

    def _distances(self, student_top: Tensor, checkpoint: Tensor) -> Tensor:
        """(n_users,) 1 - NDCG@k of the student's list by the checkpoint's."""
        k = min(self._settings.k, self._trajectory.shape[2])
        own = student_top[:, :k].cpu().numpy()
        users = np.arange(len(own))
        target = self._trajectory[checkpoint.cpu().numpy(), users, :k]
        gain = np.exp2(np.exp(-np.arange(k) / SHARPNESS)) - 1.0
        discount = 1.0 / np.log2(np.arange(2, max(k, own.shape[1]) + 2))
        found = np.zeros(len(own), np.float32)
        order = np.argsort(target, axis=1, kind="stable")
        ranked = np.take_along_axis(target, order, 1)
        width = int(max(ranked.max(initial=0), own.max(initial=0))) + 2
        keys = (ranked + 1 + users[:, None] * width).ravel()
        asked = own + 1 + users[:, None] * width
        place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
        hit = (keys[place] == asked) & (own >= 0)
        gains = np.where(hit, gain[order.ravel()[place]], 0.0)
        listed = (target >= 0) * gain
        ideal = (listed * discount[:k]).sum(1)
        found = (gains * discount[: own.shape[1]]).sum(1) / np.maximum(ideal, 1e-12)
        return torch.from_numpy((1.0 - found).astype(np.float32)).to(student_top.device)
