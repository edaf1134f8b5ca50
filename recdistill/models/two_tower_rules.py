"""Settings of the two-tower model by rule from counts of the log, and the candidates that valid chooses between."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.distillation.methods import Methods
    from recdistill.models.two_tower import TwoTowerConfig


@dataclass(frozen=True, slots=True)
class LogFacts:
    """All that a rule may look at."""

    users: int
    items: int
    rows: int
    asks_next: bool = False
    """Whether valid rows came after train rows."""

    @classmethod
    def of(cls, train: Interactions, valid: HeldOut | None = None) -> LogFacts:
        return cls(train.n_users, train.n_items, train.n_rows, came_later(valid, train))

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
    unseen_only: bool | None
    epochs: int
    learning_rate: float
    batch_users: int
    feature_dropout: float = 0.0
    negatives: int | None = None
    """Items drawn for each batch beside those that its users have used; none: all items."""
    order: bool = False
    """Whether the places of a history's items count."""
    codec: str | None = None
    """That the tables are trained through; none: floats."""
    learned_step: bool = False
    """Whether the codec's steps are learned, too."""
    start: str | None = None
    """What the tables start from; none: the teacher of a student, else the log."""
    pruned: float = 0.0
    """Share of the table that is gone when it is trained."""
    pruned_by: str = "values"
    nested: tuple[int, ...] = ()
    """Smaller sizes that are trained along."""


def plan(config: TwoTowerConfig, facts: LogFacts, *, distilled: bool) -> TwoTowerPlan:
    """The rule for whatever is not set; `benchmarks/two_tower_rules.py` moves one setting at a time."""
    order = bool(config.order)
    epochs = config.epochs or _epochs(facts, config, order)
    compact = not config.user_id
    tied = not order and (facts.mean_history < FULL_FROM or config.codec is not None if compact else True)
    return TwoTowerPlan(
        dim=config.dim,
        user_id=config.user_id and not order,
        tied=(tied or config.pruned is not None) if config.table == "auto" else config.table == "tied",
        tau=either(config.tau, 0.12 + 0.03 * ramp(facts.density, 0.0005, 0.004)),
        user_weight=either(config.user_weight, 0.5 * ramp(facts.mean_history, *LONG)),
        history_dropout=either(config.history_dropout, 0.0),
        label_share=either(config.label_share, 0.1) if distilled else 1.0,
        temperature=config.temperature,
        unseen_only=config.unseen_only,
        epochs=max(1, round(epochs * config.epochs_share)),
        learning_rate=either(config.learning_rate, 1e-2 if compact else 5e-3),
        batch_users=config.batch_users,
        feature_dropout=either(config.feature_dropout, FEATURE_DROPOUT),
        negatives=_negatives(config, facts),
        order=order,
        codec=config.codec,
        learned_step=config.codec_step == "learned",
        start=config.start,
        pruned=config.pruned or 0.0,
        pruned_by=config.pruned_by or "values",
        nested=config.nested or (),
    )


def leaves_out_used(plan: TwoTowerPlan, *, whole: bool) -> bool:
    """Whether soft labels are about unused items alone; `whole`: the teacher tells all its scores or has vectors."""
    return not whole or plan.dim >= UNSEEN_FROM if plan.unseen_only is None else plan.unseen_only


SAMPLED_FROM = 100_000
"""Items from which a batch is scored against a sample of them, not all."""
NEGATIVES = 8192


def _negatives(config: TwoTowerConfig, facts: LogFacts) -> int | None:
    """All items where they are few, or where their features make them: a sample teaches rows, not what rows share."""
    asked = config.negatives
    if asked is None:
        asked = NEGATIVES if facts.items >= SAMPLED_FROM and not config.item_features else 0
    return None if asked == 0 or asked >= facts.items else asked


UNSEEN_FROM = 24
"""Numbers an item from which soft labels leave out what a user has used: NDCG@20 on valid of ml-1m with them, without:
d = 16 .2544, .2531; d = 32 .2673, .2682; d = 64 .2703, .2705; of lastfm, d = 32 .1599, .1608."""
FEATURE_DROPOUT = 0.3
"""By valid rows of ml-1m: with .1 fewer new items are found, with .5 and more the others are ranked worse."""
FULL_FROM = 16.0
"""Mean history from which a compact model has two tables; drawn between two logs, not measured below it."""
FEWEST_STEPS = 240


MOST_MOMENTS = 200


def _epochs(facts: LogFacts, config: TwoTowerConfig, order: bool) -> int:
    """Fewer over more users, since each epoch has more steps; a compact model needs a third more. Where order counts an
    epoch shows one moment of a history: as many epochs as histories have moments (MovieLens-1M, the last item left
    out: NDCG@20 on valid .149 after 45 epochs, .177 after 150)."""
    steps = math.ceil(facts.users / config.batch_users)
    epochs = min(60.0, max(15.0, 155.0 / math.sqrt(steps))) * (1.0 if config.user_id else 4 / 3)
    moments = min(MOST_MOMENTS, facts.mean_history) if order else 0.0
    return max(round(epochs), round(moments), math.ceil(FEWEST_STEPS / steps))


