"""The comparison for the terminal, and for a page of Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recdistill.comparison import words
from recdistill.comparison.table import METRIC
from recdistill.report import figures
from recdistill.report.table import aligned, printable

HEAD = [
    "", "d", "seeds", figures.metric_name(METRIC), "to default", "to alone", "of the gap", "head", "mid", "tail",
    "processor", "memory",
]  # fmt: skip
LEGEND = {
    words.BEYOND: "beyond the spread: more than two standard errors over users, and the same sign with every seed",
    words.UNPAIRED: "the error is an upper bound, users' values are not at hand",
}
GAP = (
    "of the gap: (method - alone) / (teacher - alone), where the teacher is above the student alone beyond the spread."
)
COLUMNS = (
    "head, mid, tail: recall@20 of wanted items by popularity, a third of the train rows each. "
    "processor: seconds of training, all threads together."
)


def text_table(table: Mapping[str, Any]) -> str:
    """Of each log its teacher and every method, then the means over the logs, then what they say."""
    lines: list[str] = []
    for name, told in table["logs"].items():
        lines += [printable(f"{name}. {words.teacher_line(told)}", 240), ""]
        lines += aligned([HEAD, *(_row(row) for row in words.measured_rows(table, name))])
        lines.append("")
    if len(table["logs"]) > 1:
        for dim in table["dims"]:
            rows = words.mean_rows(table, dim)
            lines += [f"Mean over the logs, d={dim}", ""]
            head = ["", "logs", figures.metric_name(METRIC), "to default", "to alone"]
            lines += [*aligned([head, *(_mean_row(row) for row in rows)]), ""]
    told_lines = [*words.claims(table), *words.notes(table)]
    note = ["", _note(table)] if lines else []
    return "\n".join([*lines, *(f"- {printable(line, 400)}" for line in told_lines), *note])


def _note(table: Mapping[str, Any]) -> str:
    """What the marks and columns mean: of the marks those that occur, and why a gap has no share where one lacks it."""
    rows = [row for row in [*table["rows"], *table["mean"]] if row.get("against")]
    marks = "".join(words.difference(told) for row in rows for told in row["against"].values())
    legend = "; ".join(f"{mark} {what}" for mark, what in LEGEND.items() if mark in marks)
    lacking = any(row.get("gap_recovered") and not words.share(row) for row in table["rows"])
    told = [f"{legend}." if legend else "", COLUMNS, f"{GAP} Empty: it is not." if lacking else ""]
    return " ".join(filter(None, told))


def markdown(table: Mapping[str, Any], dim: int, methods: int = 12) -> str:
    """For a README: the best methods over the logs with the controls, a column for each log."""
    names = [name for name in table["logs"] if (name, "default", dim) in _places(table)]
    rows = words.mean_rows(table, dim)
    controls = ("default", "alone", "teacher_svd", "shuffled", "single")
    best = [row["method"] for row in rows if row["method"] not in controls][:methods]
    shown = [row for row in rows if row["method"] in (*controls, *best)]
    at = {(row["log"], row["method"], row["dim"]): row for row in table["rows"] if row["status"] == "measured"}
    lines = [
        f"| {figures.metric_name(METRIC)} | {' | '.join(names)} | mean | to alone |",
        f"|{'---|' * (len(names) + 3)}",
    ]
    teachers = [at.get((name, "teacher", None)) for name in names]
    cells = [figures.quality(None if row is None else row["metrics"][METRIC]) for row in teachers]
    lines.append(f"| *teacher* | {' | '.join(cells)} | | |")
    for row in shown:
        method = row["method"]
        found = [at.get((name, method, dim)) for name in names]
        cells = [figures.quality(None if one is None else one["metrics"][METRIC]) for one in found]
        mean = figures.quality(row["metrics"][METRIC]) if row["all_logs"] else f"({len(row['logs'])} of {len(names)})"
        name = f"**{words.label(method)}**" if method == "default" else words.label(method)
        lines.append(f"| {name} | {' | '.join(cells)} | {mean} | {_escaped(row['against'].get('alone'))} |")
    return "\n".join(lines)


def _escaped(told: Mapping[str, Any] | None) -> str:
    return words.difference(told).replace(words.BEYOND, "\\" + words.BEYOND)


def _row(row: Mapping[str, Any]) -> list[str]:
    against = row["against"]
    recall = [figures.quality(row["recall_by_popularity"].get(group), 3) for group in ("head", "mid", "tail")]
    return [
        words.label(row["method"]), "" if row["dim"] is None else str(row["dim"]), str(len(row["seeds"])),
        words.with_spread(row), words.difference(against.get("default")), words.difference(against.get("alone")),
        words.share(row), *recall, figures.duration(row["seconds"].get("processor")),
        "" if row["peak_bytes"] is None else figures.size(row["peak_bytes"]),
    ]  # fmt: skip


def _mean_row(row: Mapping[str, Any]) -> list[str]:
    against = row["against"]
    return [
        words.label(row["method"]), str(len(row["logs"])), figures.quality(row["metrics"][METRIC]),
        words.difference(against.get("default")), words.difference(against.get("alone")),
    ]  # fmt: skip


def _places(table: Mapping[str, Any]) -> set[tuple[str, str, int | None]]:
    return {(row["log"], row["method"], row["dim"]) for row in table["rows"] if row["status"] == "measured"}
