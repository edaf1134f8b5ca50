"""What is compared, by name: each says what it needs of a teacher, what is searched of it, and trains one student."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from recdistill.comparison.space import (
    EPOCHS_SHARE,
    HISTORY_DROPOUT,
    LABEL_SHARE,
    LEARNING_RATE,
    METHOD_TAU,
    Axis,
    tempered,
)
from recdistill.distillation.default import DEFAULT_NEEDS, beyond_small, together
from recdistill.distillation.methods import Methods, read_methods
from recdistill.errors import ConfigError
from recdistill.knowledge.distill import distill
from recdistill.models.fitted import FittedRanker
from recdistill.models.svd_cut import teacher_svd
from recdistill.models.two_tower import TwoTower
from recdistill.models.two_tower_rules import LogFacts, candidates, method_candidates
from recdistill.objectives.registry import OBJECTIVES
from recdistill.registry import nearest
from recdistill.runs.steps import VERSIONS

if TYPE_CHECKING:
    from recdistill.comparison.teachers import Source
    from recdistill.data.interactions import Interactions
    from recdistill.models.base import Ranker
    from recdistill.training.progress import Progress

METHOD_VERSION = 1
"""Of all trainings by methods; raised by hand when what they share gives other results."""
SHUFFLE = 7
"""Beside the seed, of the order of the shuffled teacher's users."""


@dataclass(frozen=True, slots=True)
class Job:
    """One training."""

    train: Interactions
    source: Source | None
    """Who teaches; none for the student alone."""
    settings: Mapping[str, Any]
    """Of the student; those of a method begin with `method.`."""
    tower: Mapping[str, Any]
    """Settings of a two-tower teacher, for one that learns along."""
    seed: int
    device: str
    progress: Progress

    def student(self) -> TwoTower:
        return TwoTower(**{name: value for name, value in self.settings.items() if "." not in name}, user_id=False)

    def taught_by(self) -> Source:
        assert self.source is not None
        return self.source

    def told(self) -> dict[str, Any]:
        return {"seed": self.seed, "device": self.device, "progress": self.progress}


@dataclass(frozen=True)
class Recipe(ABC):
    """A way to a student of some dimension."""

    name: str
    teacher: ClassVar[Literal["", "best", "single"]] = "best"
    """Who teaches it: nobody, the best on valid, or the best that is no ensemble."""
    distilled: ClassVar[bool] = True
    or_lists: ClassVar[bool] = False
    """Whether it learns from lists alone where no teacher gives what it needs."""

    def needs(self) -> frozenset[str]:
        """Of the teacher, in the words of `objectives.base.NEEDS`."""
        return frozenset({"top_k"})

    @abstractmethod
    def version(self) -> Any:
        """Changes when the same settings give another student."""

    def by_rule(self, facts: LogFacts) -> dict[str, Any]:
        """What else the log decides, as it enters a key."""
        return {}

    def first(self, student: Mapping[str, Any], facts: LogFacts) -> dict[str, Any]:
        """The rule's settings, which are the first trial."""
        return {**candidates(_config(student), facts)[0], EPOCHS_SHARE.name: 1.0}

    def axes(self) -> tuple[Axis, ...]:
        """What is searched; nothing for one without settings."""
        return (LEARNING_RATE, HISTORY_DROPOUT, EPOCHS_SHARE, LABEL_SHARE)

    @abstractmethod
    def train(self, job: Job) -> Ranker: ...


class Alone(Recipe):
    """The same student from the labels alone."""

    teacher = ""
    distilled = False

    def needs(self) -> frozenset[str]:
        return frozenset()

    def version(self) -> Any:
        return VERSIONS["alone"]

    def first(self, student: Mapping[str, Any], facts: LogFacts) -> dict[str, Any]:
        return {name: value for name, value in super().first(student, facts).items() if name != LABEL_SHARE.name}

    def axes(self) -> tuple[Axis, ...]:
        return (LEARNING_RATE, HISTORY_DROPOUT, EPOCHS_SHARE)

    def train(self, job: Job) -> Ranker:
        return job.student().fit(job.train, **job.told())


