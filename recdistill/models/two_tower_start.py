"""What the two towers are before the first step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from recdistill.compression.rotation import rotation
from recdistill.errors import ConfigError
from recdistill.models.two_tower_features import FeatureRows, Sides
from recdistill.models.two_tower_rules import TwoTowerPlan
from recdistill.training.start import at_random, from_log, from_teacher

if TYPE_CHECKING:
    from recdistill.data.interactions import Interactions
    from recdistill.knowledge.store import Knowledge
    from recdistill.models.towers import Towers


def start_towers(
    plan: TwoTowerPlan,
    log: Interactions,
    knowledge: Knowledge | None,
    seed: int,
    sides: Sides,
    make: Callable[..., Towers],
) -> Towers:
    """Users and items from the log's singular vectors; a student's items from its teacher's, where it has vectors;
    or from what the plan names.

    Where they are trained through codes, turned at random: every dimension then carries the same energy.
    """
    generator = np.random.default_rng(seed)
    told = knowledge is not None and "all_scores" in knowledge.gives and not plan.user_id
    if plan.start == "teacher" and not told:
        raise ConfigError(
            "two_tower: start = 'teacher' needs a teacher that tells all its scores or has vectors, and a student "
            "without user ids. Leave start out."
        )
    if plan.start == "random":
        start = at_random(log.n_users, log.n_items, plan.dim, generator)
        items, users = start.items, start.users if plan.user_id else None
    elif knowledge is not None and told and plan.start != "log":
        items, users = from_teacher(knowledge, plan.dim, generator), None
    else:
        start = from_log(log.csr(), plan.dim, generator)
        items, users = start.items, start.users if plan.user_id else None
    more: dict[str, Any] = {}
    if plan.codec is not None:
        items = items @ _turn(plan, generator).astype(np.float32)
        counts = np.bincount(log.item_rows, minlength=log.n_items)
        more = {"codec": plan.codec, "learned_step": plan.learned_step, "counts": torch.from_numpy(counts)}
    if plan.pruned:
        more["pruned"] = (plan.pruned_by, plan.pruned)
    return make(
        torch.from_numpy(items), None if users is None else torch.from_numpy(users), tied=plan.tied, tau=plan.tau,
        item_side=None if sides.items is None else FeatureRows(sides.items.matrix, items),
        user_side=None if sides.users is None or users is None else FeatureRows(sides.users.matrix, users, bias=False),
        ordered=plan.order, **more,
    )  # fmt: skip


def _turn(plan: TwoTowerPlan, generator: np.random.Generator) -> np.ndarray:
    """(d, d): a random rotation; where dimensions are pruned, of those that carry most and of the others apart."""
    if not plan.pruned or plan.pruned_by != "dimensions":
        return rotation(plan.dim, generator)
    kept = max(1, round((1.0 - plan.pruned) * plan.dim))
    turn = np.zeros((plan.dim, plan.dim))
    turn[:kept, :kept], turn[kept:, kept:] = rotation(kept, generator), rotation(plan.dim - kept, generator)
    return turn
