"""What the table says, in words: nothing here is kinder than the numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from recdistill.comparison.table import METRIC
from recdistill.report import figures
from recdistill.report.figures import PLUS_MINUS

Row = Mapping[str, Any]
BEYOND = "*"
"""At a difference that is beyond the spread."""
UNPAIRED = "~"
"""At one whose error is an upper bound."""
LABELS = {
    "teacher": "teacher",
    "default": "default",
    "alone": "student alone",
    "teacher_svd": "teacher SVD",
    "shuffled": "shuffled teacher",
    "single": "default, best single teacher",
}
KINDS = {"two_tower": "two-tower", "ease": "EASE", "als": "iALS", "ensemble": "the ensemble"}


def label(method: str) -> str:
    return LABELS.get(method, method)


def measured_rows(table: Row, log: str) -> list[Row]:
    """Of one log, best first; the teacher leads."""
    rows = [row for row in table["rows"] if row["log"] == log and row["status"] == "measured"]
    return sorted(rows, key=lambda row: (row["method"] != "teacher", row["dim"] or 0, -row["metrics"][METRIC]))


def cannot_rows(table: Row, log: str) -> list[Row]:
    return [row for row in table["rows"] if row["log"] == log and row["status"] == "cannot"]


def mean_rows(table: Row, dim: int) -> list[Row]:
    """Over the logs, best first; methods that lack a log come after, by how many they have and what they gain there."""
    rows = [row for row in table["mean"] if row["dim"] == dim]
    reached = {id(row): row["metrics"][METRIC] if row["all_logs"] else _gain(row) for row in rows}
    return sorted(rows, key=lambda row: (-len(row["logs"]), -reached[id(row)]))


def _gain(row: Row) -> float:
    """Over the student alone on the same logs: means over different logs do not compare."""
    told = row["against"].get("alone")
    return 0.0 if told is None else float(told["difference"])


def difference(told: Row | None) -> str:
    """`+.0021*`: the star says beyond the spread, the tilde that the error is an upper bound."""
    if told is None:
        return ""
    marks = (BEYOND if told["beyond_spread"] else "") + ("" if told["paired"] else UNPAIRED)
    return figures.difference(told["difference"]) + marks


def share(row: Row) -> str:
    """Of the gap to the teacher; nothing where that is within the spread."""
    found = (row.get("gap_recovered") or {}).get("gap_recovered")
    return "" if found is None else figures.percent(found).replace("-", figures.MINUS)


def with_spread(row: Row) -> str:
    text = figures.quality(row["metrics"][METRIC])
    spread = row.get("spread", {}).get(METRIC)
    return text if spread is None else f"{text} {PLUS_MINUS} {figures.quality(spread)}"


def teacher_line(told: Row) -> str:
    """Who teaches a log, and what the others reach on valid."""
    choice = told["choice"]
    if choice is None:
        return "The teacher is not measured yet."
    kinds = sorted(choice["valid_ndcg"], key=lambda kind: -choice["valid_ndcg"][kind])
    reached = ", ".join(f"{KINDS.get(kind, kind)} {figures.quality(choice['valid_ndcg'][kind])}" for kind in kinds)
    skipped = "".join(f" {KINDS.get(kind, kind)} {why}." for kind, why in choice["skipped"].items())
    best = KINDS.get(choice["kind"], choice["kind"])
    return f"Teacher: {best}, the best on valid (NDCG@20 {reached}).{skipped}"


def counts_line(name: str, told: Row) -> str | None:
    """At which dimensions a log does not count."""
    out = [dim for dim, counts in told["counts"].items() if counts is False]
    if not out:
        return None
    sizes = ", ".join(f"d={dim}" for dim in out)
    return f"{name} does not count at {sizes}: the student alone is not above the cut teacher there."


def claims(table: Row) -> list[str]:
    """How the default stands: against every method over the logs, against the student alone on each, the gap.

    The dimension with the most methods comes first.
    """
    lines = []
    for dim in sorted(table["dims"], key=lambda dim: -len(mean_rows(table, dim))):
        rows = {row["method"]: row for row in mean_rows(table, dim)}
        if "default" not in rows:
            continue
        default = rows["default"]["metrics"][METRIC]
        others = [row for name, row in rows.items() if name not in ("default", "alone", "teacher_svd", "shuffled")]
        same = [row for row in others if row["logs"] == rows["default"]["logs"]]
        if same:
            above = [row["method"] for row in same if row["metrics"][METRIC] > default]
            near = [row["method"] for row in same if not _below(row)]
            lines.append(
                f"d={dim}: the default reaches {figures.quality(default)} {_logs(rows['default'])}; "
                + (f"above it: {_listed(above)}; " if above else f"{_none_of(len(same))} above it; ")
                + (
                    f"not below it beyond the spread: {_listed(near)}."
                    if near
                    else "all are below it beyond the spread."
                )
            )
        beside = _against(table, "default", "alone", dim)
        lower = [row for row in beside if row["told"]["difference"] < 0]
        worse = [row["log"] for row in lower if row["told"]["beyond_spread"]]
        level = [row["log"] for row in lower if not row["told"]["beyond_spread"]]
        if beside:
            where = f"On {_listed(worse)} it is below" if worse else "On no log is it below"
            within = f" On {_listed(level)} it is lower within the spread: level." if level else ""
            lines.append(f"d={dim}: {where} the student alone{' beyond the spread' if lower else ''}.{within}")
        shuffled = [row["log"] for row in _against(table, "shuffled", "alone", dim) if _gains(row["told"])]
        if _against(table, "shuffled", "alone", dim):
            lines.append(
                f"d={dim}: the shuffled teacher gains on {_listed(shuffled)}: that is not knowledge of anybody."
                if shuffled
                else f"d={dim}: the shuffled teacher gives no gain."
            )
    gap = table["gap"]
    if gap["median"] is not None:
        cells = ", ".join(f"{name} {figures.percent(share)}" for name, share in gap["default"].items())
        lines.append(
            f"Of the gap to the teacher the default recovers {figures.percent(gap['median'])} (median; {cells})."
        )
    return lines


def notes(table: Row) -> list[str]:
    """What a reader must know beside the numbers: logs that do not count, methods with another teacher or none."""
    found = [line for name, told in table["logs"].items() if (line := counts_line(name, told))]
    told_by: dict[str, list[str]] = {}
    for row in table["rows"]:
        teacher = row.get("teacher") or {}
        if row["status"] == "cannot":
            told_by.setdefault(f"cannot be trained on {row['log']}: {row['reason']}", []).append(row["method"])
        elif teacher.get("note"):
            kind = KINDS.get(teacher["kind"], teacher["kind"])
            told_by.setdefault(f"on {row['log']} learn from {kind}: {teacher['note']}", []).append(row["method"])
    found += [f"{_listed(dict.fromkeys(methods))}: {what}." for what, methods in told_by.items()]
    return found


def _none_of(methods: int) -> str:
    return "the one other method is not" if methods == 1 else f"none of {methods} methods is"


def _below(row: Row) -> bool:
    told = row["against"].get("default")
    return told is not None and told["beyond_spread"] and told["difference"] < 0


def _gains(told: Row) -> bool:
    return bool(told["beyond_spread"]) and told["difference"] > 0


def _against(table: Row, a: str, b: str, dim: int) -> list[dict[str, Any]]:
    rows = [row for row in table["rows"] if row["method"] == a and row["dim"] == dim and row["status"] == "measured"]
    return [{"log": row["log"], "told": row["against"][b]} for row in rows if b in row["against"]]


def _logs(row: Row) -> str:
    return f"on {row['logs'][0]}" if len(row["logs"]) == 1 else f"over {len(row['logs'])} logs"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(label, names)) or "none"
