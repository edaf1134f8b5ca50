"""Claim: `recdistill compress RUN --budget 125kB` takes no more than 20 minutes on two cores, and a budget that nothing
fits is refused with the least that does.

    python benchmarks/compress.py ml-1m-lcfn [--budget 125kB] [--impossible 1kB]

One `recdistill run` as `frontier.py` makes it, with one seed; then `compress` from nothing: what an earlier call of
this script found for a budget is removed before. The load of the machine is told with the seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys

from common import WORK, log_path, recdistill, write
from frontier import ENSEMBLE, OTHER, PLANS, QUICK

MINUTES = 20


def refused(*words: str) -> dict[str, object]:
    """What a command that cannot be done says, and its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "recdistill.cli.main", *words], text=True, capture_output=True, check=False
    )
    return {"exit_code": done.returncode, "said": done.stderr.strip().splitlines()[-1]}


def measure(log: str, budget: str, impossible: str) -> None:
    plan, out = PLANS.get(log, OTHER), WORK / f"compress-{log}"
    settings = [*QUICK, *(ENSEMBLE if plan.teacher == "ensemble" else ())]
    words = [word for one in settings for word in ("--set", one)]
    recdistill("run", "--log", log_path(log), "--split-column", "split", "--out", out, "--quiet", *words)
    shutil.rmtree(out / "steps" / "budget", ignore_errors=True)
    before = os.getloadavg()[0]
    done = recdistill("compress", out, "--budget", budget, "--quiet", "--json")
    load = {"before": round(before, 2), "after": round(os.getloadavg()[0], 2)}
    student = json.loads((out / "report.json").read_text())["models"][f"student_{budget}"]
    told = json.loads(done["output"])
    kept = {name: student[name] for name in ("bytes", "dimension", "metrics", "valid_metrics")}
    write(
        f"compress-{log}",
        {
            "asked": {"budget": budget, "settings": settings},
            "seconds": done["seconds"],
            "within_minutes": {"minutes": MINUTES, "holds": done["seconds"] <= 60 * MINUTES},
            "load_of_a_minute": load,
            "student": kept,
            "told": told,
            "impossible": {"budget": impossible, **refused("compress", str(out), "--budget", impossible, "--quiet")},
        },
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", nargs="?", default="ml-1m-lcfn")
    parser.add_argument("--budget", default="125kB")
    parser.add_argument("--impossible", default="1kB")
    options = parser.parse_args()
    measure(options.log, options.budget, options.impossible)
