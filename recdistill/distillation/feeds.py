"""From the arguments of an objective to tensors: which feed an objective takes, and what all feeds are given."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from recdistill.candidates.base import Step
from recdistill.candidates.trajectory import TrajectoryTop
from recdistill.distillation.student import StudentScores
from recdistill.objectives.base import Objective


@dataclass(frozen=True, slots=True)
class Taken:
    """One step of a training, as a feed sees it."""

    step: Step
    scores: StudentScores
    users_of: Callable[[Tensor], Tensor]
    """The student's vectors (n, d) of other users by their rows, with gradient."""
    weight: Tensor | None
    """(batch,) how much each user counts."""


class Feed(ABC):
    """Calls one objective with what it asks for."""

    @abstractmethod
    def loss(self, taken: Taken) -> Tensor: ...

    def curriculum(self) -> TrajectoryTop | None:
        """Its settings, where it follows the teacher's trajectory."""
        return None

    def student_list(self) -> tuple[int, int]:
        """How many of the student's best items it needs (0: none), and every how many epochs anew."""
        return 0, 1

    def scores_students_list(self) -> bool:
        """Whether the teacher is asked for its scores of these."""
        return False


def asked_of(objective: Objective) -> tuple[str, ...]:
    """The names of the arguments of its forward."""
    return tuple(inspect.signature(objective.forward).parameters)


def called(objective: Objective, arguments: dict[str, Any]) -> Tensor:
    return objective(**arguments)
