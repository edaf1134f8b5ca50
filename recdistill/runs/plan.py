"""What a run can afford, decided before training from counts and a table of costs, never from a clock."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recdistill.distillation.default import SOFT_LABELS, learns_together
from recdistill.errors import ConfigError
from recdistill.models.ensemble import Ensemble
from recdistill.models.registry import MODELS
from recdistill.models.reranked import Reranked
from recdistill.models.two_tower import TwoTower
from recdistill.models.two_tower_rules import CANDIDATES, LogFacts, TwoTowerPlan, candidates
from recdistill.models.two_tower_rules import plan as two_tower_plan
from recdistill.runs.config import RunConfig, parse_size

if TYPE_CHECKING:
    from recdistill.data.splits import Split

BATCH = 512
SEARCH_TRIALS = len(CANDIDATES)
"""Candidate settings tried for the student, and as many for the student alone, where the time allows."""
FEWEST_TRIALS = 2
"""One of little and one of much regularisation: a student and its control may need opposite ones."""
FEWEST_EPOCHS_SHARE = 0.25
FIXED_SECONDS = 20.0
"""Reading, measuring and writing."""

# Measured on two cores, on ml-1m, Last.fm and amazon-book; another machine is off by its ratio.
SECONDS_PER_BF16_FLOP = 1 / 200e9
SECONDS_PER_FLOAT_FLOP = 1 / 90e9
"""Products of users, items and dimensions, by what the processor and the dimensions let them run in."""
SECONDS_PER_SCORE = 3.0e-9
"""Elementwise work on one (user, item) score: exponential, sums, masks."""
SECONDS_PER_BAG_FLOAT = 1.5e-10
"""Gathering and scattering one float of a history's rows."""
SECONDS_PER_PARAMETER = 1.3e-9
"""One optimiser step on one parameter."""
SECONDS_PER_LISTED_USER = 4.5e-5
"""One user's lists of a method, drawn, scored and taught: ml-1m and Last.fm, d = 32, and little more with d = 64."""


def two_tower_seconds(log: LogFacts, plan: TwoTowerPlan, *, teacher_dim: int = 0, by_lists: bool = False) -> float:
    """Estimated seconds of a training; `teacher_dim` > 0 adds soft labels from the teacher's vectors, `by_lists` what
    the default of distillation takes."""
    steps = math.ceil(log.users / BATCH)
    scores = log.users * log.items
    products = 6 * scores * plan.dim * _seconds_per_flop(plan.dim)
    products += 2 * scores * teacher_dim * _seconds_per_flop(teacher_dim)
    elementwise = scores * (2 if teacher_dim else 1)
    epoch = (
        products
        + elementwise * SECONDS_PER_SCORE
        + 2 * log.rows * plan.dim * SECONDS_PER_BAG_FLOAT
        + steps * _parameters(log, plan) * SECONDS_PER_PARAMETER
        + log.users * (SECONDS_PER_LISTED_USER if by_lists else 0.0)
    )
    return plan.epochs * epoch


def _seconds_per_flop(dim: int) -> float:
    from recdistill.training.device import narrow_products

    return SECONDS_PER_BF16_FLOP if narrow_products(dim) else SECONDS_PER_FLOAT_FLOP


def two_tower_bytes(log: LogFacts, plan: TwoTowerPlan) -> int:
    """Parameters, gradients and two moments, and the tiles of scores."""
    return 5 * 4 * _parameters(log, plan) + 3 * 4 * BATCH * log.items + 48 * log.rows


def _parameters(log: LogFacts, plan: TwoTowerPlan) -> int:
    return plan.dim * (log.items * (1 if plan.tied else 2) + (log.users if plan.user_id else 0))


@dataclass(slots=True)
class Plan:
    """What was decided; `cut` names in one line each what the limits took away."""

    minutes: float
    memory_bytes: int
    trials: int = SEARCH_TRIALS
    epochs_share: float = 1.0
    teacher_dim: int | None = None
    expected_seconds: float = 0.0
    skipped: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)

    def teacher_settings(self, kind: str, settings: dict[str, Any]) -> dict[str, Any]:
        members = _members(kind, settings)
        if "two_tower" not in members:
            return settings
        tower = self._shortened({**members["two_tower"], **({"dim": self.teacher_dim} if self.teacher_dim else {})})
        if kind == "reranked":
            return {**settings, "base_settings": tower}
        return tower if kind == "two_tower" else {**settings, "member_settings": {**members, "two_tower": tower}}

    def student_settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**self._shortened(settings), "trials": self.trials}

    def baselines(self, config: RunConfig) -> list[str]:
        return [name for name in config.baselines if name not in self.skipped]

    def as_mapping(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}

    def _shortened(self, settings: dict[str, Any]) -> dict[str, Any]:
        return settings if self.epochs_share == 1.0 else {**settings, "epochs_share": self.epochs_share}


def make_plan(config: RunConfig, split: Split, cut: list[str]) -> Plan:
    """Trials, epochs and dimensions that fit `config.minutes` for one seed and `config.memory`; `cut` is carried on."""
    train = split.train
    log = LogFacts.of(train, split.valid)
    memory = parse_size(config.memory) if config.memory else int(0.8 * memory_limit())
    plan = Plan(
        minutes=config.minutes, memory_bytes=memory, trials=config.search.trials or SEARCH_TRIALS, cut=list(cut)
    )
    if config.distil.top_k > log.items:
        plan.cut.append(f"the teacher's lists of {config.distil.top_k}: cut to {log.items}, the catalogue")
    _fit_memory(plan, config, log)
    _fit_minutes(plan, config, split, log)
    return plan


