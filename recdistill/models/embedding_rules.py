"""Settings of models with a vector for every user and every item, by rule from counts of the log."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recdistill.errors import ConfigError
from recdistill.models.two_tower_rules import LogFacts, either, ramp

if TYPE_CHECKING:
    from recdistill.data.interactions import Interactions

FEWEST_STEPS, FEWEST_OF_GRAPHS = 60, 240
"""Longer training ranks the known a little better, and strangers, whom a linear map places, much worse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingPlan:
    """Every setting of one training, resolved."""

    dim: int
    loss: str
    layers: int = 0
    """Of propagation over the graph; 0 for matrix factorisation."""
    tau: float
    tau_positive: float
    user_weight: float
    regularization: float
    epochs: int
    learning_rate: float
    batch_users: int


def plan(config: Any, train: Interactions, *, layers: int = 0) -> EmbeddingPlan:
    """The rule for whatever is not set."""
    facts = LogFacts.of(train)
    sparse = 1.0 - ramp(facts.density, 0.0005, 0.004)
    tau = either(config.tau, 0.15 - 0.03 * sparse)
    return EmbeddingPlan(
        dim=config.dim,
        loss=config.loss,
        layers=layers,
        tau=tau,
        tau_positive=either(getattr(config, "tau_positive", None), 8 * tau),
        user_weight=either(config.user_weight, 0.5 * ramp(facts.mean_history, 20, 60)),
        regularization=either(config.regularization, 1e-2),
        epochs=config.epochs or _epochs(facts, config.batch_users, FEWEST_OF_GRAPHS if layers else FEWEST_STEPS),
        learning_rate=either(config.learning_rate, 3e-2 if layers else 1e-2),
        batch_users=config.batch_users,
    )


def _epochs(facts: LogFacts, batch_users: int, fewest_steps: int) -> int:
    """Fewer over more users, since each epoch has more steps."""
    steps = math.ceil(facts.users / batch_users)
    return max(round(min(20.0, max(12.0, 155.0 / math.sqrt(steps)))), math.ceil(fewest_steps / steps))


def check(
    kind: str,
    *,
    at_least_one: Mapping[str, int | None],
    above_zero: Mapping[str, float | None],
    shares: Mapping[str, float | None],
    not_negative: Mapping[str, float | None],
) -> None:
    """Raises ConfigError, naming the setting, where one that is given lies outside its range."""
    for name, count in at_least_one.items():
        if count is not None and count < 1:
            raise ConfigError(f"{kind}: {name} = {count}: give at least 1.")
    for name, value in above_zero.items():
        if value is not None and not 0 < value < math.inf:
            raise ConfigError(f"{kind}: {name} = {value}: give a number above 0.")
    for name, value in shares.items():
        if value is not None and not 0 <= value <= 1:
            raise ConfigError(f"{kind}: {name} = {value}: give a number from 0 to 1.")
    for name, value in not_negative.items():
        if value is not None and not 0 <= value < math.inf:
            raise ConfigError(f"{kind}: {name} = {value}: give 0 or a number above it.")
