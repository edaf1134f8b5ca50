"""In which group of items or users the student keeps most of its teacher, and in which least."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from recdistill.report import figures
from recdistill.report.reading import Entry

Group = Mapping[str, Any]


def kept_line(models: Sequence[Entry], kind: str, metric: str) -> str:
    """A sentence or two; empty where there is nothing to tell.

    A report holds no standard error of a group. A mean p of n values between 0 and 1 has one of at most
    √(p (1 − p) / n), and that is taken: a group whose teacher is within two of them of nothing has no share.
    """
    by_name = {model.name: {group["group"]: group for group in model.data["groups"][kind]} for model in models}
    if "teacher" not in by_name or "student" not in by_name:
        return ""
    shares, little = {}, []
    for name, teacher in by_name["teacher"].items():
        student = by_name["student"].get(name, {})
        share = figures.share(student.get(metric), teacher.get(metric))
        if share is not None and teacher[metric] <= 2 * _error(teacher, metric):
            little.append(name)
        elif share is not None:
            within = share > 1 and student[metric] - teacher[metric] <= 2 * _error_of_both(student, teacher, metric)
            shares[name] = share, ", level with it" if within else ""
    where = "in the group" if kind == "popularity" else "for users with"
    told = []
    if len(shares) > 1:
        (least, low), *_, (most, high) = sorted(shares.items(), key=lambda one: one[1][0])
        told.append(
            f"The student keeps most of its teacher {where} {most} ({figures.percent(high[0])}{high[1]}) "
            f"and least {where} {least} ({figures.percent(low[0])}{low[1]})."
        )
    if little:
        told.append(
            f"{where.capitalize()} {', '.join(little)} the teacher itself is within two standard errors of nothing: "
            "no share is told."
        )
    return " ".join(told)


def _error(group: Group, metric: str) -> float:
    """The largest standard error that the mean of a group can have."""
    value = figures.known(group.get(metric)) or 0.0
    return math.sqrt(max(value * (1 - value), 0.0) / max(group["users"], 1))


def _error_of_both(first: Group, second: Group, metric: str) -> float:
    return math.hypot(_error(first, metric), _error(second, metric))
