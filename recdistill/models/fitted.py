"""A model that was fitted before: read from an artifact, or made from another by changing what answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from recdistill.errors import ConfigError
from recdistill.models.base import KnownBeside, Ranker, TrainVocab

if TYPE_CHECKING:
    import numpy as np

    from recdistill.serving.scorers import Scorer


@dataclass(frozen=True)
class NoConfig:
    """A fitted model has nothing left to set."""


class FittedRanker(Ranker):
    """Answers, is measured, compressed, saved, and asked for knowledge; it cannot be fitted again."""

    kind = "fitted"
    Config = NoConfig

    def __init__(
        self,
        scorer: Scorer,
        vocab: TrainVocab,
        *,
        kind: str,
        settings: dict[str, Any],
        trained_on: dict[str, Any],
        softmax_scores: bool,
        known_beside: KnownBeside | None = None,
    ) -> None:
        super().__init__()
        self.kind = kind  # type: ignore[misc]
        self.softmax_scores = softmax_scores  # type: ignore[misc]
        self._settings = settings
        self._scorer, self._train_vocab, self._trained_on = scorer, vocab, trained_on
        self._known_beside = known_beside or KnownBeside()

    @classmethod
    def load(cls, folder: str | Path) -> FittedRanker:
        """From an artifact; raises ArtifactError where it is not one, or has changed."""
        from recdistill import artifact
        from recdistill.data.vocab import Vocab
        from recdistill.models.registry import MODELS

        found = artifact.load(Path(folder))
        kind = found.config["kind"]
        return cls(
            found.scorer,
            TrainVocab(found.users if found.users is not None else Vocab([]), found.items),
            kind=kind,
            settings=found.config["settings"],
            trained_on=found.config["trained_on"],
            softmax_scores=kind in MODELS and MODELS[kind].softmax_scores,
            known_beside=KnownBeside(found.titles, found.config.get("features"), found.item_map),
        )

    @classmethod
    def of(cls, ranker: Ranker, scorer: Scorer, *, kind: str) -> FittedRanker:
        """`ranker` with another scorer, under another kind: what compression and cutting return.

        Of another kind are other vectors, which no map of the ranker's leads to.
        """
        beside = ranker._known_beside if kind == ranker.kind else ranker._known_beside._replace(item_map=None)
        return cls(
            scorer, ranker.train_vocab, kind=kind, settings=ranker.settings(), trained_on=ranker._trained_on,
            softmax_scores=ranker.softmax_scores, known_beside=beside,
        )  # fmt: skip

    def turned(self, turn: np.ndarray) -> Self:
        """With what goes along turned as its vectors were: the map that leads to vectors of new items. The first
        numbers of a turned vector are no model of their own."""
        self._settings = {name: value for name, value in self._settings.items() if name != "nested"}
        beside = self._known_beside
        if beside.item_map is not None:
            self._known_beside = beside._replace(item_map=beside.item_map.turned(turn))
        return self

    def settings(self) -> dict[str, Any]:
        return dict(self._settings)

    def fit(self, *args: Any, **kwargs: Any) -> Self:
        raise ConfigError(f"{self.kind}: this model was fitted before; make a new one to fit")

    def _fit(self, *args: Any, **kwargs: Any) -> Scorer:
        raise NotImplementedError
