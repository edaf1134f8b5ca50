"""What a student could have been taught differently: each changes one thing, so that what it gains names a cause."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from recdistill.models.two_tower import TwoTower
from recdistill.models.two_tower_rules import LogFacts, TwoTowerPlan, candidates, method_candidates
from recdistill.models.two_tower_rules import plan as resolve
from recdistill.registry import Registry
from recdistill.runs.plan import two_tower_seconds

if TYPE_CHECKING:
    from recdistill.distillation.methods import Methods
    from recdistill.knowledge.store import Knowledge

Cause = Literal["capacity", "knowledge", "optimisation", "quantisation", "chance"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Teaching:
    """One training of the student, whole."""

    settings: Mapping[str, Any]
    """Of the two-tower, with nothing left to choose."""
    methods: Methods | None = None
    seed: int = 0
    lists_only: bool = False
    """The teacher's lists stand for all that it says."""
    people: float = 1.0
    """Share of the users that are learned from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The training that a counterfactual changes one thing of."""

    teaching: Teaching
    facts: LogFacts
    plan: TwoTowerPlan
    """The teaching's settings, resolved for the log."""
    gives: frozenset[str]
    """What the knowledge holds, as `Knowledge.gives`."""
    list_length: int
    teacher_dim: int

    @classmethod
    def of(cls, settings: Mapping[str, Any], methods: Methods | None, facts: LogFacts, known: Knowledge) -> Base:
        """As a run trains its student by these settings: what it left open is the first of the candidates."""
        config = TwoTower(**settings).config
        tried = candidates(config, facts) if methods is None else method_candidates(config, methods)
        whole = {**settings, **tried[0]}
        vectors = known.item_vectors
        return cls(
            teaching=Teaching(settings=whole, methods=methods), facts=facts,
            plan=resolve(TwoTower(**whole).config, facts, distilled=True), gives=known.gives,
            list_length=known.top_items.shape[1], teacher_dim=1 if vectors is None else vectors.shape[1],
        )  # fmt: skip

    def on(self, users: int) -> Base:
        """The same on so many of the users, with as many rows each."""
        share = users / max(self.facts.users, 1)
        facts = replace(self.facts, users=users, rows=max(1, round(self.facts.rows * share)))
        return replace(
            self, facts=facts, plan=resolve(TwoTower(**self.teaching.settings).config, facts, distilled=True)
        )

    def with_settings(self, **changes: Any) -> Teaching:
        return replace(self.teaching, settings={**self.teaching.settings, **changes})

    def seconds(self, teaching: Teaching) -> float:
        """What the table of costs says that a training takes."""
        users = max(1, round(teaching.people * self.facts.users))
        facts = replace(self.facts, users=users, rows=max(1, round(teaching.people * self.facts.rows)))
        plan = resolve(TwoTower(**teaching.settings).config, facts, distilled=True)
        by_lists = teaching.methods is not None
        return two_tower_seconds(facts, plan, teacher_dim=0 if by_lists else self.teacher_dim, by_lists=by_lists)


Change = Callable[[Base], tuple[Teaching, str] | None]
"""The changed training and what it is, in words; None where it says nothing of this student."""


@dataclass(frozen=True, slots=True)
class Counterfactual:
    cause: Cause
    change: Change = field(repr=False)


COUNTERFACTUALS: Registry[Counterfactual] = Registry("counterfactual")
"""In the order in which time is given to them."""


def wider(base: Base) -> tuple[Teaching, str]:
    """Twice the dimension, with fewer epochs where these take longer."""
    dim = 2 * base.plan.dim
    wide = base.with_settings(dim=dim, epochs=base.plan.epochs, epochs_share=1.0)
    epochs = max(1, math.floor(base.plan.epochs * min(1.0, base.seconds(base.teaching) / base.seconds(wide))))
    told = f"twice as wide (d = {dim}), as much time ({epochs} epochs for {base.plan.epochs})"
    return base.with_settings(dim=dim, epochs=epochs, epochs_share=1.0), told


def longer(base: Base) -> tuple[Teaching, str]:
    epochs = 2 * base.plan.epochs
    return base.with_settings(epochs=epochs, epochs_share=1.0), f"twice as long ({epochs} epochs)"


def other_knowledge(base: Base) -> tuple[Teaching, str] | None:
    """All that the teacher says in place of what methods take of it; its lists in place of all that it says."""
    if "all_scores" not in base.gives:
        return None
    if base.teaching.methods is not None:
        whole = replace(base.teaching, methods=None)
        return whole, f"the teacher's scores of all items, in place of {base.teaching.methods.names()}"
    if base.list_length >= base.facts.items:
        return None
    return replace(base.teaching, lists_only=True), f"the teacher's lists of {base.list_length}, in place of all scores"


