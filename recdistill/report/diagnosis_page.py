"""A diagnosis as one HTML file that opens anywhere: no script, nothing fetched, light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recdistill.report import charts, figures, page
from recdistill.report import diagnosis_text as words
from recdistill.report.diagnosis_text import Diagnosis

MOST_DRAWN = 12
"""Groups by attributes that a chart has room for; the table has all."""


def write_page(told: Diagnosis, path: Path) -> None:
    """Draw the page; an older one is replaced when the new one is whole."""
    page.write(render(told), path)


def render(told: Diagnosis) -> str:
    """The page as text."""
    return page.render("diagnosis.html", _page(told))


def _page(told: Diagnosis) -> dict[str, Any]:
    lost, cause = told["lost"], told["cause"]
    first, _, second = words.loss_line(told).partition("; ")
    rows = [*cause["trained"]["rows"], *cause["there"]]
    cells = [[*words.cause_cells(row), figures.duration(row["seconds"])] for row in rows]
    changes = words.filled([[*words.CAUSE_HEAD, "took"], *cells])
    return {
        "title": told["run"]["title"],
        "described": words.models_line(told),
        "verdict": [words.verdict_line(told), f"{first}; {second}"],
        "metric": lost["metric"],
        "seeds": len(told["run"]["seeds"]),
        "trained": cause["trained"],
        "cause": cause,
        "gap": words.gap_text(words.gap_of(told)),
        "cause_head": changes[0],
        "causes": list(zip(rows, changes[1:], strict=True)),
        "cause_chart": _causes(cause),
        "cause_notes": words.cause_notes(told),
        "charts": [chart for chart in _charts(lost) if chart["svg"]],
        "tables": _tables(lost),
        "single": [("lost", lost["items"]["lost"]), ("gained", lost["items"]["gained"])],
        "agreement": told["disagreement"]["agreement"],
        "examples": told["disagreement"]["examples"],
        "share_told": lost["total"]["beyond_spread"],
    }


def _causes(cause: Mapping[str, Any]) -> str:
    """Every change with its spread, those trained and those that were there."""
    colours = {"chance": "baseline", "control": "student_alone", "bound": "teacher_svd"}
    rows = [*cause["trained"]["rows"], *cause["there"]]
    names = [f"{row['cause']}: {row['name'].replace('_', ' ')}" for row in rows]
    return charts.differences(
        rows, names, [colours.get(row["cause"], "student") for row in rows], cause["metric"], name="causes"
    )


def _charts(lost: Mapping[str, Any]) -> list[dict[str, str]]:
    """Student less teacher, by users and by wanted items."""
    drawn = [
        ("users", "By who the users are", [*lost["by_history"], *_named(lost["by_user"])]),
        ("items", "By what they wanted", [*lost["by_popularity"], *_named(lost["by_item"])]),
    ]
    return [{"title": title, "svg": _differences(rows, lost["metric"], name)} for name, title, rows in drawn]


def _named(kinds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "group": name} for name, row in words.attribute_rows(kinds)[:MOST_DRAWN]]


def _differences(rows: Sequence[Mapping[str, Any]], metric: str, name: str) -> str:
    known = [dict(row) for row in rows if figures.known(row.get("difference")) is not None]
    names = [str(row["group"]) for row in known]
    return charts.differences(known, names, ["student"] * len(known), metric, name=name) if known else ""


def _tables(lost: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Caption, head, rows of cells; users first."""
    users, items = (words.USER_HEAD, words.user_cells), (words.ITEM_HEAD, words.item_cells)
    found = [("Users by length of history", *users, [lost["total"], *lost["by_history"]])]
    found += [(f"Users by {kind['attribute']}", *users, kind["groups"]) for kind in lost["by_user"]]
    found += [("Wanted items by popularity", *items, lost["by_popularity"])]
    found += [(f"Wanted items by {kind['attribute']}", *items, kind["groups"]) for kind in lost["by_item"]]
    tables = []
    for caption, head, cells, rows in found:
        kept = words.filled([head, *(cells(row) for row in rows)])
        named = [(row["group"], told) for row, told in zip(rows, kept[1:], strict=True)]
        tables.append({"caption": caption, "head": kept[0], "rows": named})
    return tables
