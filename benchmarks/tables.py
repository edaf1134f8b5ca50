"""Put the committed results into the README, between its markers; a test holds the README to them.

python benchmarks/tables.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

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


def size(number: int) -> str:
    return f"{number / 1e6:.3g} MB" if number >= 1e6 else f"{number / 1e3:.3g} kB"


def filled(readme: str) -> str:
    """The README with every `<!-- result: NAME -->` block made anew from benchmarks/results/NAME.json."""

    def fill(match: re.Match[str]) -> str:
        result = json.loads((ROOT / "benchmarks" / "results" / f"{match[1]}.json").read_text())
        return f"<!-- result: {match[1]} -->\n{table(result)}\n<!-- end -->"

    return re.sub(r"<!-- result: ([\w-]+) -->\n.*?<!-- end -->", fill, readme, flags=re.DOTALL)


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
