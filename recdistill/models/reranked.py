"""Two stages: a base model retrieves, an MLP over (user, item) ranks what it found again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from recdistill.errors import ConfigError, DataError
from recdistill.models.base import CHOICE_K, Ranker
from recdistill.models.embedding_rules import check
from recdistill.models.popularity import log_counts
from recdistill.serving.perceptron import Perceptron
from recdistill.serving.reranked import RerankedScorer, width

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.data.splits import Split
    from recdistill.evaluation.stages import Stages
    from recdistill.models.reranked_training import Asked, Learner
    from recdistill.serving.scorers import Scorer
    from recdistill.training.progress import Progress

MOST_EPOCHS = 12
MOST_USERS = 100_000
"""Whose retrieved items are learned from, and as many to choose by."""
PATIENCE = 3
"""Epochs without a gain on valid after which none is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankedConfig:
    base: str = "two_tower"
    """Kind of the registered model that retrieves."""
    base_settings: dict[str, Any] = field(default_factory=dict)
    depth: int = 200
    """Items that are ranked again, cut to the catalogue."""
    hidden: tuple[int, ...] = (64, 32)
    """Widths of the hidden layers."""
    hidden_share: float = 0.2
    """Of each history, hidden from the base that the network learns from; what was hidden is what it learns to find."""
    epochs: int | None = None
    """Of the network; 0 leaves the base as it is. None: chosen on valid by NDCG@20, 0 included; without valid 0, since
    nothing then says whether ranking again helps."""
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    batch_users: int = 64

    def __post_init__(self) -> None:
        from recdistill.models.registry import MODELS

        check(
            "reranked",
            at_least_one={"depth": self.depth, "batch_users": self.batch_users},
            above_zero={"learning_rate": self.learning_rate},
            shares={},
            not_negative={"epochs": self.epochs, "weight_decay": self.weight_decay},
        )
        if not 0 < self.hidden_share < 1:
            raise ConfigError(f"reranked: hidden_share = {self.hidden_share}: give a number between 0 and 1.")
        if not self.hidden or min(self.hidden) < 1:
            raise ConfigError(f"reranked: hidden = {list(self.hidden)}: give the width of at least one layer, from 1.")
        if self.base == "reranked":
            raise ConfigError("reranked: base = 'reranked': a reranked model cannot be the base of another")
        if not isinstance(self.base_settings, Mapping):
            raise ConfigError(f"reranked: base_settings = {self.base_settings!r}: expected settings by name")
        try:
            MODELS[self.base](**self.base_settings)
        except ConfigError as error:
            raise ConfigError(f"reranked: {error}") from None


