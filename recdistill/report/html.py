"""A report as one HTML file that opens anywhere: no script, nothing fetched, light and dark, wide and narrow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from recdistill.report import charts, figures, findings, page, reading
from recdistill.report.glossary import account_note, glossary
from recdistill.report.kept import kept_line
from recdistill.report.reading import Entry, Report

_BARS = ("teacher", "student", "student_alone")
_GROUPS = {
    "popularity": "By how popular the wanted items are",
    "history": "By how much is known of the user",
}


def write_html(report: Report, path: Path) -> None:
    """Draw `report` (the content of report.json) into one file; an older one is replaced when the new one is whole."""
    page.write(render(report), path)


def render(report: Report) -> str:
    """The page as text."""
    return page.render("template.html", _page(report))


def _page(report: Report) -> dict[str, Any]:
    models = reading.entries(report)
    first, second = reading.headline_metric(report), reading.second_metric(report)
    told, _, rest = _unbroken(findings.verdict(report)).partition("; ")
    return {
        "title": report.get("title") or report["data"].get("source") or "run",
        "verdict": [told, rest],
        "findings": [_unbroken(line) for line in findings.findings(report)],
        "split": findings.split_line(report),
        "models": models,
        "teacher": reading.entry(report, "teacher"),
        "first": first,
        "second": second,
        "seeds": reading.seeds(report),
        "with_error": any(model.error(first) is not None for model in models),
        "share": figures.share,
        "frontiers": _frontiers(models, first),
        "groups": _groups(models, [first, *([second] if second else [])]),
        "cold": _cold(models),
        "new_items": _new_items(models),
        "examples": _examples(report),
        "group_note": charts.group_note,
        "differences": _differences(report, models, first),
        "comparisons": report["comparisons"],
        "measured": findings.measured,
        "told_of": lambda data: [line for line in (findings.promise(data), findings.gain(data)) if line],
        "won": findings.won,
        "reached": findings.reached,
        "standing": findings.standing,
        "label": lambda name: reading.label(report, name),
        "agreement": [
            (model, report["agreement"][model.name]) for model in models if model.name in report["agreement"]
        ],
        "metrics": list(dict.fromkeys(m for model in models for m in model.data["metrics"])),
        "steps": list(dict.fromkeys(step for model in models for step in (model.data.get("seconds") or {}))),
        "report": report,
        "settings": _flat(report.get("settings") or {}),
        "environment": _flat(report["environment"]),
        "chosen": [(model, _flat(model.data["chosen"])) for model in models if model.data.get("chosen")],
        "tried": [(model, model.data["tried"]) for model in models if model.data.get("tried")],
        "glossary": glossary(report),
        "account_note": account_note(),
    }


def _unbroken(text: str) -> str:
    """A number and its unit stay on one line."""
    return re.sub(r"(?<=\d) (?=%|[kMGT]?B\b)", "\N{NO-BREAK SPACE}", text)


def _frontiers(models: list[Entry], metric: str) -> list[dict[str, str]]:
    """Quality against bytes and against time; by latency where throughput was not measured."""

    def size_tick(value: float) -> str:
        return re.sub(r"\.0+ ", " ", figures.size(value))

    name = figures.metric_name(metric)
    axis = "bytes in memory (log scale)"
    sized, note = charts.against_cost(models, metric, lambda m: m.bytes, name="bytes", axis=axis, ticks=size_tick)
    drawn = [{"title": f"{name} against bytes", "svg": sized, "note": note, "hint": "Better is up and to the left."}]
    axis = "queries a second (log scale)"
    timed, note = charts.against_cost(models, metric, lambda m: m.rate, name="speed", axis=axis, ticks=figures.rate)
    hint = "Better is up and to the right."
    if not timed:
        axis, ticks = "milliseconds a query (log scale)", figures.milliseconds
        cost = partial(Entry.latency, point="p50")
        timed, note = charts.against_cost(models, metric, cost, name="speed", axis=axis, ticks=ticks)
        hint = "Better is up and to the left."
    drawn.append({"title": f"{name} against time", "svg": timed, "note": note, "hint": hint})
    return [chart for chart in drawn if chart["svg"]]


def _groups(models: list[Entry], wanted: list[str]) -> list[dict[str, Any]]:
    """Teacher, student and student alone in each group, and where the student keeps most of its teacher."""
    shown = []
    for kind, title in _GROUPS.items():
        having = [m for m in models if (m.data.get("groups") or {}).get(kind)]
        drawn = [m for m in having if m.name in _BARS] or having[:3]
        if not drawn:
            continue
        measured = [key for key in drawn[0].data["groups"][kind][0] if "@" in key]
        metric = next((metric for metric in wanted if metric in measured), measured[0])
        chart = charts.by_group(drawn, kind, metric)
        kept = kept_line(drawn, kind, metric)
        told = {"kind": kind, "title": title, "svg": chart, "metric": metric, "kept": kept}
        shown.append(told | {"drawn": drawn, "having": having})
    return shown


def _cold(models: list[Entry]) -> dict[str, Any] | None:
    having = [m for m in models if (m.data.get("groups") or {}).get("cold")]
    if not having:
        return None
    row = having[0].data["groups"]["cold"]
    return {"models": having, "row": row, "metrics": [key for key in row if "@" in key]}


def _new_items(models: list[Entry]) -> dict[str, Any] | None:
    """Models that rank what training never saw, by features; `row` says what is wanted, the same of all of them."""
    having = [m for m in models if (m.data.get("groups") or {}).get("cold_items")]
    if not having:
        return None
    row = having[0].data["groups"]["cold_items"]
    metric = next(key for key in row if "@" in key)
    return {"models": having, "row": row, "metric": metric, "with_new": list(row["with_new"])}


def _examples(report: Report) -> list[dict[str, Any]]:
    """People of the test part, with the lists of those models that are in the report."""
    shown = []
    for one in report.get("examples") or []:
        found = ((reading.entry(report, name), rows) for name, rows in one["lists"].items())
        lists = [(model, rows) for model, rows in found if model is not None]
        shown.append({**one, "lists": lists})
    return [one for one in shown if one["lists"]]


def _differences(report: Report, models: list[Entry], metric: str) -> str:
    """The differences among teacher, students and what was made from them; baselines stand in the table."""
    roles = {model.name: model.role for model in models}
    inner = {name for name, role in roles.items() if role != "baseline"} or set(roles)
    rows = [row for row in report["comparisons"] if row["metric"] == metric and {row["a"], row["b"]} <= inner]
    if not rows:
        return ""
    names = [f"{reading.label(report, row['a'])} {figures.MINUS} {reading.label(report, row['b'])}" for row in rows]
    return charts.differences(rows, names, [roles[row["a"]] for row in rows], metric)


def _flat(settings: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Nested settings as `teacher.dim`, `256`."""
    rows: list[tuple[str, str]] = []
    for key, value in settings.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping):
            rows += _flat(value, f"{name}.")
        else:
            rows.append((name, _plain(value)))
    return rows


def _plain(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_plain, value)) or "none"
    if value is None or isinstance(value, bool):
        return {True: "yes", False: "no", None: "not set"}[value]
    return str(value)
