"""The door from knowledge to a student."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recdistill.errors import ConfigError

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.knowledge.store import Knowledge
    from recdistill.models.two_tower import TwoTower
    from recdistill.training.progress import Progress


def distill(
    knowledge: Knowledge,
    *,
    student: TwoTower,
    on: Interactions,
    valid: HeldOut | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> TwoTower:
    """Train `student` on the labels of `on` and on what the teacher says about its users; returns it fitted.

    `valid` is only looked at for the progress bar. Raises KnowledgeError where `knowledge` is of another log.
    """
    if not hasattr(student, "distil"):
        raise ConfigError(
            f"student: {type(student).__name__} cannot be distilled into; give rd.TwoTower(dim=32, user_id=False)"
        )
    knowledge.check(on)
    return student.distil(on, knowledge, valid, seed=seed, device=device, progress=progress)