class Reranked(Ranker):
    """score = base + MLP(u∘v, bias, popularity, score, place, history length) for the base's best `depth` unseen items.

    Vectors by a two-tower, their product through an MLP as in neural collaborative filtering (He et al., 2017); a
    softmax over what was retrieved. The MLP must not learn what the base remembers: it learns from a second base that
    is fitted without a share of every history, on finding that share.
    """

    kind: ClassVar[str] = "reranked"
    has_vectors: ClassVar[bool] = False
    label: ClassVar[str] = "two stages"
    about: ClassVar[str] = "retrieved, then ranked again"
    meaning: ClassVar[str] = (
        "One model picks the best few hundred items for a person, a small neural network puts these in order."
    )
    Config: ClassVar[type] = RerankedConfig
    config: RerankedConfig
    _given: Ranker | None = None

    @classmethod
    def over(cls, base: Ranker, **settings: Any) -> Self:
        """Over a base that is fitted already; fit on the log that it was fitted on."""
        model = cls(base=base.kind, base_settings=base.settings(), **settings)
        model._given = base
        return model

    def memory_bytes(self, *, n_items: int, n_users: int, n_rows: int) -> int:
        """The base's, and what is retrieved to learn from and to choose by."""
        from recdistill.models.registry import MODELS

        base = MODELS[self.config.base](**self.config.base_settings)
        pool = 2 * 13 * min(self.config.depth, n_items) * min(n_users, MOST_USERS)
        return base.memory_bytes(n_items=n_items, n_users=n_users, n_rows=n_rows) + pool

    def stages(self, split: Split, held: HeldOut | None = None, *, k: int = 20) -> Stages:
        """What each of the two stages reaches on `held` (default: the test part), and what it costs."""
        from recdistill.evaluation.stages import stages

        return stages(self.scorer, split, held, k=k)

    def _fit(
        self, train: Interactions, valid: HeldOut | None, *, seed: int, device: str, progress: Progress | None
    ) -> RerankedScorer:
        base = self._base(train, valid, seed=seed, device=device, progress=progress)
        self.softmax_scores = base.softmax_scores  # type: ignore[misc]
        self.chosen = {"base_settings": base.settings()}
        plain = _unchanged(base.scorer, train, self.config)
        if not self.config.epochs and (self.config.epochs == 0 or valid is None):
            self.chosen["epochs"] = 0
            return plain
        try:
            asked = self._lesson(plain, train, seed=seed, device=device, progress=progress)
        except DataError:  # no history is long enough to hide a part of it
            asked = None
        if asked is None or not asked.wanted.any():
            return plain
        unit = 1.0 if self.softmax_scores else asked.spread()
        asked, plain = replace(asked, scorer=replace(asked.scorer, unit=unit)), replace(plain, unit=unit)
        network = self._learn(asked, plain, train, valid, seed=seed, progress=progress)
        return plain if network is None else replace(plain, network=network)

    def _base(
        self, train: Interactions, valid: HeldOut | None, *, seed: int, device: str, progress: Progress | None
    ) -> Ranker:
        from recdistill.models.registry import MODELS

        if self._given is None:
            base = MODELS[self.config.base](**self.config.base_settings)
            return base.fit(train, valid, seed=seed, device=device, progress=progress)
        known = self._given.train_vocab
        if known.items != train.items or (self._given.scorer.table_rows("user_table") and known.users != train.users):
            raise ConfigError(
                "reranked: the base was fitted on other users or items than this log's. Fit on the log of the base."
            )
        return self._given

    def _lesson(
        self, plain: RerankedScorer, train: Interactions, *, seed: int, device: str, progress: Progress | None
    ) -> Asked:
        """What a base that has not seen a share of each history retrieves, and which of it was in that share."""
        from recdistill.data.parts import hold_out_part
        from recdistill.models.registry import MODELS
        from recdistill.models.reranked_training import Asked, turn_to

        kept, hidden = hold_out_part(train, self.config.hidden_share, seed)
        other = MODELS[self.config.base](**{**self.config.base_settings, **self.chosen["base_settings"]})
        other.fit(kept, seed=seed, device=device, progress=progress)
        asking = _unchanged(other.scorer, kept, self.config)
        same = asking.base.vectors and plain.base.vectors
        turn = turn_to(asking.base.item_vectors(), plain.base.item_vectors()) if same else None
        return Asked.of(asking, kept, hidden, turn=turn)

    def _learn(
        self,
        asked: Asked,
        plain: RerankedScorer,
        train: Interactions,
        valid: HeldOut | None,
        *,
        seed: int,
        progress: Progress | None,
    ) -> Perceptron | None:
        """The network of the best epoch on valid; None where the base alone is as good."""
        from recdistill.models.reranked_training import Asked, Learner
        from recdistill.training.progress import NullProgress

        settings = self.config
        learner = Learner(
            asked, hidden=settings.hidden, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay,
            batch_users=settings.batch_users, seed=seed,
        )  # fmt: skip
        if settings.epochs is None and valid is not None:
            return self._best(learner, Asked.of(plain, train, valid), progress)
        epochs = settings.epochs or 0
        with (progress or NullProgress()).task("ranking again", total=epochs) as bar:
            for _ in range(epochs):
                learner.epoch()
                bar.advance(1)
        return learner.network.export()

    def _best(self, learner: Learner, judge: Asked, progress: Progress | None) -> Perceptron | None:
        from recdistill.training.progress import NullProgress

        best, epochs, network = judge.ndcg(learner.network, CHOICE_K), 0, None
        with (progress or NullProgress()).task("ranking again", total=MOST_EPOCHS) as bar:
            for epoch in range(1, MOST_EPOCHS + 1):
                learner.epoch()
                reached = judge.ndcg(learner.network, CHOICE_K)
                bar.advance(1, valid_ndcg=reached)
                if reached > best:
                    best, epochs, network = reached, epoch, learner.network.export()
                if epoch - epochs >= PATIENCE:
                    break
        self.chosen["epochs"] = epochs
        return network


def _unchanged(base: Scorer, train: Interactions, config: RerankedConfig) -> RerankedScorer:
    """With a network of zeros of the shape to come."""
    from recdistill.models.reranked_training import item_facts

    facts = item_facts(base, log_counts(train))
    widths = (width(base, facts), *config.hidden, 1)
    shapes = list(zip(widths[1:], widths, strict=False))
    network = Perceptron.of(*((np.zeros(shape, np.float32), np.zeros(shape[0], np.float32)) for shape in shapes))
    return RerankedScorer(base=base, network=network, item_facts=facts, depth=min(config.depth, train.n_items))
