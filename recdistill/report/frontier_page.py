"""A frontier as one HTML file that opens anywhere: no script, nothing fetched, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recdistill.report import figures, page
from recdistill.report import frontier_text as words
from recdistill.report.frontier_chart import chart, role
from recdistill.report.frontier_text import Frontier
from recdistill.report.glossary import account_note


def write_page(told: Frontier, path: Path) -> None:
    """Draw the content of frontier.json; an older page is replaced when the new one is whole."""
    page.write(render(told), path)


def render(told: Frontier) -> str:
    """The page as text."""
    drawn, note = chart(told)
    verdicts = words.verdicts(told)
    return page.render(
        "frontier.html",
        {
            "title": told["data"].get("source") or "run",
            "verdict": verdicts[0],
            "verdicts": verdicts[1:],
            "svg": drawn,
            "note": note,
            "metric": figures.metric_name(words.metric_of(told)),
            "budgets": [{"name": budget, "rows": _rows(told, budget)} for budget in told["budgets"]],
            "role": role,
            "account_note": account_note(),
            "told": told,
        },
    )


def _rows(told: Frontier, budget: str) -> list[dict[str, Any]]:
    """The possible ones best first, then the impossible."""
    metric = words.metric_of(told)
    rows = []
    for way in told["ways"]:
        found = words.point(told, budget, way)
        rows.append({
            "way": way, "label": words.LABELS[way], "point": found, "cell": words.cell(told, budget, way),
            "row": words.against(told, budget, way),
        })  # fmt: skip
    return sorted(rows, key=lambda one: -one["point"]["metrics"][metric] if one["point"]["possible"] else 1.0)
