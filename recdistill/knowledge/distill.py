"""The door from knowledge to a student."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from recdistill.data.given import check_train, check_valid
from recdistill.errors import ConfigError

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.distillation.methods import GivenMethod, Methods
    from recdistill.knowledge.store import Knowledge
    from recdistill.training.progress import Progress


class Distillable(Protocol):
    """A ranker that learns from a teacher."""

    def distil(
        self,
        train: Interactions,
        knowledge: Knowledge,
        valid: HeldOut | None = None,
        *,
        seed: int = 0,
        device: str = "auto",
        progress: Progress | None = None,
        methods: Methods | None = None,
    ) -> Any: ...


T = TypeVar("T", bound="Distillable")


def distill(
    knowledge: Knowledge,
    *,
    student: T,
    on: Interactions,
    valid: HeldOut | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
    method: GivenMethod | None = None,
    labels: str | Mapping[str, Any] | None = None,
) -> T:
    """Train `student` on the labels of `on` and on what the teacher says about its users; returns it fitted.

    `method` is an objective by name, several of them, or `{"rrd": {"weight": 1.0, "adapt": …, "shown": …, setting:
    value}, …}`, where a number in the place of the settings is the weight, `{"rrd": 1.0, "de": 0.5}`; or
    `"soft_labels"`: over all items, in one pass with the labels. None: `rrd` and `margin_mse` together,
    from 10,000 items `rce_kd`, where the teacher tells all its scores or has vectors, else soft labels (see
    `distillation/default.py`). `labels` names another objective of labels than the student's own, or gives their share,
    `{"weight": 0.3}`; the rest is the methods'. `valid` chooses settings that are not given.

    Raises KnowledgeError where `knowledge` is of another log or lacks what a method needs, ConfigError for what a
    method does not know; both before anything is trained.
    """
    if not hasattr(student, "distil"):
        raise ConfigError(
            f"student: {type(student).__name__} cannot be distilled into; give rd.TwoTower(dim=32, user_id=False)"
        )
    from recdistill.knowledge.store import Knowledge

    if not isinstance(knowledge, Knowledge):
        raise ConfigError(
            f"knowledge: found a {type(knowledge).__name__}; ask a teacher for it: rd.Knowledge.extract(teacher, "
            "split.train)"
        )
    check_train(on, "on")
    check_valid(valid, "distill")
    if labels is not None and not isinstance(labels, str | Mapping):
        raise ConfigError(
            f'labels = {labels!r}: give an objective of labels by name, or their share, {{"weight": 0.3}}'
        )
    knowledge.check(on)
    from recdistill.distillation.default import SOFT_LABELS, default_methods
    from recdistill.distillation.methods import read_methods

    if method is None or method == SOFT_LABELS:
        if labels is not None:
            raise ConfigError(f"labels = {labels!r} without a method: set the student's label_share instead.")
        methods = None if method == SOFT_LABELS else default_methods(student, knowledge)
        if methods is None:
            student.distil(on, knowledge, valid, seed=seed, device=device, progress=progress)
            return student
    else:
        methods = read_methods(method, labels)
    methods.require(knowledge)
    student.distil(on, knowledge, valid, seed=seed, device=device, progress=progress, methods=methods)
    return student
