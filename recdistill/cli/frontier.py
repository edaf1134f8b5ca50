"""`recdistill frontier RUN`: quality against bytes, the distilled student beside every rival of its size."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "from a finished run, compare ways to a small model at equal bytes: distilled, alone, SVD, cast, PQ, pruned"
BUDGETS = "60kB,125kB,250kB"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="the folder of a run; the same command goes on where it stopped")
    parser.add_argument(
        "--budgets", default=BUDGETS, metavar="SIZE[,SIZE]", help=f"bytes of each model (default {BUDGETS})"
    )
    parser.add_argument("--json", action="store_true", help="print frontier.json instead of the table")
    parser.add_argument("--quiet", action="store_true", help="no progress on the terminal")


def main(options: argparse.Namespace) -> int:
    import json

    from recdistill.compression.sizes import budget_name, size_in_bytes
    from recdistill.report import frontier_text
    from recdistill.runs.config import RunConfig
    from recdistill.runs.frontier import frontier
    from recdistill.training.progress import NullProgress, TqdmProgress

    budgets = tuple(dict.fromkeys(budget_name(part) for part in options.budgets.split(",") if size_in_bytes(part)))
    out = Path(options.run)
    progress = NullProgress() if options.quiet or options.json else TqdmProgress()
    told = frontier(RunConfig.of_run(out), out, budgets, progress=progress)
    if options.json:
        print(json.dumps(told, indent=2))
        return 0
    print(frontier_text.table(told))
    print("\n" + "\n".join(frontier_text.verdicts(told)))
    print(f"\nPage       {out / 'frontier.html'}   (numbers: frontier.json)")
    return 0
