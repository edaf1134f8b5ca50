"""How far each method is above or below the student alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recdistill.comparison import words
from recdistill.comparison.table import METRIC
from recdistill.report import figures, svg
from recdistill.report.charts import canvas, linear_ticks
from recdistill.report.svg import COLOURS

ROLES = {"default": "student", "alone": "student_alone", "teacher_svd": "teacher_svd", "teacher": "teacher"}
ROW, EDGE = 19.0, 58.0
"""Points of height: of a method, and of the axis below."""


def role(method: str) -> str:
    """The colour that a method has throughout the page."""
    return ROLES.get(method, "baseline")


def against_alone(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    """Each difference to the student alone with two standard errors to both sides; filled where beyond the spread.

    Empty where there is nothing to draw; `name` is that of the drawing in its page.
    """
    if not rows:
        return ""
    told = [row["against"]["alone"] for row in rows]
    errors = [2 * (figures.known(one["standard_error"]) or 0.0) for one in told]
    with canvas(EDGE + ROW * len(rows)) as (figure, axes):
        axes.axvline(0, color=COLOURS["ink"], linewidth=1)
        for at, (row, one, error) in enumerate(zip(rows, told, errors, strict=True)):
            colour = COLOURS[role(row["method"])]
            axes.errorbar(
                one["difference"], at, xerr=error, fmt="o", markersize=6, color=colour, elinewidth=1.6, capsize=0,
                markerfacecolor=colour if one["beyond_spread"] else COLOURS["paper"], markeredgewidth=1.5,
            )  # fmt: skip
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(range(len(rows)), [words.label(row["method"]) for row in rows])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        linear_ticks(axes.xaxis, figures.difference)
        axes.set_xlabel(f"difference to the student alone in {figures.metric_name(METRIC)}")
        axes.grid(axis="x", color=COLOURS["grid"], linewidth=0.8)
        said = "; ".join(
            f"{words.label(row['method'])} {figures.difference(one['difference'])}"
            for row, one in zip(rows, told, strict=True)
        )
        return svg.inline(figure, name, f"Differences to the student alone in {figures.metric_name(METRIC)}: {said}.")