def again(base: Base) -> tuple[Teaching, str]:
    """What chance alone moves."""
    return replace(base.teaching, seed=1), "the same again, from another seed"


def half_people(base: Base) -> tuple[Teaching, str]:
    return replace(base.teaching, people=0.5), "half of the people to learn from"


def gentler(base: Base) -> tuple[Teaching, str]:
    rate = base.plan.learning_rate / 2
    return base.with_settings(learning_rate=rate), f"half the learning rate ({rate:g})"


def more_labels(base: Base) -> tuple[Teaching, str] | None:
    """Half of what the teacher counts goes to the labels."""
    share = round((1 + base.plan.label_share) / 2, 3)
    return None if base.plan.label_share > 0.9 else _labels(base, share)


def teacher_alone(base: Base) -> tuple[Teaching, str] | None:
    return None if base.plan.label_share < 0.05 else _labels(base, 0.0)


def floats(base: Base) -> tuple[Teaching, str] | None:
    """Of a student that is trained through codes."""
    codec = base.teaching.settings.get("codec")
    if codec is None:
        return None
    return base.with_settings(codec=None, codec_step=None), f"trained in floats, in place of {codec}"


def _labels(base: Base, share: float) -> tuple[Teaching, str]:
    changed, methods = base.with_settings(label_share=share), base.teaching.methods
    if methods is not None:
        changed = replace(changed, methods=replace(methods, label_share=share))
    told = f"labels count {share:.0%}" if share else "labels count nothing"
    return changed, f"{told}, in place of {base.plan.label_share:.0%}"


COUNTERFACTUALS.register("wider", Counterfactual("capacity", wider))
COUNTERFACTUALS.register("floats", Counterfactual("quantisation", floats))
COUNTERFACTUALS.register("longer", Counterfactual("optimisation", longer))
COUNTERFACTUALS.register("again", Counterfactual("chance", again))
COUNTERFACTUALS.register("other_knowledge", Counterfactual("knowledge", other_knowledge))
COUNTERFACTUALS.register("half_people", Counterfactual("knowledge", half_people))
COUNTERFACTUALS.register("gentler", Counterfactual("optimisation", gentler))
COUNTERFACTUALS.register("more_labels", Counterfactual("knowledge", more_labels))
COUNTERFACTUALS.register("teacher_alone", Counterfactual("knowledge", teacher_alone))


@dataclass(frozen=True, slots=True)
class Wanted:
    name: str
    cause: Cause
    teaching: Teaching
    says: str


@dataclass(frozen=True, slots=True)
class Program:
    """Which trainings, on how many of the users."""

    base: Base
    wanted: tuple[Wanted, ...]
    seconds: float
    """Expected, by the table of costs."""
    notes: tuple[str, ...]

    @property
    def users(self) -> int:
        return self.base.facts.users


FEWEST_USERS = 2_000
"""Below which a sample's student says little of the log's; trainings are left out instead."""


def program(base: Base, *, minutes: float) -> Program:
    """What fits `minutes` by the table of costs: all trainings on all users, else on fewer, else fewer trainings.

    A sample needs a training more, of the student that it is compared with.
    """
    everyone = base.facts.users
    users, limit = everyone, 60 * minutes
    while True:
        here = base if users == everyone else base.on(users)
        wanted = _wanted(here)
        own = 0.0 if users == everyone else here.seconds(here.teaching)
        costs = [here.seconds(one.teaching) for one in wanted]
        if own + sum(costs) <= limit or users <= min(FEWEST_USERS, everyone):
            break
        users = max(min(FEWEST_USERS, everyone), round(0.8 * users))
    while costs and own + sum(costs) > limit:
        costs.pop()
    notes = []
    if users < everyone:
        notes.append(f"trained on a seeded {users:,} of {everyone:,} users, for --minutes {minutes:g}")
    if left := [one.name for one in wanted[len(costs) :]]:
        notes.append(f"left out, for --minutes {minutes:g}: {', '.join(left)}")
    if not costs:
        own = 0.0
    return Program(here, tuple(wanted[: len(costs)]), own + sum(costs), tuple(notes))


def _wanted(base: Base) -> list[Wanted]:
    found = []
    for name in COUNTERFACTUALS:
        one = COUNTERFACTUALS[name]
        changed = one.change(base)
        if changed is not None:
            found.append(Wanted(name, one.cause, *changed))
    return found
