"""Put the committed results into the README, between its markers, and what was measured of each method into
docs/methods.md; a test holds both to them.

python benchmarks/tables.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from recdistill.comparison.text import markdown

ROOT = Path(__file__).resolve().parent.parent
LABELS = {
    "teacher": "teacher: two-tower, d=256, user id + history",
    "student": "**student**: two-tower, d=32, history only, distilled",
    "student_int8": "student, 8 bits a number",
    "student_alone": "the same student trained alone, same search",
    "teacher_svd": "the teacher cut to d=32 by SVD",
    "ease": "EASE",
    "als": "iALS, d=64",
    "popularity": "popularity",
}


def table(result: dict[str, Any]) -> str:
    """Markdown: NDCG@20, Recall@20, size and speed of every model that is worth a line."""
    lines = ["| | NDCG@20 | Recall@20 | size | users/s |", "|---|---|---|---|---|"]
    for name, label in LABELS.items():
        if name in result["models"]:
            model = result["models"][name]
            ndcg, recall = (f"{model['metrics'][metric]:.4f}".removeprefix("0") for metric in ("ndcg@20", "recall@20"))
            lines.append(
                f"| {label} | {ndcg} | {recall} | {size(model['bytes'])} | {model['queries_per_second']:,.0f} |"
            )
    for who, metrics in result["published"].items():
        ndcg, recall = (f"{metrics[metric]:.4f}".removeprefix("0") for metric in ("ndcg@20", "recall@20"))
        lines.append(f"| *{who}, published* | {ndcg} | {recall} | | |")
    return "\n".join(lines)


COMBINED = {
    "floats whole": "–",
    "floats pruned": "pruned",
    "bits whole": "quantised",
    "mixed whole": "quantised, rare items more,",
    "bits pruned": "pruned and quantised",
}
"""The cells of benchmarks/combinations.py, and what was done in them beside distilling."""


def combined(result: dict[str, Any]) -> str:
    """Markdown: NDCG@20 on test of every combination, trained so and converted afterwards, at each size."""
    sizes = list(result["budgets"])
    ways = [(taught, size) for size in sizes for taught in ("alone", "distilled")]
    lines = ["| | " + " | ".join(f"{size}, {taught}" for taught, size in ways) + " |", "|---" * (1 + len(ways)) + "|"]
    for part, told in (("trained", "while training"), ("afterwards", "afterwards")):
        for cell, label in COMBINED.items():
            entries = [
                result["budgets"][size][part].get(f"{taught} {cell}")
                or result["budgets"][size][part].get(taught, {}).get(cell)
                for taught, size in ways
            ]
            if any(entries):
                named = "half floats" if label == "–" else f"{label} {told}"
                values = [f"{one['test']:.4f}".removeprefix("0") if one else "" for one in entries]
                lines.append(f"| {named} | {' | '.join(values)} |")
    return "\n".join(lines)


def size(number: int) -> str:
    return f"{number / 1e6:.3g} MB" if number >= 1e6 else f"{number / 1e3:.3g} kB"


def filled(readme: str) -> str:
    """The README with every `<!-- result: NAME -->` block made anew from benchmarks/results/NAME.json, and every
    `<!-- comparison: D -->` block from benchmarks/compare/table.json, of students of D numbers an item; every
    `<!-- combinations: LOG -->` block from benchmarks/results/combinations-LOG.json."""

    def fill(match: re.Match[str]) -> str:
        result = json.loads((ROOT / "benchmarks" / "results" / f"{match[1]}.json").read_text())
        return f"<!-- result: {match[1]} -->\n{table(result)}\n<!-- end -->"

    def compared(match: re.Match[str]) -> str:
        found = json.loads((ROOT / "benchmarks" / "compare" / "table.json").read_text())
        return f"<!-- comparison: {match[1]} -->\n{markdown(found, int(match[1]))}\n<!-- end -->"

    def together(match: re.Match[str]) -> str:
        path = ROOT / "benchmarks" / "results" / f"combinations-{match[1]}.json"
        found = combined(json.loads(path.read_text())) if path.is_file() else "Not measured yet."
        return f"<!-- combinations: {match[1]} -->\n{found}\n<!-- end -->"

    readme = re.sub(r"<!-- combinations: ([\w-]+) -->\n.*?<!-- end -->", together, readme, flags=re.DOTALL)
    readme = re.sub(r"<!-- comparison: (\d+) -->\n.*?<!-- end -->", compared, readme, flags=re.DOTALL)
    return re.sub(r"<!-- result: ([\w-]+) -->\n.*?<!-- end -->", fill, readme, flags=re.DOTALL)


MEASURED_DIM = 32
"""Of the students in docs/methods.md."""
OTHERS = {
    "hard_labels_softplus": "hard_labels", "hetcomp_ranking": "hetcomp", "pckd_list": "pckd", "mutual_bce": "mutual",
}  # fmt: skip
"""Second names of an objective, and the one that it is compared by."""


def measured(page: str) -> str:
    """docs/methods.md with every method's line of what was measured here, from benchmarks/compare/table.json."""
    path = ROOT / "benchmarks" / "compare" / "table.json"
    rows = json.loads(path.read_text())["rows"] if path.is_file() else []
    found = {
        (row["log"], row["method"]): row for row in rows if row["dim"] == MEASURED_DIM and row["status"] == "measured"
    }

    def fill(match: re.Match[str]) -> str:
        names = re.findall(r"`(\w+)`", match[1])
        told = [
            _told(log, row, found[log, "default"], found[log, "alone"])
            for (log, name), row in found.items()
            if name in {OTHERS.get(one, one) for one in names} and {(log, "default"), (log, "alone")} <= found.keys()
        ]
        return f"### {match[1]} ·{match[2]}- Measured here: {'; '.join(told) or 'not yet'}.\n"

    return re.sub(
        r"^### (`[^\n]*?`) ·(.*?)- Measured here: .*?\.\n(?=\n|\Z)", fill, page, flags=re.MULTILINE | re.DOTALL
    )


def _told(log: str, row: dict[str, Any], default: dict[str, Any], alone: dict[str, Any]) -> str:
    """NDCG@20 on test of students with the same dimension, and what an epoch of training costs beside the other's."""
    score, by_default, without = (f"{one['metrics']['ndcg@20']:.4f}".lstrip("0") for one in (row, default, alone))
    seeds = "one seed" if len(row["seeds"]) == 1 else f"{len(row['seeds'])} seeds"
    return f"{log}, NDCG@20 {score}, the student alone {without}, by default {by_default} ({seeds})"


if __name__ == "__main__":
    for name, make in (("README.md", filled), ("docs/methods.md", measured)):
        path = ROOT / name
        path.write_text(make(path.read_text(encoding="utf-8")), encoding="utf-8")