class Default(Recipe):
    """`rd.distill` without a method."""

    or_lists = True

    def needs(self) -> frozenset[str]:
        return DEFAULT_NEEDS

    def version(self) -> Any:
        return VERSIONS["student"]

    def by_rule(self, facts: LogFacts) -> dict[str, Any]:
        return beyond_small(facts.items)

    def first(self, student: Mapping[str, Any], facts: LogFacts) -> dict[str, Any]:
        return {**method_candidates(_config(student), together(facts.items))[0], EPOCHS_SHARE.name: 1.0}

    def train(self, job: Job) -> Ranker:
        return distill(job.taught_by().known, student=job.student(), on=job.train, **job.told())


class Single(Default):
    """The same from the best teacher that is no ensemble."""

    teacher = "single"


class Shuffled(Default):
    """The same from a teacher whose users were shuffled: what it gives is not knowledge of anybody."""

    def train(self, job: Job) -> Ranker:
        known = job.taught_by().known.permuted(job.train, np.random.default_rng([job.seed, SHUFFLE]))
        return distill(known, student=job.student(), on=job.train, **job.told())


class Cut(Recipe):
    """The teacher cut to the student's size, not trained."""

    distilled = False

    def version(self) -> Any:
        return VERSIONS["teacher_svd"]

    def axes(self) -> tuple[Axis, ...]:
        return ()

    def first(self, student: Mapping[str, Any], facts: LogFacts) -> dict[str, Any]:
        return {}

    def train(self, job: Job) -> Ranker:
        ranker = job.taught_by().ranker()
        return FittedRanker.of(ranker, teacher_svd(ranker, job.settings["dim"]), kind="teacher_svd")


@dataclass(frozen=True)
class Taught(Recipe):
    """One objective of a teacher, or several, beside the labels."""

    objectives: Mapping[str, Mapping[str, Any]]

    def methods(self) -> Methods:
        return read_methods(self.objectives)

    def needs(self) -> frozenset[str]:
        return frozenset().union(*(method.needs() for method in self.methods().taught))

    def version(self) -> Any:
        each = {name: OBJECTIVES[name].version for name in self.objectives}
        return [METHOD_VERSION, each, {name: dict(settings) for name, settings in self.objectives.items()}]

    def first(self, student: Mapping[str, Any], facts: LogFacts) -> dict[str, Any]:
        return {**method_candidates(_config(student), self.methods())[0], EPOCHS_SHARE.name: 1.0}

    def axes(self) -> tuple[Axis, ...]:
        return (*super().axes(), *([] if self._tau() is None else [tempered(METHOD_TAU, self._tau() or 1.0)]))

    def train(self, job: Job) -> Ranker:
        tau = job.settings.get(METHOD_TAU)
        told = {name: _with_tau(name, settings, tau) for name, settings in self.objectives.items()}
        return distill(job.taught_by().known, student=job.student(), on=job.train, method=told, **job.told())

    def _tau(self) -> float | None:
        """The default of the first objective that has a temperature."""
        return next((tau for name in self.objectives if (tau := _default_tau(name)) is not None), None)


class Together(Taught):
    """A teacher that is trained along, and learns from the student."""

    teacher = ""

    def needs(self) -> frozenset[str]:
        return frozenset()

    def train(self, job: Job) -> Ranker:
        from recdistill.distillation.mutual import train_together

        (name,) = self.objectives
        teacher = TwoTower(**{**job.tower, "order": False})
        share, tau = job.settings.get(LABEL_SHARE.name, 0.5), job.settings.get(METHOD_TAU)
        settings = {} if tau is None else {"tau": tau}
        both = train_together(
            teacher, job.student(), job.train, method=name, settings=settings, label_share=share, **job.told()
        )
        return both.student


