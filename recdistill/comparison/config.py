"""The settings of a comparison."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from recdistill.errors import ConfigError

MEMBERS = ("two_tower", "ease", "als")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonConfig:
    """What is compared with what; everything here but `methods`, `dims` and `seeds` enters the key of a cell."""

    methods: tuple[str, ...] = ("all",)
    """Names of recipes; `all` stands for every one that has a teacher, and the controls."""
    dims: tuple[int, ...] = (32,)
    """Of the students; settings are searched at the first one."""
    seeds: int = 1
    trials: int = 8
    """Settings tried for each method, the student alone included."""
    search_share: float = 0.5
    """Length of a trial, as a share of the rule's epochs."""
    student: dict[str, Any] = field(default_factory=dict)
    """Settings of every student; what stands here is not searched."""
    teacher: dict[str, Any] = field(default_factory=dict)
    """Of each kind of teacher its settings: {"two_tower": {"dim": 128}}."""
    members: tuple[str, ...] = MEMBERS
    """Kinds of models of which, and of their ensemble, the best on valid is the teacher."""
    top_k: int = 200
    """Length of the teacher's lists."""
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        from recdistill.models.registry import MODELS

        for name, least in (("seeds", 1), ("trials", 1), ("top_k", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"compare: {name} = {getattr(self, name)}: give at least {least}")
        if not self.methods:
            raise ConfigError("compare: methods: names nothing; give all, or for instance default,alone,rrd")
        if not self.dims or min(self.dims) < 1 or len(set(self.dims)) < len(self.dims):
            raise ConfigError(f"compare: dims = {list(self.dims)}: give different whole numbers from 1")
        if not 0 < self.search_share <= 1:
            raise ConfigError(f"compare: search_share = {self.search_share}: give a share above 0, 1 for whole trials")
        if not self.members or len(set(self.members)) < len(self.members) or "ensemble" in self.members:
            raise ConfigError(f"compare: members = {list(self.members)}: name kinds of models, each once")
        for kind in self.teacher:
            if kind not in self.members:
                raise ConfigError(
                    f"compare: teacher.{kind}: settings of a teacher stand under its kind, as in "
                    f"teacher.two_tower.dim; the kinds here are {', '.join(self.members)}."
                )
        for kind in self.members:
            try:
                MODELS[kind](**self.teacher.get(kind, {}))
            except (ConfigError, TypeError) as error:
                raise ConfigError(f"compare: teacher: {error}") from None
        for name in ("dim", "user_id", "kind"):
            if name in self.student:
                raise ConfigError(
                    f"compare: student.{name}: every student is a two-tower without user ids; their sizes "
                    "are given by --dims 16,32"
                )
        try:
            MODELS["two_tower"](**self.student)
        except ConfigError as error:
            raise ConfigError(f"compare: student: {error}") from None
