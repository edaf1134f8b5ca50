"""`recdistill run`: from a log to a distilled student, its report and a folder that a service can load."""

from __future__ import annotations

import argparse
from pathlib import Path

from recdistill.cli.log_options import add_filter_arguments, add_log_arguments, add_split_arguments

HELP = "train a teacher and a student on a log, compare them, write report and artifacts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", metavar="FOLDER", required=True, help="the run's folder; the same folder goes on where it stopped"
    )
    parser.add_argument(
        "--config", metavar="FILE.toml", help="settings as in a run's config.toml; the options here go before it"
    )
    add_log_arguments(parser)
    add_filter_arguments(parser)
    add_split_arguments(parser)
    add_common_arguments(parser)


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """What every verb that trains takes."""
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="train N times with seeds 0 … N-1 and report means (default 1)"
    )
    parser.add_argument("--k", metavar="K[,K]", help="cut-offs of the metrics (default 10,20)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), help="where to train (default auto)")
    parser.add_argument("--minutes", type=float, metavar="M", help="plan one seed for about M minutes (default 60)")
    parser.add_argument(
        "--memory", metavar="SIZE", help="plan for this much memory, for instance 16GB (default 80 %% of the limit)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="any setting, for instance teacher.dim=128"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress on the terminal")


def main(options: argparse.Namespace) -> int:
    from recdistill.runs.config import RunConfig

    return execute(RunConfig.from_options(options), Path(options.out), quiet=options.quiet)


def execute(config: object, out: Path, *, quiet: bool) -> int:
    """Run, print the comparison, say where everything is and what to try next."""
    from recdistill.report.table import comparison_table
    from recdistill.runs.pipeline import run
    from recdistill.training.progress import NullProgress, TqdmProgress

    report = run(config, out, progress=NullProgress() if quiet else TqdmProgress())  # type: ignore[arg-type]
    print(comparison_table(report))
    print(f"\nReport     {out / 'report.html'}   (numbers: report.json, per user: per_user/)")
    student = out / "artifacts" / "student"
    print(f"Student    {student}")
    print("\nTry next")
    tenth = max(1, round(report["models"]["student"]["bytes"] / 10_000))
    for line, what in (
        (f"recommend {student} --k 5", "recommendations for a history that you give"),
        (f"serve {student}", "the same over HTTP"),
        (f"doctor {student}", "check the folder and its bytes"),
        (f"compress {out} --budget {tenth}kB", "the best student in a tenth of its bytes"),
    ):
        print(f"  recdistill {line:{len(str(student)) + 18}}{what}")
    return 0
