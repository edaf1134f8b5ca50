"""`recdistill compare`: methods of distillation side by side, on one log or several."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from recdistill.cli.log_options import add_filter_arguments, add_log_arguments, add_split_arguments

HELP = "compare methods of distillation: one student, one search for all, one teacher for each log"
PAGE, WORK = "compare.html", "work"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_log_arguments(parser, many=True)
    parser.add_argument(
        "--methods", metavar="NAME[,NAME]", help="default,alone,rrd,…, several as one with +, or all (default all)"
    )
    parser.add_argument("--dims", metavar="D[,D]", help="of the students; the first is searched at (default 32)")
    parser.add_argument("--seeds", type=int, metavar="N", help="train N times with seeds 0 … N-1 (default 1)")
    parser.add_argument("--trials", type=int, metavar="N", help="of half length, for each method (default 8)")
    parser.add_argument(
        "--out", metavar="FOLDER", default="runs/compare", help="of the cells and the table (default %(default)s)"
    )
    parser.add_argument("--work", metavar="FOLDER", help=f"of teachers and knowledge (default {WORK} within --out)")
    parser.add_argument("--resume", action="store_true", help="take the cells of --out that are still right")
    add_filter_arguments(parser)
    add_split_arguments(parser)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), help="where to train (default auto)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any setting, for instance teacher.two_tower.dim=128, student.table=tied, members=two_tower,ease",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress on the terminal")


def main(options: argparse.Namespace) -> int:
    from recdistill.comparison.comparing import compare
    from recdistill.comparison.recipes import recipes_of
    from recdistill.comparison.settings import comparison_of, named_logs, splits_of
    from recdistill.comparison.text import text_table
    from recdistill.report.compare_page import write_page
    from recdistill.training.progress import NullProgress, TqdmProgress

    config = comparison_of(options)
    recipes_of(config.methods)  # refused before a large log is read
    logs = named_logs(options)
    out = Path(options.out)
    table = compare(
        splits_of(options, logs), config, out=out, work=options.work or out / WORK, resume=options.resume,
        progress=NullProgress() if options.quiet else TqdmProgress(),
    )  # fmt: skip
    write_page(table, out / PAGE, command=_command())
    print(text_table(table))
    print(f"\nPage       {out / PAGE}   (numbers: table.json; each cell is a file beside it)")
    return 0


def _command() -> str:
    """As it was given; of paths what a reader needs."""
    words = sys.argv[1:] if Path(sys.argv[0]).name == "recdistill" else []
    shown = ["/".join(Path(word).parts[-2:]) if word.startswith("/") else word for word in words]
    return shlex.join(["recdistill", *shown]) if words else ""
