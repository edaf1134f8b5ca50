"""The report's charts. matplotlib is loaded by the first one drawn, never with the package."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from recdistill.report import figures, labels, svg
from recdistill.report.reading import Entry
from recdistill.report.svg import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

MARKERS = {"teacher": "s", "student": "o", "student_alone": "D", "teacher_svd": "^", "compressed": "o", "baseline": "X"}
WIDTH, TYPE = 430.0, 11.5  # points; at a phone's width type stays above 9 pixels


def against_cost(
    models: Sequence[Entry],
    metric: str,
    cost: Callable[[Entry], float | None],
    *,
    name: str,
    axis: str,
    ticks: Callable[[float], str],
) -> tuple[str, str]:
    """Quality against what it costs, on a log axis, with the spread; the drawing and what its axis does."""
    shown = [m for m in models if (cost(m) or 0) > 0 and m.metric(metric) is not None]
    if not shown:
        return "", ""
    low, high = _range(shown, metric)
    with canvas(300) as (figure, axes):
        axes.set_xscale("log")
        xs = [cost(m) or 1.0 for m in shown]
        axes.set_xlim(min(xs) / 2.2, max(xs) * 2.2)
        axes.set_ylim(low, high)
        log_ticks(axes, ticks)
        linear_ticks(axes.yaxis, figures.quality, 3 if high - low < 0.2 else 2)
        axes.set_xlabel(axis)
        axes.grid(axis="y", color=COLOURS["grid"], linewidth=0.8)
        below = [m for m in shown if (m.metric(metric) or 0.0) < low]
        for model, x in zip(shown, xs, strict=True):
            _point(axes, model, x, metric, low, off=model in below)
        _name_points(axes, shown, xs, metric, low)
        metric_name = figures.metric_name(metric)
        span = f"{metric_name} runs from {figures.quality(low, 3)} to {figures.quality(high, 3)}"
        note = f"{span}, not from 0." if low > 0 else f"{span}."
        if any(m.error(metric) is not None for m in shown):
            note += " Where no error bar shows, it is smaller than the mark."
        if below:
            note += f" Off the chart below, drawn at its edge: {', '.join(m.label for m in below)}."
        values = "; ".join(
            f"{m.label} {figures.quality(m.metric(metric))} at {ticks(x)}" for m, x in zip(shown, xs, strict=True)
        )
        return svg.inline(figure, name, f"{metric_name} against {axis}: {values}."), note


def by_group(models: Sequence[Entry], kind: str, metric: str) -> str:
    """A bar for each model in each group of users or items, from 0."""
    first = models[0].data["groups"][kind]
    width, top = 0.8 / len(models), 0.0
    described = []
    with canvas(250) as (figure, axes):
        for at, model in enumerate(models):
            values = [figures.known(group.get(metric)) or 0.0 for group in model.data["groups"][kind]]
            places = [i - 0.4 + width * (at + 0.5) for i in range(len(values))]
            axes.bar(places, values, width * 0.88, color=COLOURS[model.role])
            for x, value in zip(places, values, strict=True):
                text = figures.quality(value, 3)
                axes.annotate(text, (x, value), (0, 3), textcoords="offset points", ha="center", fontsize=9.5)
            top = max([top, *values])
            said = ", ".join(f"{g['group']} {figures.quality(g.get(metric))}" for g in model.data["groups"][kind])
            described.append(f"{model.label} {said}")
        axes.set_ylim(0, (top or 1.0) * 1.12)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xticks(range(len(first)), [f"{group['group']}\n{group_note(group)}" for group in first])
        axes.tick_params(axis="x", length=0)
    return svg.inline(figure, kind, f"{figures.metric_name(metric)} by {kind}: {'; '.join(described)}.")


def differences(
    rows: Sequence[dict[str, Any]],
    names: Sequence[str],
    colours: Sequence[str],
    metric: str,
    *,
    name: str = "differences",
) -> str:
    """Each difference with two standard errors to both sides of it, against zero."""
    with canvas(58 + 27 * len(rows)) as (figure, axes):
        axes.axvline(0, color=COLOURS["ink"], linewidth=1)
        for at, (row, colour) in enumerate(zip(rows, colours, strict=True)):
            sure = row["beyond_spread"]
            value, error = row["difference"], 2 * (figures.known(row["standard_error"]) or 0.0)
            axes.errorbar(
                value, at, xerr=error, fmt="o", markersize=7, color=COLOURS[colour], elinewidth=2, capsize=0,
                markerfacecolor=COLOURS[colour] if sure else COLOURS["paper"], markeredgewidth=1.8,
            )  # fmt: skip
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(range(len(rows)), [_short(told, 34) for told in names])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        reach = [
            row["difference"] + side * (figures.known(row["standard_error"]) or 0.0)
            for row in rows
            for side in (-2.6, 2.6)
        ]
        low, high = min(*reach, 0.0), max(*reach, 0.0)
        pad = 0.06 * (high - low) or 0.001
        axes.set_xlim(low - pad, high + pad)
        linear_ticks(axes.xaxis, figures.difference)
        axes.set_xlabel(f"difference in {figures.metric_name(metric)}")
        axes.grid(axis="x", color=COLOURS["grid"], linewidth=0.8)
        described = "; ".join(
            f"{told} {figures.difference(row['difference'])}" for told, row in zip(names, rows, strict=True)
        )
        return svg.inline(figure, name, f"Differences in {figures.metric_name(metric)}: {described}.")


def group_note(group: dict[str, Any]) -> str:
    """How large a group is: items where it is one of items, users where it is one of users."""
    what = "items" if "items" in group else "users"
    return f"{figures.count(group[what])} {what}"


@contextmanager
def canvas(height: float) -> Iterator[tuple[Figure, Axes]]:
    """A figure in the page's type and colours; names from outside are text, never formulas."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"font.size": TYPE, "text.parse_math": False, "text.color": COLOURS["ink"]}):
        figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72, layout="constrained")
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[:].set_color(COLOURS["muted"])
        axes.tick_params(colors=COLOURS["muted"], labelcolor=COLOURS["ink"], length=3, labelsize=TYPE - 1)
        axes.xaxis.label.set_color(COLOURS["ink"])
        axes.set_axisbelow(True)
        yield figure, axes


