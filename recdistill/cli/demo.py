"""`recdistill demo`: the main job on the sample log that comes with the project."""

from __future__ import annotations

import argparse
from pathlib import Path

from recdistill.cli.log_options import add_split_arguments
from recdistill.cli.run import add_common_arguments, execute

HELP = "run the whole way on a small generated log of film viewings"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="FOLDER", default="runs/demo", help="the run's folder (default runs/demo)")
    add_split_arguments(parser)
    add_common_arguments(parser)


def main(options: argparse.Namespace) -> int:
    from recdistill.data.synthetic import demo_log_path
    from recdistill.runs.config import RunConfig

    setattr(options, "data.log", str(demo_log_path()))
    options.config = None
    print("The log of this demo is generated: people and films are made up, what the models find in it is not.\n")
    return execute(RunConfig.from_options(options), Path(options.out), quiet=options.quiet)
