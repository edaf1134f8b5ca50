"""Which student within a limit ranks best on valid: short trainings of all shapes, long ones of the best; where few
users decide, among whom seeds differ by more than shapes, long ones of all and means over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from recdistill.compression.sizes import Shape, shapes
from recdistill.errors import ConfigError
from recdistill.models.base import valid_ndcg
from recdistill.models.two_tower import TwoTower
from recdistill.registry import nearest
from recdistill.tables.codec_names import MIXED, names_to_train, trained_through

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.distillation.methods import Methods
    from recdistill.knowledge.store import Knowledge
    from recdistill.training.progress import Progress

COMPARED = ("int8", "int4", *MIXED, "int2", "binary")
"""Of the mixed, NDCG@20 on valid, seed 0: ml-1m, 60 kB, 40 % of the rows in 4 bits, the others in 1 .2719, 2 bits
for all .2687; 15,000 users of amazon-book, 240 kB, short trainings, 20 % in 4 bits, the others in 1 .0976, 4 bits
for all .0891."""
SHORT = 0.3
"""Share of the epochs of a training that only compares shapes."""
FEW_USERS = 10_000
"""Of valid, below which a mean over seeds decides. NDCG@20 on valid of seeds 0, 1, 2: lastfm (1,872 users), 50 kB,
4 bits .1593, .1573, .1566, one bit .1577, .1603, .1595, and of short trainings one bit was below; ml-1m (6,040 users),
125 kB, 2 bits .2719, .2716, .2717, 4 bits .2717, .2724, .2729."""
SEEDS = 3
FINALISTS = 3
Settings = Mapping[str, float]
DISTILLED: tuple[Settings, ...] = (
    {"label_share": 0.5, "history_dropout": 0.0, "learning_rate": 2e-2},
    {"label_share": 0.3, "history_dropout": 0.0, "learning_rate": 2e-2},
    {"label_share": 0.5, "history_dropout": 0.0, "learning_rate": 1e-2},
    {"label_share": 0.1, "history_dropout": 0.0, "learning_rate": 1e-2},
)
"""Shapes are compared with the first, and the best of them is tried with the others, too. On valid, NDCG@20, ml-1m,
taught by an ensemble, by the default (in brackets by soft labels), 3 bits, d=42: .2688, .2689 (.2683), .2681 (.2670);
d=101: .2727, -, .2724 (.2712), .2714 (.2688). ml-100k, 4 bits, d=32, soft labels, mean of three seeds: .3014 to .3020
with a label share of .3, .3060 with .1, .2994 with .5."""
DISTILLED_IN_LARGE: tuple[Settings, ...] = (
    {"label_share": 0.1, "history_dropout": 0.0, "learning_rate": 1e-2},
    {"label_share": 0.1, "history_dropout": 0.1, "learning_rate": 2e-2},
    {"label_share": 0.3, "history_dropout": 0.0, "learning_rate": 2e-2},
    {"label_share": 0.5, "history_dropout": 0.0, "learning_rate": 2e-2},
)
"""The same by the default of a large catalogue. On valid, NDCG@20, 15,000 users of amazon-book in 240 kB, 4 bits, d=14,
six tenths of the epochs, one seed: .0913, .0912 and, with half of the weight on labels, .0879."""
ALONE: tuple[Settings, ...] = (
    {"history_dropout": 0.2, "learning_rate": 1e-2},
    {"history_dropout": 0.0, "learning_rate": 1e-2},
    {"history_dropout": 0.5, "learning_rate": 1e-2},
    {"history_dropout": 0.3, "learning_rate": 5e-3},
)
"""The same without a teacher: as many, and more regularised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is tried, as much with a teacher as without."""

    codecs: tuple[str, ...] = COMPARED
    """Through which students are compared."""
    finalists: int | None = None
    """Shapes that are trained to the end. None: FINALISTS after short trainings of all; where few users decide, all
    with one seed, and FINALISTS of them with the other seeds."""
    candidates: int = len(DISTILLED)
    """Settings that the best shape is tried with, the first of them included."""

    def __post_init__(self) -> None:
        for codec in self.codecs:
            if not trained_through(codec):
                raise ConfigError(
                    f"search.codecs: {codec!r} cannot be trained through. {nearest(codec, names_to_train())}"
                )
        for name in ("finalists", "candidates"):
            if (asked := getattr(self, name)) is not None and asked < 1:
                raise ConfigError(f"search.{name} = {asked}: give at least 1")
        if not self.codecs:
            raise ConfigError("search.codecs: give at least one, or leave it out")


@dataclass(frozen=True, slots=True)
class Tried:
    """One training, measured on valid."""

    settings: dict[str, Any]
    bytes: int
    epochs_share: float
    """1 where it was trained to the end."""
    valid: float
    """NDCG@20, the mean over seeds where there were several."""
    by_seed: tuple[float, ...] = ()
    """The same of each seed; empty of one alone."""

    @property
    def first(self) -> float:
        """NDCG@20 with the first seed."""
        return self.by_seed[0] if self.by_seed else self.valid


@dataclass(frozen=True, slots=True)
class Found:
    """The best student that was trained to the end, and all that was tried for it."""

    student: TwoTower
    settings: dict[str, Any]
    tried: tuple[Tried, ...]


@dataclass(slots=True)
class _Run:
    """A training and what came of it."""

    shape: Shape
    settings: Settings
    student: TwoTower
    """With the first seed."""
    tried: Tried


@dataclass(frozen=True, slots=True)
class Trials:
    """What every training has in common: the log, what is known of it, and the settings that are given."""

    train: Interactions
    valid: HeldOut
    knowledge: Knowledge | None
    """None: students learn from labels alone."""
    given: Mapping[str, Any]
    """Settings of the two-tower model that are not tried."""
    methods: Methods | None = None
    effort: Effort = Effort()
    served: bool = True
    """Whether the student that is found will answer; else, where a short training has decided, there is no long one."""
    seed: int = 0
    device: str = "auto"
    progress: Progress | None = None
    name: str = "student"
    """As what is tried is told of."""

    def best(self, limit: int) -> Found:
        """The best within `limit` bytes. Raises ConfigError, before anything is trained, where nothing fits."""
        ordered = bool(self.given.get("order"))
        return self.among(shapes(self.train.n_items, limit, codecs=self.codecs, ordered=ordered))

    def among(self, fitting: Sequence[Shape]) -> Found:
        """The best student of one of these shapes."""
        first, *others = self._candidates()
        asked = self.effort.finalists
        finalists = FINALISTS if asked is None else asked
        sure = deciding_seeds(self.valid) == 1 or asked is not None
        share = SHORT if sure and len(fitting) > finalists else 1.0
        self._say(_plan(fitting, share, finalists, deciding_seeds(self.valid), len(others)))
        compared = [self._run(shape, first, share) for shape in fitting]
        left = sorted(compared, key=lambda one: -one.tried.valid)[:finalists]
        if share < 1:
            if not (self.served or others or len(left) > 1):
                return _found(left[0], compared)
            left = [self._run(one.shape, first, 1.0) for one in left]
            compared += left
        if len(left) > 1:
            self._confirm(left)
        best = max(left, key=lambda one: one.tried.valid)
        again = [self._run(best.shape, settings, 1.0) for settings in others]
        rival = max(again, key=lambda one: one.tried.valid, default=best)
        if rival.tried.valid > best.tried.first:
            self._confirm([best, rival])
            best = max(best, rival, key=lambda one: one.tried.valid)
        return _found(best, compared + again)

    def _confirm(self, runs: Sequence[_Run]) -> None:
        """Train each with the other seeds, too, unless that was done; means stand in the place of the first's."""
        others = [replace(self, seed=self.seed + place) for place in range(1, deciding_seeds(self.valid))]
        for one in runs:
            if others and not one.tried.by_seed:
                again = [other.trained(one.tried.settings)[1] for other in others]
                for other, tried in zip(others, again, strict=True):
                    self._say(_outcome(tried, other.seed))
                values = (one.tried.valid, *(tried.valid for tried in again))
                one.tried = replace(one.tried, valid=statistics.fmean(values), by_seed=values)

    def _run(self, shape: Shape, settings: Settings, share: float) -> _Run:
        student, tried = self._train(shape, settings, share)
        self._say(_outcome(tried, self.seed))
        return _Run(shape, settings, student, tried)

    def _say(self, text: str) -> None:
        if self.progress is not None:
            self.progress.say(f"- {self.name}: {text}")

    def _candidates(self) -> list[Settings]:
        """Without what is given, each once."""
        taught = DISTILLED if self.methods is None or self.methods.first is None else DISTILLED_IN_LARGE
        named = ALONE if self.knowledge is None else taught
        free: list[Settings] = [{k: v for k, v in one.items() if k not in self.given} for one in named]
        return [one for place, one in enumerate(free) if one not in free[:place]][: self.effort.candidates]

    @property
    def codecs(self) -> tuple[str, ...]:
        """That students are compared through."""
        given = self.given.get("codec")
        return self.effort.codecs if given is None else (given,)

    def _train(self, shape: Shape, settings: Settings, share: float) -> tuple[TwoTower, Tried]:
        return self.trained({**settings, **shape.settings()}, share)

    def trained(self, settings: Mapping[str, Any], share: float = 1.0) -> tuple[TwoTower, Tried]:
        """A student of these settings beside those given, for this share of its epochs."""
        chosen = {**self.given, **settings, "user_id": False}
        shortened = {**chosen, "epochs_share": share * chosen.get("epochs_share", 1.0)} if share != 1 else chosen
        student = TwoTower(**shortened)
        told: dict[str, Any] = {"seed": self.seed, "device": self.device, "progress": self.progress}
        if self.knowledge is None:
            student.fit(self.train, self.valid, **told)
        else:
            student.distil(self.train, self.knowledge, self.valid, methods=self.methods, **told)
        reached = valid_ndcg(student.scorer, self.train, self.valid)
        return student, Tried(chosen, student.scorer.nbytes, share, reached)


