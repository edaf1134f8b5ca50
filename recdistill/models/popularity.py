"""Popularity: the same list for everyone, most used first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recdistill.models.base import Ranker
from recdistill.serving.scorers import BagScorer

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.training.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class PopularityConfig:
    """Nothing to set."""


class Popularity(Ranker):
    """score = log of an item's interactions, so that its softmax is the item's share of the log."""

    kind: ClassVar[str] = "popularity"
    has_vectors: ClassVar[bool] = False
    label: ClassVar[str] = "popularity"
    about: ClassVar[str] = "the same list for everyone"
    meaning: ClassVar[str] = "Recommends the same most-taken items to everyone: the floor that a model must clear."
    Config: ClassVar[type] = PopularityConfig
    softmax_scores: ClassVar[bool] = True
    config: PopularityConfig

    def _fit(
        self, train: Interactions, valid: HeldOut | None, *, seed: int, device: str, progress: Progress | None
    ) -> BagScorer:
        return BagScorer(item_bias=log_counts(train))


def log_counts(train: Interactions) -> np.ndarray:
    """(n_items,) float32: the log of each item's rows; an item without one stands below all others, at half a row."""
    counts = np.bincount(train.item_rows, minlength=train.n_items)
    return np.log(np.maximum(counts, 0.5)).astype(np.float32)