def _range(models: Sequence[Entry], metric: str) -> tuple[float, float]:
    """The y axis: teacher, student, its control and what was made from it, and whatever lies near them."""
    values = {m.name: m.metric(metric) or 0.0 for m in models}
    core = [values[m.name] for m in models if m.role in ("teacher", "student", "student_alone", "compressed")]
    core = core or list(values.values())
    reach = max(max(core) - min(core), 0.02 * max(core), 1e-4)
    near = [v for v in values.values() if v >= min(core) - 2.5 * reach]
    errors = [m.error(metric) or 0.0 for m in models if values[m.name] in near]
    low, high = min(near) - max(errors), max(near) + max(errors)
    pad = 0.14 * (high - low) or 0.01
    return (max(low - pad, 0.0), high + pad)


def _point(axes: Axes, model: Entry, x: float, metric: str, low: float, *, off: bool) -> None:
    colour = COLOURS[model.role]
    if off:
        axes.plot(x, low, marker="v", color=colour, markersize=8, clip_on=False)
        return
    hollow = model.role == "compressed"
    axes.errorbar(
        x, model.metric(metric) or 0.0, yerr=model.error(metric), fmt=MARKERS[model.role], color=colour, markersize=8,
        elinewidth=1.6, capsize=3, markeredgewidth=1.8 if hollow else 0.6,
        markerfacecolor=COLOURS["paper"] if hollow else colour, markeredgecolor=colour if hollow else COLOURS["paper"],
    )  # fmt: skip


def _name_points(axes: Axes, models: Sequence[Entry], xs: Sequence[float], metric: str, low: float) -> None:
    """Each point is named where it stands: no legend to look up."""
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]  # fixes the layout, so that points have places
    where = [axes.transData.transform((x, max(m.metric(metric) or 0.0, low))) for m, x in zip(models, xs, strict=True)]
    frame = labels.Box(*axes.get_window_extent().extents)
    texts = [
        _short(m.label) + (f" {figures.quality(m.metric(metric), 3)}" if (m.metric(metric) or 0.0) < low else "")
        for m in models
    ]
    reach = [
        axes.transData.transform([(x, (m.metric(metric) or 0.0) + side * (m.error(metric) or 0.0)) for side in (-1, 1)])
        for m, x in zip(models, xs, strict=True)
    ]
    bars = [labels.Box(ends[0, 0] - 4, ends[0, 1] - 2, ends[1, 0] + 4, ends[1, 1] + 2) for ends in reach]
    placed = labels.place([(float(x), float(y)) for x, y in where], texts, frame, taken=bars)
    for model, text, (x, y), at in zip(models, texts, where, placed, strict=True):
        line = {"arrowstyle": "-", "color": COLOURS["muted"], "linewidth": 0.7, "shrinkA": 0, "shrinkB": 5}
        axes.annotate(
            text, (x, y), (at.x - x, at.y - y), xycoords="figure pixels", textcoords="offset points",
            ha=at.align, va="center", color=COLOURS[model.role], fontsize=TYPE - 0.5, annotation_clip=False,
            arrowprops=line if at.far else None, fontweight="bold" if model.role == "student" else "normal",
        )  # fmt: skip


def log_ticks(axes: Axes, text: Callable[[float], str]) -> None:
    low, high = axes.get_xlim()
    decades = math.log10(high / low)
    steps = (1,) if decades > 3.2 else (1, 3) if decades > 1.6 else (1, 2, 5)
    ends = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    at = [step * 10.0**e for e in ends for step in steps if low <= step * 10.0**e <= high]
    axes.set_xticks(at, [text(value) for value in at])
    axes.minorticks_off()


def linear_ticks(axis: Axis, text: Callable[[float, int], str], least: int = 3) -> None:
    """Each tick by `text` of it and of as many digits as tell it from the next, at least so many."""

    def label(value: float, _: float) -> str:
        return text(value, max(least, step_digits(axis.get_majorticklocs())))

    axis.set_major_formatter(label)


def step_digits(places: Iterable[float]) -> int:
    """Decimals that equal steps need, so that every place is written as what it is: 4 for .0025, .005, …"""
    step = min((abs(b - a) for a, b in pairwise(places)), default=1.0)
    if not step > 0:
        return 0
    exact = (digits for digits in range(10) if abs(round(step, digits) - step) < 1e-3 * step)
    return next(exact, 10)


def _short(text: str, longest: int = 24) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"