def deciding_seeds(valid: HeldOut) -> int:
    """How many trainings of a student the choice between the best of them is made by."""
    return SEEDS if len(valid) < FEW_USERS else 1


def _found(best: _Run, tried: Sequence[_Run]) -> Found:
    return Found(best.student, best.tried.settings, tuple(one.tried for one in tried))


def _plan(fitting: Sequence[Shape], share: float, finalists: int, seeds: int, others: int) -> str:
    """What is trained, told before."""
    left, of_all = min(finalists, len(fitting)), ", ".join(map(str, fitting))
    parts = [f"tries {of_all}" + (f", each for {share:.0%} of the epochs" if share < 1 else "")]
    count = len(fitting)
    if share < 1:
        parts.append(f"the best {left} to the end")
        count += left
    if seeds > 1 and left > 1:
        parts.append(f"the best {left} with {seeds - 1} more seeds")
        count += left * (seeds - 1)
    if others:
        parts.append(f"the best with {others} other settings")
        count += others
    return f"{'; '.join(parts)}: {count} trainings" + (" or a few more" if seeds > 1 and others else "")


def _outcome(tried: Tried, seed: int) -> str:
    """What a training was and reached."""
    told = tried.settings
    named = (("label_share", "label share"), ("history_dropout", "dropout"), ("learning_rate", "rate"))
    settings = "".join(f", {word} {told[name]:g}" for name, word in named if told.get(name) is not None)
    part = f", {tried.epochs_share:.0%} of the epochs" if tried.epochs_share < 1 else ""
    return f"{told['codec']}, d={told['dim']}{settings}, seed {seed}{part}: NDCG@20 on valid {tried.valid:.4f}"
