"""Settings of the self-attentive model by rule from counts of the log."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recdistill.models.two_tower_rules import NEGATIVES, either, ramp

if TYPE_CHECKING:
    from recdistill.data.interactions import Interactions
    from recdistill.models.self_attention import SelfAttentionConfig

SAMPLED_FROM = 50_000
"""Items from which a batch, which holds every moment of its users, is scored against a sample of them, not all."""
MOST = 200
"""Items of a history that are looked at."""
SHARE = 0.9
"""Of the histories that are looked at whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfAttentionPlan:
    """Every setting of one training, resolved."""

    dim: int
    layers: int
    heads: int
    length: int
    dropout: float
    tied: bool
    tau: float
    epochs: int
    learning_rate: float
    batch_users: int
    negatives: int | None = None
    """Items drawn for each batch beside those that its users have used; none: all items."""


def plan(config: SelfAttentionConfig, train: Interactions) -> SelfAttentionPlan:
    """The rule for whatever is not set.

    Drawn from what is usual for such models, and from what the two-tower's tables need; not yet moved one by one.
    """
    lengths = np.bincount(train.user_rows, minlength=train.n_users)
    density = train.n_rows / (train.n_users * train.n_items)
    steps = math.ceil(train.n_users / config.batch_users)
    return SelfAttentionPlan(
        dim=config.dim,
        layers=config.layers,
        heads=config.heads,
        length=config.length or default_length(lengths),
        dropout=either(config.dropout, 0.4 - 0.2 * ramp(float(lengths.mean()), 20, 100)),
        tied=config.table != "full",
        tau=either(config.tau, 0.12 + 0.03 * ramp(density, 0.0005, 0.004)),
        epochs=config.epochs or max(8, min(30, round(225 / math.sqrt(steps)))),
        learning_rate=either(config.learning_rate, 2e-3),
        batch_users=config.batch_users,
        negatives=_negatives(config, train.n_items),
    )


def _negatives(config: SelfAttentionConfig, n_items: int) -> int | None:
    asked = config.negatives
    if asked is None:
        asked = NEGATIVES if n_items >= SAMPLED_FROM else 0
    return None if asked == 0 or asked >= n_items else asked


def default_length(lengths: np.ndarray) -> int:
    """50, or where histories are longer what holds nine of ten, at most 200."""
    return int(min(MOST, max(50, math.ceil(float(np.quantile(lengths, SHARE))))))
