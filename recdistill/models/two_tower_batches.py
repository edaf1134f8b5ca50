"""The batches that a plan of the two-tower model is trained by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from recdistill.candidates.mixed import MixedNegatives
from recdistill.errors import ConfigError
from recdistill.models.towers import HISTORY_POWER
from recdistill.models.two_tower_rules import TwoTowerPlan
from recdistill.training.batches import UserBatches
from recdistill.training.ordered_batches import OrderedBatches

if TYPE_CHECKING:
    from recdistill.data.interactions import Interactions
    from recdistill.distillation.student import Batches


def training_batches(
    plan: TwoTowerPlan, log: Interactions, *, whole: bool, seed: int, device: torch.device
) -> UserBatches:
    """Of users with all that they used; where order counts, at a moment, and, if asked for, `whole` as well.

    Raises ConfigError where order is to count and the log tells none.
    """
    negatives = None
    if plan.negatives is not None:
        draw = np.random.default_rng([seed, 3])
        negatives = MixedNegatives(log.csr(), batch_users=plan.batch_users, sample=plan.negatives, generator=draw)
    return _batches(
        plan, log, whole=whole, batch_users=plan.batch_users, history_dropout=plan.history_dropout,
        generator=np.random.default_rng([seed, 1]), device=device, negatives=negatives,
    )  # fmt: skip


def batches_of_any(plan: TwoTowerPlan, log: Interactions, device: torch.device) -> Batches:
    """The batch of any user rows, whole, scored against all items."""
    unused = np.random.default_rng(0)  # nothing is drawn where nothing is hidden
    found = _batches(plan, log, whole=True, batch_users=1, history_dropout=0.0, generator=unused, device=device)
    return found.of


def _batches(plan: TwoTowerPlan, log: Interactions, *, whole: bool, **more: Any) -> UserBatches:
    if not plan.order:
        return UserBatches(log.csr(), history_power=HISTORY_POWER, **more)
    places = log.places()
    if places is None:
        raise ConfigError(
            "two_tower: order = true, and the log has no times. Name their column (--columns timestamp=…), or leave "
            "order out."
        )
    if places.max() == 0:
        raise ConfigError("two_tower: order = true, and nobody has used two items. Leave order out.")
    return OrderedBatches(log.csr(), places, whole=whole, history_power=HISTORY_POWER, **more)
