"""Claim: quality against bytes, by one run and `recdistill compress`.

    python benchmarks/bytes.py ml-1m-lcfn [--budgets 30kB 60kB 125kB 250kB] [--seeds 3]

The teacher is an ensemble; a single two-tower of d=256 stands beside it. Codec, dimension and settings are chosen on
valid with seed 0. What training through codes costs: post_training.py.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from common import WORK, log_path, recdistill, write

METRIC = "ndcg@20"


def figures(entry: dict[str, Any]) -> dict[str, Any]:
    """Of a model in the report."""
    kept = ("bytes", "dimension", "chosen", "metrics", "metrics_by_seed", "valid_metrics", "latency_ms", "seconds")
    return {name: entry[name] for name in kept} | ({"tried": entry["tried"]} if "tried" in entry else {})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log")
    parser.add_argument("--budgets", nargs="+", default=["30kB", "60kB", "125kB", "250kB"])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    out = WORK / f"bytes-{options.log}"
    settings = ["teacher.kind=ensemble", "teacher.members=two_tower,ease", "baselines=two_tower,ease,popularity"]
    settings += ["search.trials=1"]  # of the float student, which is not what is measured here
    words = [word for one in settings for word in ("--set", one)]
    split_column = ["--split-column", "split"]
    begun = recdistill(
        "run", "--log", log_path(options.log), *split_column, "--out", out, "--seeds", options.seeds, "--quiet", *words
    )
    seconds = {"run": begun["seconds"]}
    for budget in options.budgets:
        seconds[budget] = recdistill("compress", out, "--budget", budget, "--quiet")["seconds"]
        report = json.loads((out / "report.json").read_text())
        entry = report["models"][f"student_{budget}"]
        print(
            f"{budget}: {entry['bytes']:,} B, {entry['chosen']['codec']}, d={entry['chosen']['dim']}, valid "
            f"{entry['valid_metrics'][METRIC]:.4f}, test {entry['metrics'][METRIC]:.4f}, {seconds[budget]:.0f} s",
            flush=True,
        )
    models = {name: figures(entry) for name, entry in report["models"].items()}
    result = {"log": options.log, "seconds": seconds, "models": models}
    result["comparisons"] = [row for row in report["comparisons"] if row["metric"] == METRIC]
    write(f"bytes-{options.log}", result)
