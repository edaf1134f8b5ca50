"""The comparison as a table for the terminal."""

from __future__ import annotations

import unicodedata

from recdistill.report import figures, findings, reading
from recdistill.report.figures import PLUS_MINUS, metric_name
from recdistill.report.reading import Entry, Report


def comparison_table(report: Report) -> str:
    """Every model on a line, teacher first; then what the differences are worth."""
    first, second = reading.headline_metric(report), reading.second_metric(report)
    models = reading.entries(report)
    teacher = reading.entry(report, "teacher")
    metrics = [metric for metric in (first, second) if metric]
    head = ["", *(metric_name(metric) for metric in metrics), "size"]
    head += ["of teacher"] if teacher else []
    head += ["queries/s", "p50 ms"]
    rows = [_row(model, metrics, teacher) for model in models]
    lines = [findings.split_line(report), "", *aligned([head, *rows])]
    told = [printable(line, 160) for line in findings.difference_lines(report)]
    note = _note(report, models, metrics, told)
    below = [*told, *([note] if note else [])]
    return "\n".join([*lines, "", *below] if below else lines)


def _row(model: Entry, metrics: list[str], teacher: Entry | None) -> list[str]:
    row = [printable(model.label), *(_measured(model, metric) for metric in metrics), figures.size(model.bytes)]
    if teacher:
        row.append(figures.percent(figures.share(model.metric(metrics[0]), teacher.metric(metrics[0]))))
    return [*row, figures.rate(model.rate), figures.milliseconds(model.latency("p50"))]


def _measured(model: Entry, metric: str) -> str:
    error = model.error(metric)
    text = figures.quality(model.metric(metric))
    return text if error is None else f"{text} {PLUS_MINUS} {figures.quality(error)}"


def _note(report: Report, models: list[Entry], metrics: list[str], told: list[str]) -> str:
    number = len(reading.seeds(report))
    parts = []
    if any(model.error(metric) is not None for model in models for metric in metrics):
        what = "the standard error over users" if number == 1 else f"the standard deviation over {number} seeds"
        parts.append(f"of a metric {what}")
    if any(PLUS_MINUS in line for line in told):
        parts.append("of a difference one standard error over users")
    return f"({PLUS_MINUS}: {', '.join(parts)})" if parts else ""


def aligned(rows: list[list[str]]) -> list[str]:
    """Names to the left, numbers to the right, two spaces between, a rule under the head."""
    widths = [max(_width(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            _pad(row[0], widths[0]),
            *(_pad(cell, w, right=True) for cell, w in zip(row[1:], widths[1:], strict=True)),
        ]
        lines.append("  ".join(cells).rstrip())
    return [lines[0], "\N{BOX DRAWINGS LIGHT HORIZONTAL}" * (sum(widths) + 2 * (len(widths) - 1)), *lines[1:]]


def _pad(text: str, width: int, *, right: bool = False) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space


def _width(text: str) -> int:
    """Columns in a terminal: wide letters take two, combining marks none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def printable(text: str, longest: int = 28) -> str:
    """No control characters from a user's file reach the terminal."""
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= longest else text[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"
