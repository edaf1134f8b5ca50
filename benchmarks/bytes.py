"""Claims: quality against bytes, by one run and `recdistill compress`; and what training through four bits costs.

    python benchmarks/bytes.py ml-1m-lcfn [--budgets 30kB 60kB 125kB 250kB] [--seeds 3] [--dim 64]

The teacher is an ensemble; a single two-tower of d=256 stands beside it. Codec, dimension and settings are chosen on
valid with seed 0. Then a student of --dim in floats (two tables, and one) and through int4, with the same settings, for
every seed, from the run's knowledge.
"""

from __future__ import annotations

import argparse
import json
import statistics
from typing import Any

from common import WORK, log_path, recdistill, write

import recdistill as rd
from recdistill.data import splits
from recdistill.evaluation.evaluator import evaluate_scorer

METRIC = "ndcg@20"
SETTINGS: dict[str, Any] = {"label_share": 0.3, "history_dropout": 0.0, "learning_rate": 1e-2, "user_id": False}
THROUGH: dict[str, dict[str, Any]] = {
    "floats, two tables": {"table": "full"},
    "floats, one table": {"table": "tied"},
    "int4": {"codec": "int4"},
    "int4, learned step": {"codec": "int4", "codec_step": "learned"},
}


def through(log: str, out: Any, dim: int, seeds: int) -> dict[str, Any]:
    """NDCG@20 of a student of `dim` numbers an item, in floats and through codes; the teacher is seed 0's."""
    split = splits.given(rd.read_interactions(log_path(log), split_column="split"))
    known = rd.Knowledge.load(out / "knowledge")
    found = {}
    for name, more in THROUGH.items():
        rows = []
        for seed in range(seeds):
            fresh = rd.TwoTower(dim=dim, **SETTINGS, **more)
            student = rd.distill(known, student=fresh, on=split.train, seed=seed, method="soft_labels")  # all alike
            parts = {"valid": split.valid, "test": split.test}
            rows.append({
                part: evaluate_scorer(student.scorer, split, held, metrics=(METRIC,)).metrics[METRIC]
                for part, held in parts.items() if held is not None
            })  # fmt: skip
            print(f"d={dim}, {name}, seed {seed}: {rows[-1]}", flush=True)
        means = {part: round(statistics.fmean(row[part] for row in rows), 5) for part in rows[0]}
        found[name] = {"bytes": student.scorer.nbytes, "mean": means, "by_seed": rows}
    return found


def figures(entry: dict[str, Any]) -> dict[str, Any]:
    """Of a model in the report."""
    kept = ("bytes", "dimension", "chosen", "metrics", "metrics_by_seed", "valid_metrics", "latency_ms", "seconds")
    return {name: entry[name] for name in kept} | ({"tried": entry["tried"]} if "tried" in entry else {})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log")
    parser.add_argument("--budgets", nargs="+", default=["30kB", "60kB", "125kB", "250kB"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--without-through", action="store_true", help="the budgets alone")
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
    if not options.without_through:
        result["through"] = through(options.log, out, options.dim, options.seeds)
        write(f"bytes-{options.log}", result)
