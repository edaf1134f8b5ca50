"""The charts of a log's page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recdistill.report import svg
from recdistill.report.charts import canvas
from recdistill.report.figures import count, percent, share
from recdistill.report.svg import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from recdistill.data.describe import SplitShape
    from recdistill.data.spread import Bin

PARTS = {"train": "teacher", "valid": "student_alone", "test": "student"}
"""Part of a split: its colour."""
ROW = 25
"""Points of height for a horizontal bar."""


def bars(bins: Sequence[Bin], name: str, what: str) -> str:
    """A horizontal bar for each bin, its share of all at its end."""
    total = sum(part.count for part in bins)
    with canvas(18 + ROW * len(bins)) as (figure, axes):
        axes.barh(range(len(bins)), [part.count for part in bins], 0.72, color=COLOURS["teacher"])
        for at, part in enumerate(bins):
            _at_end(axes, part.count, at, percent(share(part.count, total)) if part.count else "0")
        _named_rows(axes, [part.label for part in bins])
        axes.set_xlim(0, max(part.count for part in bins) * 1.16)
        said = "; ".join(f"{part.label}: {count(part.count)}" for part in bins)
        return svg.inline(figure, name, f"{what}. {said}.")


def over_time(bins: Sequence[Bin], name: str, by: str) -> str:
    """A bar for each day, month or year; a handful of them named."""
    with canvas(250) as (figure, axes):
        places = range(len(bins))
        axes.bar(places, [part.count for part in bins], 0.86 if len(bins) < 60 else 1.0, color=COLOURS["teacher"])
        step = max(1, -(-len(bins) // 6))
        axes.set_xticks(list(places)[::step], [part.label for part in bins][::step])
        axes.set_xlim(-0.7, len(bins) - 0.3)
        axes.yaxis.set_major_formatter(lambda value, _: count(value))
        axes.locator_params(axis="y", integer=True, nbins=5)
        axes.grid(axis="y", color=COLOURS["grid"], linewidth=0.8)
        fullest = max(bins, key=lambda part: part.count)
        said = f"from {bins[0].label} to {bins[-1].label}, most in {fullest.label}: {count(fullest.count)}"
        return svg.inline(figure, name, f"Rows in each {by}, {said}.")


def concentration(curve: Sequence[tuple[float, float]], name: str) -> str:
    """What share of the pairs the most popular items get, against all items being alike."""
    with canvas(250) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=COLOURS["muted"], linewidth=1, linestyle=(0, (4, 3)))
        axes.plot(*zip(*curve, strict=True), color=COLOURS["teacher"], linewidth=2.2)
        marked = [_at(curve, part) for part in (0.01, 0.1, 0.5)]
        for x, y in marked:
            axes.plot(x, y, "o", color=COLOURS["teacher"], markersize=6)
            axes.annotate(
                f"top {percent(x).replace('.0', '')}: {percent(y)}", (x, y), (9, 2 if x < 0.05 else -4),
                textcoords="offset points", va="top", color=COLOURS["ink"],
                bbox={"facecolor": COLOURS["paper"], "edgecolor": "none", "pad": 1.0},
            )  # fmt: skip
        axes.annotate(
            "if all were alike", (0.62, 0.62), (8, -5), textcoords="offset points", va="top", color=COLOURS["muted"]
        )
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.03)
        axes.set_xlabel("items, the most popular first")
        axes.grid(color=COLOURS["grid"], linewidth=0.8)
        said = "; ".join(f"the top {percent(x)} of the items get {percent(y)}" for x, y in marked)
        return svg.inline(figure, name, f"Share of the pairs: {said}.")


def parts(shapes: Sequence[SplitShape], name: str) -> str:
    """A stacked bar for each split: the shares of the log's rows in train, valid and test; the rest is dropped."""
    with canvas(30 + 34 * len(shapes)) as (figure, axes):
        said = []
        for at, shape in enumerate(shapes):
            rows = {part: getattr(shape, part) for part in PARTS}
            left, total = 0.0, sum(rows.values())
            for part, held in rows.items():
                width = share(held, total) or 0.0
                axes.barh(at, width, 0.62, left=left, color=COLOURS[PARTS[part]])
                if width > 0.07:
                    axes.text(
                        left + width / 2, at, f"{100 * width:.0f} %", ha="center", va="center", color=COLOURS["paper"]
                    )
                left += width
            said.append(", ".join(f"{part} {percent(share(held, total))}" for part, held in rows.items()))
        _named_rows(axes, [shape.name.replace("_", "-") for shape in shapes])
        axes.set_xlim(0, 1)
        described = "; ".join(f"{shape.name}: {text}" for shape, text in zip(shapes, said, strict=True))
        return svg.inline(figure, name, f"Rows in each part. {described}.")


def cold(shapes: Sequence[SplitShape], name: str) -> str:
    """For each split two bars: test users unknown to train, test rows of items unknown to train."""
    kinds = {"users": "student", "rows": "student_alone"}
    shares = [
        {"users": share(shape.cold_users, shape.test_users) or 0.0, "rows": share(shape.cold_rows, shape.test) or 0.0}
        for shape in shapes
    ]
    top = max([0.05, *(value for row in shares for value in row.values())])
    with canvas(30 + 34 * len(shapes)) as (figure, axes):
        for at, row in enumerate(shares):
            for place, (kind, colour) in enumerate(kinds.items()):
                y = at + 0.36 * (place - 0.5)
                axes.barh(y, row[kind], 0.33, color=COLOURS[colour])
                _at_end(axes, row[kind], y, percent(row[kind]) if row[kind] else "0")
        _named_rows(axes, [shape.name.replace("_", "-") for shape in shapes])
        axes.set_xlim(0, top * 1.2)
        rows = zip(shapes, shares, strict=True)
        said = "; ".join(f"{s.name}: users {percent(row['users'])}, rows {percent(row['rows'])}" for s, row in rows)
        return svg.inline(figure, name, f"Cold shares of the test part. {said}.")


def _at(curve: Sequence[tuple[float, float]], part: float) -> tuple[float, float]:
    """The point of the curve nearest to this share of the items."""
    return min(curve[1:], key=lambda point: abs(point[0] - part))


def _at_end(axes: Axes, x: float, y: float, text: str) -> None:
    axes.annotate(text, (x, y), (4, 0), textcoords="offset points", va="center", fontsize=10, color=COLOURS["ink"])


def _named_rows(axes: Axes, names: Sequence[str]) -> None:
    """Names to the left of horizontal bars, first on top; the numbers stand at the bars."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)
    axes.set_xticks([])
    axes.spines[["bottom", "left"]].set_visible(False)
