"""Claim: MovieLens in its own layouts, one command each; by time, per user, and for people never seen in training.

python benchmarks/movielens.py global-time ratio user-folds     (ML-1M, three seeds each)
python benchmarks/movielens.py layouts                          (four logs with nothing but their path, one seed)
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from typing import Any

from common import LOGS, WORK, figures, recdistill, write

SEEDS = 3
LAYOUTS = ("ml-latest-small.zip", "ml-100k/u.data", "ml-100k/ml-100k.inter", "ml-1m.zip")


def kept(report: dict[str, Any]) -> dict[str, Any]:
    """What the claims speak of, by the report's own numbers."""
    models = report["models"]
    rows = {(row["a"], row["b"]): row for row in report["comparisons"] if row["metric"] == "ndcg@20"}
    student = models["student"]
    found: dict[str, Any] = {
        "student_of_teacher": student["metrics"]["ndcg@20"] / models["teacher"]["metrics"]["ndcg@20"],
        "against": {
            f"{a} - {b}": {name: row[name] for name in ("difference", "standard_error", "beyond_spread")}
            for (a, b), row in rows.items()
        },
        "cold_test_users": student["groups"]["cold"]["users"],
    }
    if "seen_metrics" in student:
        found["unseen_of_seen"] = {
            name: model["metrics"]["ndcg@20"] / model["seen_metrics"]["ndcg@20"] for name, model in models.items()
        }
    return found


def split(name: str, *, resume: bool) -> None:
    """ML-1M by its name, brought from a zip, split in the way of this name."""
    out = WORK / f"ml-1m-{name}"
    if not resume:
        shutil.rmtree(out, ignore_errors=True)
    done = recdistill("run", "--dataset", "ml-1m", "--split", name, "--seeds", SEEDS, "--out", out)
    print(done["output"], flush=True)
    report = json.loads((out / "report.json").read_text())
    events = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    taken = round(sum(event.get("seconds", 0) for event in events) / SEEDS, 1)
    write(f"movielens-{name}", {"seconds_a_seed": taken, **kept(report), **figures(report)})


def layouts(*, resume: bool) -> None:
    found = {}
    for name in LAYOUTS:
        out = WORK / f"layout-{name.replace('/', '-')}"
        if not resume:
            shutil.rmtree(out, ignore_errors=True)
        done = recdistill("run", "--log", LOGS / name, "--out", out)
        print(name, done["output"], sep="\n", flush=True)
        report = json.loads((out / "report.json").read_text())
        found[name] = {
            "data": report["data"],
            "protocol": report["protocol"],
            "ndcg@20": {model: entry["metrics"]["ndcg@20"] for model, entry in report["models"].items()},
        }
    write("movielens-layouts", found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=("global-time", "ratio", "user-folds", "layouts"))
    parser.add_argument("--resume", action="store_true", help="go on in the folders of an earlier call")
    options = parser.parse_args()
    os.environ["RECDISTILL_DATA"] = str(WORK / "datasets")
    recdistill("data", "fetch", "ml-1m", "--from", LOGS / "ml-1m.zip")
    for what in options.what:
        layouts(resume=options.resume) if what == "layouts" else split(what, resume=options.resume)
