"""An ensemble of models that are fitted already, its weights chosen on valid as `rd.Ensemble` chooses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recdistill.models.base import TrainVocab, known_beside
from recdistill.models.ensemble import Ensemble
from recdistill.models.ensemble_weights import choose_weights
from recdistill.models.fitted import FittedRanker
from recdistill.models.popularity import log_counts
from recdistill.serving.ensemble import EnsembleScorer

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.training.progress import Progress


def chosen_blend(
    fitted: Mapping[str, FittedRanker], train: Interactions, valid: HeldOut, *, progress: Progress
) -> dict[str, Any]:
    """`members`, `weights` (groups, members) and `group_ends`; members of no weight are left out."""
    whole = _ensemble(fitted, np.ones((1, len(fitted)), np.float32), (), train)
    found = choose_weights(whole, train, valid, by_history=None, progress=progress)
    kept = np.flatnonzero(found.rows.any(axis=0))
    names = list(fitted)
    return {
        "members": [names[place] for place in kept],
        "weights": np.round(found.rows[:, kept], 6).tolist(),
        "group_ends": list(found.group_ends),
    }


def blended(fitted: Mapping[str, FittedRanker], blend: Mapping[str, Any], train: Interactions) -> FittedRanker:
    """The ensemble of those that have a weight."""
    members = {kind: fitted[kind] for kind in blend["members"]}
    first = next(iter(members.values()))
    scorer = _ensemble(members, np.array(blend["weights"], np.float32), tuple(blend["group_ends"]), train)
    return FittedRanker(
        scorer, TrainVocab(train.users, train.items), kind=Ensemble.kind, settings=dict(blend),
        trained_on=first._trained_on, softmax_scores=first.softmax_scores, known_beside=known_beside(train),
    )  # fmt: skip


def _ensemble(
    members: Mapping[str, FittedRanker], weights: np.ndarray, group_ends: tuple[int, ...], train: Interactions
) -> EnsembleScorer:
    """It answers whoever is unknown to all with what is popular."""
    scorers: list[Any] = [member.scorer for member in members.values()]
    plain = tuple(one if one.popularity is None else replace(one, popularity=None) for one in scorers)
    return EnsembleScorer(members=plain, weights=weights, group_ends=group_ends, popularity=log_counts(train))
