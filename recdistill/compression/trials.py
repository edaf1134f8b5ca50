"""Which student within a limit ranks best on valid: short trainings of all shapes, long ones of the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recdistill.compression.sizes import Shape, shapes
from recdistill.errors import ConfigError
from recdistill.models.base import valid_ndcg
from recdistill.models.two_tower import TwoTower
from recdistill.registry import nearest
from recdistill.tables.codec_names import TRAINED_CODECS

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.distillation.methods import Methods
    from recdistill.knowledge.store import Knowledge
    from recdistill.training.progress import Progress

COMPARED = ("int8", "int4", "int3", "int2", "binary")
SHORT = 0.3
"""Share of the epochs of a training that only compares shapes."""
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
    finalists: int = 3
    """Shapes that are trained to the end."""
    candidates: int = len(DISTILLED)
    """Settings that the best shape is tried with, the first of them included."""

    def __post_init__(self) -> None:
        for codec in self.codecs:
            if codec not in TRAINED_CODECS:
                raise ConfigError(
                    f"search.codecs: {codec!r} cannot be trained through. {nearest(codec, TRAINED_CODECS)}"
                )
        for name in ("finalists", "candidates"):
            if getattr(self, name) < 1:
                raise ConfigError(f"search.{name} = {getattr(self, name)}: give at least 1")
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
    """NDCG@20."""


@dataclass(frozen=True, slots=True)
class Found:
    """The best student that was trained to the end, and all that was tried for it."""

    student: TwoTower
    settings: dict[str, Any]
    tried: tuple[Tried, ...]


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

    def best(self, limit: int) -> Found:
        """The best within `limit` bytes. Raises ConfigError, before anything is trained, where nothing fits."""
        ordered = bool(self.given.get("order"))
        return self.among(shapes(self.train.n_items, limit, codecs=self.codecs, ordered=ordered))

    def among(self, fitting: Sequence[Shape]) -> Found:
        """The best student of one of these shapes."""
        first, *others = self._candidates()
        tried: list[Tried] = []
        shapes_left = list(fitting)
        if len(fitting) > self.effort.finalists:
            short = [self._train(shape, first, SHORT) for shape in fitting]
            tried += [one for _, one in short]
            order = sorted(range(len(fitting)), key=lambda place: -short[place][1].valid)
            shapes_left = [fitting[place] for place in order[: self.effort.finalists]]
            if not (self.served or others or len(shapes_left) > 1):
                student, won = short[order[0]]
                return Found(student, won.settings, tuple(tried))
        whole = [(shape, *self._train(shape, first, 1.0)) for shape in shapes_left]
        best_shape = max(whole, key=lambda one: one[2].valid)[0]
        whole += [(best_shape, *self._train(best_shape, settings, 1.0)) for settings in others]
        tried += [one[2] for one in whole]
        _, student, won = max(whole, key=lambda one: one[2].valid)
        return Found(student, won.settings, tuple(tried))

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
