"""A frontier in words and as a table for the terminal: every way at every budget, impossible cells marked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recdistill.report import figures
from recdistill.report.figures import PLUS_MINUS
from recdistill.report.table import aligned

Frontier = Mapping[str, Any]
LABELS = {
    "distilled": "distilled, trained through its codes",
    "alone": "alone, trained through its codes",
    "svd": "teacher cut by SVD",
    "svd_cast": "teacher cut by SVD, then cast",
    "teacher_cast": "teacher without users, cast",
    "student_cast": "distilled in floats, cast",
    "product": "product-quantised",
    "pruned_dimensions": "dimensions pruned, cast",
    "pruned_rows": "vectors of rare items pruned, cast",
    "pruned_values": "values pruned",
}
SHORT = {
    "distilled": "distilled", "alone": "alone", "svd": "SVD", "svd_cast": "SVD, cast", "teacher_cast": "teacher, cast",
    "student_cast": "student, cast", "product": "PQ", "pruned_dimensions": "pruned dims",
    "pruned_rows": "pruned items", "pruned_values": "pruned values",
}  # fmt: skip
IMPOSSIBLE = "impossible"


def metric_of(told: Frontier) -> str:
    return "ndcg@20" if "ndcg@20" in told["metrics"] else str(told["metrics"][0])


def point(told: Frontier, budget: str, way: str) -> Mapping[str, Any]:
    return next(one for one in told["points"] if (one["budget"], one["way"]) == (budget, way))


def against(told: Frontier, budget: str, way: str) -> Mapping[str, Any] | None:
    """The distilled student minus this way's model at the same budget."""
    return next((row for row in told["comparisons"] if (row["budget"], row["b"]) == (budget, way)), None)


def table(told: Frontier) -> str:
    """A line for each way, a column for each budget."""
    rows = [["", *told["budgets"]]]
    rows += [[LABELS[way], *(cell(told, budget, way) for budget in told["budgets"])] for way in told["ways"]]
    return f"{figures.metric_name(metric_of(told))} on test\n\n" + "\n".join(aligned(rows))


def cell(told: Frontier, budget: str, way: str) -> str:
    found, metric = point(told, budget, way), metric_of(told)
    if not found["possible"]:
        return IMPOSSIBLE
    spread = figures.known(found["spread"].get(metric))
    return figures.quality(found["metrics"][metric]) + (f" {PLUS_MINUS} {figures.quality(spread)}" if spread else "")


def verdicts(told: Frontier) -> list[str]:
    """For every budget how the distilled student stands to the best of its rivals."""
    return [_verdict(told, budget) for budget in told["budgets"]]


def _verdict(told: Frontier, budget: str) -> str:
    metric = metric_of(told)
    own = point(told, budget, "distilled")
    others = [
        one for one in told["points"] if one["budget"] == budget and one["way"] != "distilled" and one["possible"]
    ]
    share = figures.percent(figures.share(own["metrics"][metric], told["teacher"]["metrics"][metric]))
    text = (
        f"In {budget} the distilled student ({own['what']}) reaches {figures.quality(own['metrics'][metric])} "
        f"{figures.metric_name(metric)}, {share} of its teacher"
    )
    if not others:
        return f"{text}; nothing else fits."
    best = max(others, key=lambda one: one["metrics"][metric])
    row = against(told, budget, best["way"])
    assert row is not None
    standing = "beyond the spread" if row["beyond_spread"] else "within the spread"
    return f"{text}; the next best, {LABELS[best['way']]}: {figures.difference(-row['difference'])}, {standing}."
