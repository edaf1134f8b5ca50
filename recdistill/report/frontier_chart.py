"""The chart of a frontier: a line for each way, from budget to budget."""

from __future__ import annotations

from recdistill.report import figures, labels, svg
from recdistill.report.charts import TYPE, canvas, linear_ticks, log_ticks
from recdistill.report.frontier_text import SHORT, Frontier, metric_of
from recdistill.report.svg import COLOURS

ROLES = {"distilled": "student", "alone": "student_alone", "svd": "teacher_svd", "svd_cast": "teacher_svd"}
"""Of a way its colour; others are baselines."""
DASHES = {
    "svd_cast": (0, (4, 2)),
    "product": (0, (1, 1.5)),
    "pruned_dimensions": (0, (4, 2)),
    "pruned_rows": (0, (5, 1.5, 1, 1.5)),
    "pruned_values": (0, (6, 1.5)),
}
NEAR = 0.93
"""Of the distilled student's best: what ranks below this share of it everywhere is named under the chart instead."""


def role(way: str) -> str:
    return ROLES.get(way, "baseline")


def chart(told: Frontier) -> tuple[str, str]:
    """Quality against bytes; the drawing, and a note on what its axis does."""
    metric = metric_of(told)
    lines = {way: _line(told, way, metric) for way in told["ways"]}
    best = max((y for _, y in lines["distilled"]), default=1.0)
    shown = {way: points for way, points in lines.items() if points and max(y for _, y in points) >= NEAR * best}
    below = [way for way, points in lines.items() if points and way not in shown]
    ys = [y for points in shown.values() for _, y in points if y >= 0.85 * best]
    low, high = min(ys), max([*ys, told["teacher"]["metrics"][metric]])
    pad = 0.08 * (high - low) or 0.01
    xs = [x for points in shown.values() for x, _ in points]
    with canvas(340) as (figure, axes):
        axes.set_xscale("log")
        axes.set_xlim(min(xs) / 1.15, max(xs) * 1.9)
        axes.set_ylim(low - pad, high + pad)
        log_ticks(axes, figures.size)
        linear_ticks(axes.yaxis, figures.quality)
        axes.set_xlabel("bytes in memory (log scale)")
        axes.grid(axis="y", color=COLOURS["grid"], linewidth=0.8)
        axes.axhline(told["teacher"]["metrics"][metric], color=COLOURS["teacher"], linewidth=1.2, linestyle=(0, (2, 2)))
        for way, points in shown.items():
            axes.plot(
                *zip(*points, strict=True), color=COLOURS[role(way)], linestyle=DASHES.get(way, "-"), marker="o",
                markersize=5, linewidth=2.2 if way == "distilled" else 1.4,
            )  # fmt: skip
        axes.figure.draw_without_rendering()  # type: ignore[union-attr]  # fixes the layout, so that points have places
        ends = [axes.transData.transform(points[-1]) for points in shown.values()]
        frame = labels.Box(*axes.get_window_extent().extents)
        level = float(axes.transData.transform((min(xs), told["teacher"]["metrics"][metric]))[1])
        dotted = labels.Box(frame.left, level - 2, frame.right, level + 2)
        at_ends = [(float(x), float(y)) for x, y in ends]
        placed = labels.place(at_ends, [SHORT[way] for way in shown], frame, taken=[dotted])
        for way, (x, y), at in zip(shown, ends, placed, strict=True):
            axes.annotate(
                SHORT[way], (x, y), (at.x - x, at.y - y), xycoords="figure pixels", textcoords="offset points",
                ha=at.align, va="center", color=COLOURS[role(way)], fontsize=TYPE - 0.5, annotation_clip=False,
                fontweight="bold" if way == "distilled" else "normal",
            )  # fmt: skip
        name = figures.metric_name(metric)
        said = "; ".join(
            f"{SHORT[way]} " + ", ".join(f"{figures.quality(y)} at {figures.size(x)}" for x, y in points)
            for way, points in lines.items()
            if points
        )
        note = f"{name} runs from {figures.quality(low - pad, 3)}, not from 0; dotted, the teacher."
        if below:
            note += f" Below the chart: {', '.join(SHORT[way] for way in below)}."
        return svg.inline(figure, "frontier", f"{name} against bytes: {said}."), note


def _line(told: Frontier, way: str, metric: str) -> list[tuple[float, float]]:
    points = [one for one in told["points"] if one["way"] == way and one["possible"]]
    return sorted((float(one["bytes"]), float(one["metrics"][metric])) for one in points)
