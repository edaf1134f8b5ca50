"""An ensemble: rankers of several kinds answer as one, with weights that are chosen on valid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from recdistill.errors import ConfigError
from recdistill.models.base import Ranker
from recdistill.models.ensemble_weights import Weights, choose_weights
from recdistill.models.popularity import log_counts
from recdistill.registry import nearest
from recdistill.serving.ensemble import EnsembleScorer

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.serving.scorers import Scorer
    from recdistill.training.progress import Progress

FIRST_WEIGHT = 0.9
"""Of the first member where nothing can be chosen; the others share the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleConfig:
    members: tuple[str, ...] = ("two_tower", "ease")
    """Kinds of registered models, each once; the scores of the first give the scale."""
    member_settings: dict[str, Any] = field(default_factory=dict)
    """Of each kind its settings: {"two_tower": {"dim": 128}}."""
    by: Literal["score", "rank"] = "score"
    """Average standardised scores, or the logarithm of the places that members give."""
    weights: tuple[float, ...] | tuple[tuple[float, ...], ...] | None = None
    """One for each member, or a row of them for each group of history length; 0 leaves a member out. None: chosen on
    valid by NDCG@20, without valid .9 for the first member."""
    group_ends: tuple[int, ...] = ()
    """Of every group of history length but the last its longest history; goes with rows of weights."""
    by_history: bool | None = None
    """Whether weights are chosen for three groups of history length; None: where that gains more on valid than its
    standard error."""

    def __post_init__(self) -> None:
        from recdistill.models.registry import MODELS

        if not self.members or len(set(self.members)) < len(self.members):
            raise ConfigError(f"ensemble: members = {list(self.members)}: name each kind once, at least one")
        if "ensemble" in self.members:
            raise ConfigError("ensemble: members: an ensemble cannot be a member; name the kinds that it would hold")
        for kind in self.member_settings:
            if kind not in self.members:
                raise ConfigError(f"ensemble: member_settings: no member {kind!r}. {nearest(kind, self.members)}")
        for kind in self.members:
            given = self.member_settings.get(kind, {})
            if not isinstance(given, Mapping):
                raise ConfigError(f"ensemble: member_settings.{kind} = {given!r}: expected settings by name")
            try:
                MODELS[kind](**given)
            except ConfigError as error:
                raise ConfigError(f"ensemble: {error}") from None
        self._check_weights()

    def _check_weights(self) -> None:
        ends, rows = list(self.group_ends), self.rows_of_weights()
        if ends != sorted(set(ends)) or (ends and (ends[0] < 0 or rows is None)):
            raise ConfigError(
                f"ensemble: group_ends = {ends}: give rising lengths from 0, and a row of weights for each"
            )
        if rows is None:
            return
        if len(rows) != len(ends) + 1 or any(len(row) != len(self.members) for row in rows):
            want = f"{len(ends) + 1} rows of {len(self.members)}" if ends else f"{len(self.members)} numbers"
            raise ConfigError(f"ensemble: weights = {self.weights}: give {want}, one for each of {list(self.members)}")
        if any(not 0 <= weight < np.inf for row in rows for weight in row) or not all(sum(row) > 0 for row in rows):
            raise ConfigError(f"ensemble: weights = {self.weights}: give numbers from 0, not all of them 0")

    def rows_of_weights(self) -> tuple[tuple[float, ...], ...] | None:
        """One row for each group."""
        if not self.weights:
            return None
        flat = not isinstance(self.weights[0], tuple)
        return (self.weights,) if flat else self.weights  # type: ignore[return-value]


class Ensemble(Ranker):
    """Σ_members weight · standardised score, user by user, on the scale of the first member (see `EnsembleScorer`).

    Weights are chosen from the whole simplex, its corners included: an ensemble is never worse on valid than its best
    member, and may be that member alone. The settings that members chose are those of `member_settings` afterwards.
    """

    kind: ClassVar[str] = "ensemble"
    has_vectors: ClassVar[bool] = False
    label: ClassVar[str] = "ensemble"
    about: ClassVar[str] = "several models, one ranking"
    meaning: ClassVar[str] = "Several models whose scores are weighed together; the weights are chosen on valid."
    Config: ClassVar[type] = EnsembleConfig
    config: EnsembleConfig

    def memory_bytes(self, *, n_items: int, n_users: int, n_rows: int) -> int:
        from recdistill.models.registry import MODELS

        settings, counts = self.config.member_settings, {"n_items": n_items, "n_users": n_users, "n_rows": n_rows}
        return sum(MODELS[kind](**settings.get(kind, {})).memory_bytes(**counts) for kind in self.config.members)

    def _fit(
        self, train: Interactions, valid: HeldOut | None, *, seed: int, device: str, progress: Progress | None
    ) -> EnsembleScorer:
        from recdistill.models.registry import MODELS

        given = self._given()
        settings = {kind: dict(of) for kind, of in self.config.member_settings.items()}
        members = []
        for place, kind in enumerate(self.config.members):
            if given is None or given.rows[:, place].any():
                member = MODELS[kind](**settings.get(kind, {}))
                members.append(member.fit(train, valid, seed=seed, device=device, progress=progress))
        self.chosen = {"member_settings": settings | {member.kind: member.settings() for member in members}}
        whole = EnsembleScorer(
            members=tuple(_without_popularity(member.scorer) for member in members),
            weights=np.ones((1, len(members)), np.float32), by=self.config.by, popularity=log_counts(train),
        )  # fmt: skip
        if given is None:
            weights = self._choose(whole, train, valid, progress)
        else:
            weights = Weights(given.rows[:, given.rows.any(axis=0)], given.group_ends)
        kept = np.flatnonzero(weights.rows.any(axis=0))
        self.softmax_scores = members[kept[0]].softmax_scores  # type: ignore[misc]
        return replace(
            whole, members=tuple(whole.members[n] for n in kept), weights=weights.rows[:, kept].astype(np.float32),
            group_ends=weights.group_ends,
        )  # fmt: skip

    def _given(self) -> Weights | None:
        rows = self.config.rows_of_weights()
        return None if rows is None else Weights(np.array(rows), self.config.group_ends)

    def _choose(
        self, whole: EnsembleScorer, train: Interactions, valid: HeldOut | None, progress: Progress | None
    ) -> Weights:
        if valid is None:
            others = len(whole.members) - 1
            rest = [round((1 - FIRST_WEIGHT) / others, 6)] * others if others else []
            found = Weights(np.array([[FIRST_WEIGHT, *rest]]), ())
        else:
            found = choose_weights(whole, train, valid, by_history=self.config.by_history, progress=progress)
        plain: list[Any] = found.rows.tolist()
        self.chosen["weights"] = plain if found.group_ends else plain[0]
        self.chosen |= {"group_ends": list(found.group_ends)} if found.group_ends else {}
        return found


def _without_popularity(scorer: Scorer) -> Scorer:
    """The ensemble has one for all members."""
    return scorer if scorer.popularity is None else replace(scorer, popularity=None)  # type: ignore[call-arg]
