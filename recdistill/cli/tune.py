"""`recdistill tune`: settings of a model that suit a log, searched for some minutes."""

from __future__ import annotations

import argparse
import shlex
import time
from pathlib import Path

from recdistill.cli.log_options import add_filter_arguments, add_log_arguments, add_split_arguments

HELP = "search a model's settings on the valid rows of a log, for --config of recdistill run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", metavar="FOLDER", required=True, help="the search's folder; the same folder goes on where it stopped"
    )
    parser.add_argument(
        "--kind", dest="teacher.kind", metavar="KIND", help="two_tower, ease, als or svd (default two_tower)"
    )
    parser.add_argument(
        "--minutes", type=float, metavar="M", help="start no trial that would end later (default 60, without --trials)"
    )
    parser.add_argument("--trials", type=int, metavar="N", help="end after N trials (default 100, within --minutes)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of trials, models and samples (default 0)")
    parser.add_argument(
        "--max-users",
        type=int,
        default=20_000,
        metavar="N",
        help="search on so many users of a log that has more (default 20000)",
    )
    add_log_arguments(parser)
    add_filter_arguments(parser)
    add_split_arguments(parser)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), help="where to train (default auto)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting that is not searched, for instance teacher.dim=128",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress on the terminal")
    parser.set_defaults(config=None, seeds=None, memory=None, k=None)


def main(options: argparse.Namespace) -> int:
    began = time.perf_counter()
    from recdistill.runs import inputs
    from recdistill.runs.config import RunConfig
    from recdistill.search.study import need_optuna
    from recdistill.search.tune import tune
    from recdistill.training.progress import NullProgress, TqdmProgress

    need_optuna()  # before a large log is read
    config, out = RunConfig.from_options(options), Path(options.out)
    kind, _ = config.model("teacher")
    split = inputs.make_split(inputs.read_log(config.data, config.filter), config)
    found = tune(
        split,
        kind,
        settings={name: value for name, value in config.teacher.items() if name != "kind"},
        minutes=options.minutes,
        trials=options.trials,
        seed=options.seed,
        max_users=options.max_users,
        device=config.device,
        out=out,
        progress=NullProgress() if options.quiet else TqdmProgress(),
        began=began,
    )
    print(found)
    print(f"\nBest       {out / 'best.toml'}   (every trial: tune.json)")
    print(f"\nTry next\n  {next_command(options)}")
    return 0


def next_command(options: argparse.Namespace) -> str:
    """`recdistill run` with what was found, on the same log and split."""
    words = ["recdistill", "run", *_log_words(options)]
    for assignment in options.set:
        if not assignment.startswith("teacher."):
            words += ["--set", assignment]
    folder = Path(options.out)
    return shlex.join([*words, "--config", str(folder / "best.toml"), "--out", f"{folder}-run"])


def _log_words(options: argparse.Namespace) -> list[str]:
    """The options of the log, its filters and its split as they were given."""
    known = argparse.ArgumentParser(add_help=False)
    for add in (add_log_arguments, add_filter_arguments, add_split_arguments):
        add(known)
    words = []
    for action in known._actions:
        value = getattr(options, action.dest)
        if value is not None:
            words += [action.option_strings[0], *([] if action.nargs == 0 else [str(value)])]
    return words
