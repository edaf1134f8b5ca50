"""`rd.Ranker.wrap`: a model that somebody else wrote, as a teacher or as a student."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from recdistill.errors import ConfigError
from recdistill.models.base import Ranker, check_log, valid_ndcg
from recdistill.models.fitted import FittedRanker
from recdistill.models.own_model import OwnModel
from recdistill.models.own_scorer import Served, live_and_served

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.distillation.methods import Methods
    from recdistill.knowledge.store import Knowledge
    from recdistill.serving.scorers import Scorer
    from recdistill.training.progress import Progress

LABEL_SHARES = (0.5, 0.9, 0.1)
"""What valid chooses between; a weak teacher wants much of the labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedConfig:
    """How a torch module is trained; none: by rule from the log's counts, as a two-tower model without user ids."""

    user_id: bool = False
    """Whether the model is told who people are, as rows of the training log; else it knows them by their histories."""
    ordered: bool = False
    """Whether it looks at the order of a history, for models that are trained already or train themselves."""
    epochs: int | None = None
    learning_rate: float = 5e-3
    batch_users: int = 512
    user_weight: float | None = None
    """A user's labels count n^(1-w), n their number: 0 every interaction the same, 1 every user."""
    history_dropout: float = 0.0
    """Share of a history that is hidden in training."""
    label_share: float | None = None
    """Weight of the labels where there is a teacher; the rest is the teacher's. None: chosen on valid, else a half."""
    temperature: float = 1.0
    """Softens the teacher's and the student's distributions."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_users"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"own: {name} = {value}: give at least 1.")
        for name in ("learning_rate", "temperature"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"own: {name} = {getattr(self, name)}: give a number above 0.")
        for name in ("user_weight", "label_share"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ConfigError(f"own: {name} = {value}: give a number from 0 to 1.")
        if not 0 <= self.history_dropout < 1:
            raise ConfigError(f"own: history_dropout = {self.history_dropout}: give a number from 0 to below 1.")


class WrappedRanker(Ranker):
    """Somebody's model: trained here where it is a torch module, by its own `fit(train)` where it has one.

    It is measured as it answers. What a service without torch can have of it is `served`: everything where the model is
    a bag of the history or a table of users, which is found by asking it.
    """

    kind: ClassVar[str] = "own"
    label: ClassVar[str] = "own model"
    about: ClassVar[str] = "wrapped from outside"
    meaning: ClassVar[str] = "A model that was written elsewhere and wrapped."
    Config: ClassVar[type] = WrappedConfig
    config: WrappedConfig

    def __init__(self, model: Any, *, on: Interactions | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.model = model
        """After a training here the trained copy; what was given stays as it was."""
        self._given, self._served = model, Served(None, "it is not fitted")
        OwnModel(model, 0, user_id=self.config.user_id)
        if on is not None:
            check_log(on, self.kind)
            self._answers_by(model, on, seed=0)

    def _fit(
        self, train: Interactions, valid: HeldOut | None, *, seed: int, device: str, progress: Progress | None
    ) -> Scorer:
        own = OwnModel(self._given, train.n_items, user_id=self.config.user_id)
        if callable(getattr(self._given, "fit", None)):
            self._given.fit(train)
            return self._made(self._given, train)
        if not own.is_module:
            raise own.refused(
                "is no torch module and has no fit(train); if it is trained already, say on which log: "
                "rd.Ranker.wrap(model, on=train)"
            )
        told: dict[str, Any] = {"seed": seed, "device": device, "progress": progress}
        return self._trained(train, None, None, valid, **told)

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
    ) -> Self:
        """Learn from the labels of `train` and from a teacher: by soft labels over all items, or by `methods`."""
        check_log(train, self.kind, valid)
        own = OwnModel(self._given, train.n_items, user_id=self.config.user_id)
        if not own.is_module:
            raise own.refused("is no torch module, so nothing can be distilled into it; wrap an nn.Module")
        self.chosen = {}
        told: dict[str, Any] = {"seed": seed, "device": device, "progress": progress}
        tried, shares = [], self._label_shares(methods, valid)
        for share in shares:
            scorer = self._trained(train, knowledge, methods, valid, label_share=share, **told)
            reached = 0.0 if valid is None or len(shares) == 1 else valid_ndcg(scorer, train, valid)
            tried.append((reached, share, self.model, self._served, scorer))
        _, share, self.model, self._served, scorer = max(tried, key=lambda one: one[0])
        self._keep(scorer, train, seed)
        self.chosen = {"label_share": share}
        return self

    def _label_shares(self, methods: Methods | None, valid: HeldOut | None) -> tuple[float, ...]:
        """What is given, else what valid is to choose between, else a half."""
        given = self.config.label_share if methods is None or methods.label_share is None else methods.label_share
        if given is not None:
            return (given,)
        return LABEL_SHARES[:1] if valid is None else LABEL_SHARES

    def _trained(
        self,
        train: Interactions,
        knowledge: Knowledge | None,
        methods: Methods | None,
        valid: HeldOut | None,
        *,
        label_share: float | None = None,
        **told: Any,
    ) -> Scorer:
        from recdistill.models.wrapped_training import train_wrapped

        if self.config.ordered:
            raise ConfigError(
                "own: ordered = true: batches here show whole histories, labels and all; a model of order trains "
                "itself: give it fit(train), or train it and wrap it with on=train"
            )
        config = self.config if label_share is None else replace(self.config, label_share=label_share)
        model = train_wrapped(self._given, config, train, knowledge, methods, valid, **told)
        scorer = self._made(model, train)
        self.softmax_scores = True  # type: ignore[misc]
        return scorer

    def _answers_by(self, model: Any, train: Interactions, *, seed: int) -> None:
        self._keep(self._made(model, train), train, seed)

    def _made(self, model: Any, train: Interactions) -> Scorer:
        own = OwnModel(model, train.n_items, user_id=self.config.user_id)
        self.model, self.softmax_scores = model, False  # type: ignore[misc]
        scorer, self._served = live_and_served(own, train, ordered=self.config.ordered)
        return scorer

    @property
    def notes(self) -> tuple[str, ...]:
        """What a service cannot do with it; nothing where it can do everything."""
        return (self._served.less,) if self._served.less else ()

    def served(self) -> FittedRanker:
        """What is saved, as a ranker of its own: to be measured beside the model, compressed, or asked.

        Raises ConfigError for a model without vectors.
        """
        self._after_fit(self._scorer)
        if self._served.scorer is None:
            raise ConfigError(f"own model {type(self.model).__name__}: {self._served.less}")
        return FittedRanker.of(self, self._served.scorer, kind=self.kind)

    def settings(self) -> dict[str, Any]:
        less = {"served_without_torch": self._served.less} if self._served.less and self.fitted else {}
        return {**super().settings(), "model": type(self.model).__name__, **less}

    def save(self, folder: str | Path, *, name: str | None = None, metrics: dict[str, Any] | None = None) -> Path:
        """Write what can be served; where that is less than the model, a warning and the card say what."""
        path = self.served().save(folder, name=name, metrics=metrics)
        if self._served.less:
            warnings.warn(f"{path}: own model {type(self.model).__name__}: {self._served.less}", stacklevel=2)
        return path
