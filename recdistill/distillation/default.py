"""What a student learns by where nobody says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from recdistill.models.two_tower import TwoTower
from recdistill.models.two_tower_rules import SAMPLED_FROM

if TYPE_CHECKING:
    from recdistill.distillation.methods import Methods
    from recdistill.knowledge.store import Knowledge
    from recdistill.models.two_tower import TwoTowerConfig

SOFT_LABELS = "soft_labels"
"""In the place of a method: soft labels over all items, in one pass with the labels."""
TOGETHER = ("rrd", "margin_mse")
"""The order of the teacher's best items above others, and the differences of its scores. NDCG@20 on valid with half of
the weight on labels, beside soft labels alone: ml-1m, taught by an ensemble, d = 32 .2700 (.2693; each alone .2691 and
.2701); lastfm, two seeds, d = 32 .1630, .1622 (.1602, .1612; rrd alone .1638, .1625, margin_mse alone .1603, .1598)."""


IN_LARGE = ("rce_kd",)
"""Of a large catalogue: soft labels on the teacher's best items and on the student's own best ones."""
LARGE_FIRST = {"history_dropout": 0.1, "label_share": 0.1, "learning_rate": 1e-2}
"""What such a student tries first."""
LARGE_FROM = 10_000
"""Items from which the others that are drawn for a list are rarely those that the student ranks too high, so that
these are looked for; set between logs of 4,489 and 24,915 items, not measured between them. NDCG@20 on valid, d = 32,
one seed, taught by a two-tower: 15,000 users of amazon-book .0985 (`TOGETHER` .0938; rrd beside rce_kd .0974),
citeulike-t .1266 (.1250; .1268). With half of the weight on labels .0962 and .1263; with .1 and more hidden (.3) .0978
and .1253."""
DEFAULT_NEEDS = frozenset({"top_k", "scores", "all_scores"})
"""What a knowledge must give for either of them; where it does not, soft labels teach."""


def names(n_items: int) -> tuple[str, ...]:
    """What the default is of, by the size of the catalogue."""
    return IN_LARGE if n_items >= LARGE_FROM else TOGETHER


def together(n_items: int) -> Methods:
    from recdistill.distillation.methods import read_methods  # with torch, which a refused run does without

    methods = read_methods(names(n_items))
    return replace(methods, first=LARGE_FIRST) if n_items >= LARGE_FROM else methods


def beyond_small(n_items: int) -> dict[str, Any]:
    """What of it enters the key of a training: nothing for a small catalogue, whose default was there first."""
    return {"default": [*IN_LARGE, LARGE_FIRST]} if n_items >= LARGE_FROM else {}


def default_methods(student: object, knowledge: Knowledge) -> Methods | None:
    """`together`, or nothing, which is soft labels: where the teacher gives lists without scores of the others, and
    for what `learns_together` leaves out.
    """
    if type(student) is not TwoTower or not knowledge.gives >= DEFAULT_NEEDS:
        return None
    return together(knowledge.n_items) if learns_together(student.config, knowledge.n_items) else None


def learns_together(config: TwoTowerConfig, n_items: int) -> bool:
    """Not where a setting of soft labels is given, and what was measured with them: order, and sampled items."""
    of_soft_labels = config.unseen_only is not None or config.temperature != TwoTower().config.temperature
    sampled = config.negatives or (config.negatives is None and n_items >= SAMPLED_FROM)
    return not (of_soft_labels or config.order or sampled)
