"""The default in five lines, from the rules themselves, so that it says what they now are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recdistill.distillation.default import LARGE_FROM, learns_together, together
from recdistill.models.two_tower import TwoTower
from recdistill.models.two_tower_rules import SAMPLED_FROM, LogFacts, candidates, method_candidates, plan
from recdistill.report import figures

MIDDLING = LogFacts(users=6000, items=3000, rows=800_000)
"""Where no log is given: what is said of it depends on no count."""
UNRULED = (
    "By rule from counts of the log: one table for histories and ranked items where histories are short, else two; the "
    "softmax's temperature by density; what a user counts by the mean history; epochs by the users. See it with --log."
)
OF_SAMPLES = (
    "Taught: soft labels on the items that a batch draws, which stand for the catalogue where it has "
    f"{figures.count(SAMPLED_FROM)} items and more; beside the labels' softmax on the same."
)
EVIDENCE = (
    "Evidence: benchmarks/results and benchmarks/compare; docs/methods.md has the methods beside it. On your own log: "
    "recdistill compare puts them side by side, recdistill run shows the student alone beside the distilled one."
)


def explain_default(facts: LogFacts | None = None, *, dim: int = 32) -> list[str]:
    """What `rd.distill` without a method does and why; with `facts`, what the rules come to on that log."""
    config, counted = TwoTower(dim=dim, user_id=False).config, facts or MIDDLING
    whole, rule = learns_together(config, counted.items), plan(config, counted, distilled=True)
    tried = method_candidates(config, together(counted.items)) if whole else candidates(config, counted)
    shares, dropouts = _values(tried, "label_share"), _values(tried, "history_dropout")
    return [
        _taught(None if facts is None else facts.items) if whole else OF_SAMPLES,
        f"Student: {dim} numbers an item; a user is the sum of the history, so that people never seen are served. It "
        "starts from the singular vectors of what the teacher says, or of the log where it gives lists alone.",
        f"Chosen on valid from {len(tried)} sets: the labels' share ({shares}), how much of a history is hidden "
        f"({dropouts}), the learning rate; as many for the student alone.",
        UNRULED if facts is None else _ruled(rule, facts),
        EVIDENCE,
    ]


def _ruled(rule: Any, facts: LogFacts) -> str:
    tables = "one table" if rule.tied else "two tables"
    counted = (
        f"{figures.count(facts.users)} users, {figures.count(facts.items)} items, {figures.count(facts.rows)} rows"
    )
    sampled = "all items" if rule.negatives is None else f"{figures.count(rule.negatives)} sampled items a batch"
    return (
        f"By rule for this log ({counted}, density {figures.percent(facts.density)}, {facts.mean_history:.0f} a user): "
        f"{tables}, softmax temperature {rule.tau:.3g}, user weight {rule.user_weight:.2g} (0: every row counts alike, "
        f"1: every user), {rule.epochs} epochs, {sampled}."
    )


def _taught(n_items: int | None) -> str:
    """What teaches, of a catalogue of this size; without one, of both."""
    small, large = _sources(LARGE_FROM - 1), _sources(LARGE_FROM)
    of_small = (
        f"the order of the teacher's best {small['rrd'].k} above drawn others (RRD) and the differences of its scores "
        f"among its best {small['margin_mse'].of} (Margin-MSE)"
    )
    of_large = f"soft labels on the teacher's best {large['rce_kd'].k} items and the student's own (RCE-KD)"
    told = of_small if n_items is None or n_items < LARGE_FROM else of_large
    told += f"; from {figures.count(LARGE_FROM)} items {of_large}" if n_items is None else ""
    return f"Taught: {told}; beside the labels' softmax. Soft labels of all items where it gives lists alone."


def _sources(n_items: int) -> dict[str, Any]:
    """Of each method of the default, where the teacher's list that it looks at comes from."""
    return {one.name: next(iter(one.sources().values())) for one in together(n_items).taught}


def _values(tried: Sequence[dict[str, Any]], name: str) -> str:
    found = sorted({choice[name] for choice in tried if name in choice})
    return ", ".join(f"{value:g}" for value in found) or "as given"