STAGES: Mapping[str, Mapping[str, Any]] = {
    "hetcomp_overall": {"weight": {"schedule": "linear", "begin": 0.5, "until": 0.5, "start": 1.0, "end": 0.0}},
    "hetcomp": {"weight": {"schedule": "linear", "begin": 0.5, "until": 0.5, "start": 0.0, "end": 1.0}},
}
"""Both stages of HetComp, the first in the first half of the training."""
COURSES: dict[str, Mapping[str, Mapping[str, Any]]] = {"hetcomp_stages": STAGES}
"""Several objectives whose weights make one method."""
ADAPTED = ("loss_ratio", "gradients", "certainty")
"""Weights that adapt, each beside the fixed one of `soft_kl`, searched alike."""
CONTROLS: tuple[Recipe, ...] = (
    Default("default"), Alone("alone"), Cut("teacher_svd"), Shuffled("shuffled"), Single("single"),
)  # fmt: skip
LABELS = tuple(name for name in OBJECTIVES if not OBJECTIVES[name].needs)
"""Objectives of labels: they have no teacher and are not in `all`."""


def aliases() -> dict[str, str]:
    """Names of an objective that has an earlier one."""
    first: dict[type, str] = {}
    return {name: first[OBJECTIVES[name]] for name in OBJECTIVES if first.setdefault(OBJECTIVES[name], name) != name}


def every_name() -> list[str]:
    """What `all` stands for: the default, the controls, adaptive weights, and each objective with a teacher once."""
    known = aliases()
    taught = [name for name in OBJECTIVES if name not in known and name not in LABELS]
    return [*(recipe.name for recipe in CONTROLS), *taught, *COURSES, *(f"soft_kl_{name}" for name in ADAPTED)]


def recipe_of(name: str) -> Recipe:
    """By its name; several objectives with `+`. Raises ConfigError for one that is not known."""
    controls = {recipe.name: recipe for recipe in CONTROLS}
    if name in controls:
        return controls[name]
    if name in COURSES:
        return Taught(name, COURSES[name])
    adapt = name.removeprefix("soft_kl_")
    if adapt in ADAPTED and adapt != name:
        return Taught(name, {"soft_kl": {"adapt": adapt}})
    parts = name.split("+")
    for part in parts:
        if part not in OBJECTIVES:
            raise ConfigError(f"compare: no method {part!r}. {nearest(part, [*every_name(), *LABELS, *aliases()])}")
    learns_along = [part for part in parts if "teacher" in OBJECTIVES[part].needs]
    if learns_along and len(parts) > 1:
        raise ConfigError(f"compare: {name}: {learns_along[0]} trains its teacher along and stands by itself")
    if len(set(parts)) < len(parts):
        raise ConfigError(f"compare: {name}: names one objective twice")
    return (Together if learns_along else Taught)(name, {part: {} for part in parts})


def recipes_of(names: Iterable[str]) -> list[Recipe]:
    """Those that are named, each once, in the order in which an interrupted comparison says most: the default and the
    controls first."""
    wanted = list(dict.fromkeys(one for name in names for one in (every_name() if name == "all" else [name])))
    controls = [recipe.name for recipe in CONTROLS]
    place = {name: number for number, name in enumerate(controls)}
    return [recipe_of(name) for name in sorted(wanted, key=lambda name: place.get(name, len(place)))]


def _default_tau(name: str) -> float | None:
    kind = OBJECTIVES[name].config_type
    given = None if kind is None else getattr(kind, "__dataclass_fields__", {}).get("tau")
    return None if given is None or not isinstance(given.default, float) else given.default


def _with_tau(name: str, settings: Mapping[str, Any], tau: float | None) -> dict[str, Any]:
    return {**settings, **({} if tau is None or _default_tau(name) is None else {"tau": tau})}


def _config(student: Mapping[str, Any]) -> Any:
    return TwoTower(**student, user_id=False).config
