"""A comparison of methods as one HTML file that opens anywhere: no script, nothing fetched, light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recdistill.comparison import words
from recdistill.comparison.table import METRIC
from recdistill.report import compare_charts as charts
from recdistill.report import figures, page

Table = Mapping[str, Any]
POPULARITY = ("head", "mid", "tail")


def write_page(table: Table, path: Path, *, command: str = "") -> None:
    """Draw the content of table.json; an older page is replaced when the new one is whole."""
    page.write(render(table, command=command), path)


def render(table: Table, *, command: str = "") -> str:
    """The page as text."""
    claims = words.claims(table)
    return page.render(
        "compare.html",
        {
            "title": ", ".join(table["logs"]),
            "verdict": claims[0] if claims else "Nothing is measured yet.",
            "claims": claims[1:],
            "notes": words.notes(table),
            "metric": figures.metric_name(METRIC),
            "key": METRIC,
            "means": [_mean(table, dim) for dim in table["dims"]] if len(table["logs"]) > 1 else [],
            "logs": [_log(table, name, number) for number, name in enumerate(table["logs"])],
            "search": sorted(table["search"].items(), key=lambda pair: -(pair[1]["best"] or 0.0)),
            "settings": _settings,
            "label": words.label,
            "kinds": words.KINDS,
            "difference": words.difference,
            "with_spread": words.with_spread,
            "gap_share": words.share,
            "role": charts.role,
            "popularity": POPULARITY,
            "beyond": words.BEYOND,
            "unpaired": words.UNPAIRED,
            "command": command,
        },
    )


def _mean(table: Table, dim: int) -> dict[str, Any]:
    rows = words.mean_rows(table, dim)
    drawn = [row for row in rows if "alone" in row["against"] and row["all_logs"]]
    return {"dim": dim, "rows": rows, "svg": charts.against_alone(drawn, f"mean-{dim}")}


def _log(table: Table, name: str, number: int) -> dict[str, Any]:
    rows = words.measured_rows(table, name)
    drawn = sorted(
        (row for row in rows if "alone" in row["against"] and row["dim"] == min(table["dims"], key=_near_32)),
        key=lambda row: -row["metrics"][METRIC],
    )
    return {
        "name": name,
        "told": table["logs"][name],
        "rows": rows,
        "cannot": words.cannot_rows(table, name),
        "teacher": words.teacher_line(table["logs"][name]),
        "svg": charts.against_alone(drawn, f"log-{number}"),
        "dim": drawn[0]["dim"] if drawn else None,
    }


def _near_32(dim: int) -> int:
    return abs(dim - 32)


def _settings(values: Mapping[str, Any] | None) -> str:
    told: Sequence[tuple[str, Any]] = sorted((values or {}).items())
    return ", ".join(f"{name.removeprefix('method.')} {value}" for name, value in told)