def _fit_memory(plan: Plan, config: RunConfig, log: LogFacts) -> None:
    """Skip baselines that do not fit, make the teacher narrower until it does."""
    for name in config.baselines:
        need = _classical_bytes(name, {}, log)
        if need > plan.memory_bytes:
            plan.skipped.append(name)
            plan.cut.append(
                f"{name}: skipped, it needs {need / 1e9:.1f} GB and the plan has {plan.memory_bytes / 1e9:.1f} GB"
            )
    kind, settings = config.model("teacher")
    members = _members(kind, settings)
    need = _classical_bytes(kind, settings, log)
    if need > plan.memory_bytes:
        raise ConfigError(
            f"teacher.kind = {kind!r} needs {need / 1e9:.1f} GB for {log.items} items and the plan has "
            f"{plan.memory_bytes / 1e9:.1f} GB; give a larger --memory or the default teacher"
        )
    if "two_tower" not in members:
        return
    tower = members["two_tower"]
    wanted = dim = TwoTower(**tower).config.dim
    left = plan.memory_bytes - need
    while dim > 16 and max(two_tower_bytes(log, one) for one in _tried({**tower, "dim": dim}, log)) > left:
        dim //= 2
    if dim != wanted:
        plan.teacher_dim = dim
        plan.cut.append(f"teacher.dim: {wanted} cut to {dim}, for {plan.memory_bytes / 1e9:.1f} GB of memory")


def _fit_minutes(plan: Plan, config: RunConfig, split: Split, log: LogFacts) -> None:
    """Fewer trials first, then fewer epochs, until one seed is expected to end within the minutes."""
    limit = 60 * config.minutes
    while plan.trials > FEWEST_TRIALS and _expected(plan, config, split, log) > limit and config.search.trials is None:
        plan.trials -= 1
    if plan.trials < SEARCH_TRIALS and config.search.trials is None:
        plan.cut.append(
            f"search of the student's settings: cut to {plan.trials} candidates, for --minutes {config.minutes:g}"
        )
    expected = _expected(plan, config, split, log)
    if expected > limit:
        share = limit / expected
        plan.epochs_share = max(FEWEST_EPOCHS_SHARE, math.floor(share * 20) / 20)
        plan.cut.append(f"epochs: cut to {plan.epochs_share:.0%}, for --minutes {config.minutes:g}")
    plan.expected_seconds = round(_expected(plan, config, split, log), 1)
    if plan.expected_seconds > 1.2 * limit:
        plan.cut.append(
            f"expected to take {plan.expected_seconds / 60:.0f} minutes a seed, above --minutes {config.minutes:g}"
        )


def _expected(plan: Plan, config: RunConfig, split: Split, log: LogFacts) -> float:
    """Seconds of one seed: the teacher and its knowledge, the trials with and without it, the final models."""
    kind, teacher = config.model("teacher")
    tower = _members(kind, teacher).get("two_tower")
    _, student = config.model("student")
    rounds = 1 if split.valid is not None else 2  # without valid rows everything is fitted again on all train rows
    teacher_dim, seconds = 0, 0.0
    if tower is not None:
        dim = plan.teacher_dim or TwoTower(**tower).config.dim
        tried = [two_tower_seconds(log, one) for one in _tried({**tower, "dim": dim}, log)]
        seconds += sum(tried) + (rounds - 1) * max(tried)
        if kind == "reranked":  # the base from which the network learns
            seconds += rounds * max(tried)
        teacher_dim = dim if kind == "two_tower" else 0  # others teach by their lists
    alone = two_tower_seconds(log, _resolved(student, log))
    by_lists = config.distil.method != SOFT_LABELS and learns_together(TwoTower(**student).config, log.items)
    by_teacher = {"by_lists": True} if by_lists else {"teacher_dim": teacher_dim or 1}
    distilled = two_tower_seconds(log, _resolved(student, log, distilled=True), **by_teacher)
    fits = plan.trials + (rounds - 1)
    seconds += fits * (alone + distilled)
    return plan.epochs_share * seconds + FIXED_SECONDS


def _resolved(settings: dict[str, Any], log: LogFacts, *, distilled: bool = False) -> TwoTowerPlan:
    return two_tower_plan(TwoTower(**settings).config, log, distilled=distilled)


def _tried(settings: dict[str, Any], log: LogFacts) -> list[TwoTowerPlan]:
    """What a teacher is trained with to choose between, each resolved."""
    config = TwoTower(**settings).config
    return [two_tower_plan(replace(config, **changes), log, distilled=False) for changes in candidates(config, log)]


def _members(kind: str, settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every model that is fitted for a teacher of this kind, with its settings: itself, an ensemble's members, or what
    retrieves where the teacher ranks that again."""
    if kind == "reranked":
        two_stages = Reranked(**settings).config
        return {two_stages.base: dict(two_stages.base_settings)}
    if kind != "ensemble":
        return {kind: settings}
    config = Ensemble(**settings).config
    return {member: dict(config.member_settings.get(member, {})) for member in config.members}


def _classical_bytes(kind: str, settings: dict[str, Any], log: LogFacts) -> int:
    return MODELS[kind](**settings).memory_bytes(n_items=log.items, n_users=log.users, n_rows=log.rows)


def memory_limit() -> int:
    """Bytes that this process may fill: the smaller of the machine's memory and its cgroup's limit."""
    limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(name).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            limit = min(limit, int(text))
    return limit