def ramp(value: float, low: float, high: float) -> float:
    """0 below `low`, 1 above `high`, straight in the logarithm between."""
    return min(1.0, max(0.0, math.log(value / low) / math.log(high / low)))


def either(given: float | None, rule: float) -> float:
    return rule if given is None else given


CANDIDATES: tuple[dict[str, float], ...] = (
    {"history_dropout": 0.5, "label_share": 0.7, "learning_rate": 1e-2},
    {"history_dropout": 0.3, "label_share": 0.0, "learning_rate": 1e-2},
    {"history_dropout": 0.5, "label_share": 0.0, "learning_rate": 5e-3},
    {"history_dropout": 0.2, "label_share": 0.3, "learning_rate": 1e-2},
)
"""What valid chooses between beside the first (see `_first`), which is taken where there is no valid part.

The more a teacher knows, the less regularisation its student wants and the less the labels add. A student alone has no
use for the label share; dropout and learning rate give it as many different candidates as the distilled one has.
"""


LONG = (20.0, 60.0)
"""Mean histories between which the first candidate leaves more to labels and to chance."""


def _first(config: TwoTowerConfig, facts: LogFacts) -> dict[str, float]:
    """Long histories say as much as a teacher does, and more so where little of the teacher fits into the student.

    NDCG@20 on valid with (label share, history dropout). ml-1m, d = 16: (.1, .1) .2535, (.2, .2) .2547, (.3, .2)
    .2553; d = 32: .2683, .2693, .2684; d = 64: .2716, –, .2713. lastfm, d = 32: .1607, .1576, .1575.
    """
    long = ramp(facts.mean_history, *LONG)
    share = 0.2 if config.dim < UNSEEN_FROM else 0.1
    dropout, label_share = round(0.1 + 0.1 * long, 3), round(0.1 + share * long, 3)
    return {"history_dropout": dropout, "label_share": label_share, "learning_rate": 1e-2}


METHOD_CANDIDATES: tuple[dict[str, float], ...] = (
    {"history_dropout": 0.1, "label_share": 0.5, "learning_rate": 1e-2},
    {"history_dropout": 0.3, "label_share": 0.5, "learning_rate": 1e-2},
    {"history_dropout": 0.3, "label_share": 0.1, "learning_rate": 1e-2},
    {"history_dropout": 0.5, "label_share": 0.9, "learning_rate": 1e-2},
    {"history_dropout": 0.3, "label_share": 0.8, "learning_rate": 5e-3},
)
"""The same for a student that is taught by methods, which count what is not the labels'; half without a valid part."""


NESTED_NEEDS = frozenset({"top_k", "scores", "all_scores"})
"""What a method may need for a student of several sizes to learn by it: others look at vectors of one width."""


def method_candidates(config: TwoTowerConfig, methods: Methods) -> list[dict[str, Any]]:
    """Settings to choose between on valid; a share of labels that is given is not chosen."""
    fixed = {} if methods.label_share is None else {"label_share": methods.label_share}
    if config.user_id:
        return [{"label_share": either(config.label_share, 0.5), **fixed}]
    named = METHOD_CANDIDATES if methods.first is None else (methods.first, *METHOD_CANDIDATES[:-1])  # as many
    unset = [{k: v for k, v in choice.items() if getattr(config, k) is None} | fixed for choice in named]
    return [choice for place, choice in enumerate(unset) if choice not in unset[:place]]


ORDER_FROM = 2.0
"""Mean history below which there is little order to learn from."""


def came_later(valid: HeldOut | None, train: Interactions) -> bool:
    """Whether the valid rows of most people came after their train rows; else nobody asks what comes next."""
    if valid is None or valid.relevant_times is None or train.times is None:
        return False
    last = np.full(train.n_users, -np.inf)
    np.maximum.at(last, train.user_rows, train.times)
    first = np.full(len(valid), np.inf)
    np.minimum.at(first, np.repeat(np.arange(len(valid)), np.diff(valid.relevant.indptr)), valid.relevant_times)
    known = (valid.user_rows >= 0) & np.isfinite(first)
    return bool(known.any()) and float(np.mean(first[known] >= last[valid.user_rows[known]])) > 0.5


def candidates(config: TwoTowerConfig, facts: LogFacts) -> list[dict[str, Any]]:
    """Settings to choose between on valid; the same for a student that is distilled and one that is alone."""
    if config.user_id:
        both = config.order is None and facts.asks_next and facts.mean_history >= ORDER_FROM
        return [{"order": False}, {"order": True}] if both else [{}]
    named = (_first(config, facts), *CANDIDATES)
    unset = [{k: v for k, v in choice.items() if getattr(config, k) is None} for choice in named]
    return [choice for place, choice in enumerate(unset) if choice not in unset[:place]]
