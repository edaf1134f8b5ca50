"""Architecture search under a budget against the student that `recdistill compress` finds without it, at equal bytes.

    python benchmarks/search.py lastfm-lightgcn [--budgets 50kB 100kB] [--minutes 20]

Of the run of `benchmarks/frontier.py` on the log, which comes first. Both are chosen on valid with seed 0 and trained
with the run's seeds; the report's figures on test are kept, and their difference by user.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from common import RESULTS, WORK, recdistill, write

KEPT = ("bytes", "chosen", "metrics", "metrics_by_seed")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", help="of which runs/benchmarks/frontier-LOG is there")
    parser.add_argument("--budgets", nargs="+", default=["50kB", "100kB"])
    parser.add_argument("--minutes", type=float, default=20)
    options = parser.parse_args()
    run, path = WORK / f"frontier-{options.log}", RESULTS / f"search-{options.log}.json"
    if not (run / "report.json").is_file():
        raise SystemExit(f"{run}: no run; begin with python benchmarks/frontier.py {options.log}")
    found: dict[str, Any] = json.loads(path.read_text())["budgets"] if path.is_file() else {}
    for budget in options.budgets:
        done = recdistill("compress", run, "--budget", budget, "--search", options.minutes, "--quiet")
        print(done["output"], flush=True)
        report = json.loads((run / "report.json").read_text())
        names = f"student_{budget}_searched", f"student_{budget}"
        found[budget] = {
            "minutes": options.minutes,
            "seconds": done["seconds"],
            "models": {name: {part: report["models"][name][part] for part in KEPT} for name in names},
            "comparisons": [row for row in report["comparisons"] if {row["a"], row["b"]} == {*names}],
        }
        write(path.stem, {"log": options.log, "budgets": found})
