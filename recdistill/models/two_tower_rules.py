"""Settings of the two-tower model by rule from counts of the log, and the candidates that valid chooses between."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recdistill.data.interactions import Interactions
    from recdistill.models.two_tower import TwoTowerConfig


@dataclass(frozen=True, slots=True)
class LogFacts:
    """All that a rule may look at."""

    users: int
    items: int
    rows: int

    @classmethod
    def of(cls, train: Interactions) -> LogFacts:
        return cls(train.n_users, train.n_items, train.n_rows)

    @property
    def density(self) -> float:
        return self.rows / (self.users * self.items)

    @property
    def mean_history(self) -> float:
        return self.rows / self.users


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoTowerPlan:
    """Every setting of one training, resolved."""

    dim: int
    user_id: bool
    tied: bool
    tau: float
    user_weight: float
    history_dropout: float
    label_share: float
    temperature: float
    epochs: int
    learning_rate: float
    batch_users: int


def plan(config: TwoTowerConfig, facts: LogFacts, *, distilled: bool) -> TwoTowerPlan:
    """The rule for whatever is not set."""
    steps = math.ceil(facts.users / config.batch_users)
    epochs = config.epochs or _epochs(steps, facts, compact=not config.user_id)

    def given(value: Any, rule: Any) -> Any:
        return rule if value is None else value

    return TwoTowerPlan(
        dim=config.dim,
        user_id=config.user_id,
        tied=config.table != "full",
        tau=given(config.tau, 0.15 if facts.density >= 0.002 else 0.12),
        user_weight=given(config.user_weight, 0.5 if facts.mean_history >= 50 else 0.0),
        history_dropout=given(config.history_dropout, 0.0),
        label_share=given(config.label_share, 0.3) if distilled else 1.0,
        temperature=config.temperature,
        epochs=max(1, round(epochs * config.epochs_share)),
        learning_rate=given(config.learning_rate, 5e-3),
        batch_users=config.batch_users,
    )


def _epochs(steps: int, facts: LogFacts, *, compact: bool) -> int:
    epochs = min(30, max(15, math.ceil(1500 / steps)))
    return max(epochs, math.ceil(240 / steps))


def candidates(config: TwoTowerConfig, facts: LogFacts, *, distilled: bool) -> list[dict[str, Any]]:
    """Settings to choose between on valid; the same for a student that is distilled and one that is alone."""
    return [{}]
