"""`recdistill compress RUN --budget 125kB`, `--latency 50us`: the best student of a run's teacher within a limit."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

HELP = "from a finished run, train the best student within so many bytes, or as fast, and add it to the report"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="the folder of a run; the same command goes on where it stopped")
    parser.add_argument(
        "--budget", action="append", default=[], metavar="SIZE", help="like 125kB; may be given several times"
    )
    parser.add_argument(
        "--latency",
        action="append",
        default=[],
        metavar="TIME",
        help="like 50us, in which one user is answered on this machine, the median; a student of its own",
    )
    parser.add_argument(
        "--search",
        type=float,
        metavar="MINUTES",
        help="search shape and settings for so long within each limit, beside the default; again with more goes on",
    )
    parser.add_argument("--trials", type=int, metavar="N", help="end the search after N trials")
    parser.add_argument("--json", action="store_true", help="print what was tried as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress on the terminal")


def main(options: argparse.Namespace) -> int:
    import json

    from recdistill.compression.limits import Search
    from recdistill.compression.sizes import budget_name, parsed_size, size_in_bytes
    from recdistill.compression.times import parsed_time, time_in_seconds, time_name
    from recdistill.errors import ConfigError
    from recdistill.report.findings import gain, promise
    from recdistill.report.table import comparison_table
    from recdistill.runs.config import RunConfig
    from recdistill.runs.pipeline import run
    from recdistill.search.study import need_optuna
    from recdistill.training.progress import NullProgress, TqdmProgress

    if not options.budget and not options.latency:
        raise ConfigError("compress: give --budget 125kB, --latency 50us, or both")
    for budget in options.budget:
        if parsed_time(budget) is not None:
            raise ConfigError(
                f"compress: --budget {budget} is a time, and a budget is in bytes; give --latency {budget}"
            )
        size_in_bytes(budget)
    for latency in options.latency:
        if parsed_size(latency) is not None:
            raise ConfigError(f"compress: --latency {latency} is a size; give --budget {latency}")
        time_in_seconds(latency)
    if (options.search is not None and not options.search > 0) or (options.trials is not None and options.trials < 1):
        raise ConfigError("compress: give --search minutes above 0, --trials at least 1")
    names = [*map(budget_name, options.budget), *map(time_name, options.latency)]
    out = Path(options.run)
    progress = NullProgress() if options.quiet or options.json else TqdmProgress()
    config = RunConfig.of_run(out)
    searches = []
    if options.search is not None or options.trials is not None:
        need_optuna()
        searches = [Search(name, options.search, options.trials) for name in names]
    report = run(config.with_limits(*names, *map(str, searches)), out, progress=progress)
    models = [*(f"student_{name}" for name in names), *(search.model for search in searches)]
    added = {name: report["models"][name] for name in models}
    if options.json:
        print(json.dumps(added, indent=2))
        return 0
    for name, entry in added.items():
        how = "part of the epochs only compares shapes; of whole trainings the best mean over seeds is chosen"
        print(f"{name}: tried, on valid ({how})\n{_tried(entry)}\n")
        for told in (promise(entry), gain(entry)):
            if told:
                print(f"{name}: {told}\n")
    print(comparison_table(report))
    for name in added:
        print(f"\nStudent    {out / 'artifacts' / name}")
    return 0


def _tried(entry: Mapping[str, Any]) -> str:
    """A line for every training, the one that was chosen marked: short ones only compare shapes."""
    from recdistill.report import figures, findings
    from recdistill.report.table import aligned

    rows = [["", "label share", "dropout", "rate", "size", "epochs", "NDCG@20"]]
    for one in entry["tried"]:
        told = one["settings"]
        tables = ", two tables" if told.get("table") == "full" else ""
        chosen = " (chosen)" if findings.won(entry, one) else ""
        rows.append([
            f"{told['codec']}, d={told['dim']}{tables}{chosen}",
            *(figures.quality(told.get(name), 1) for name in ("label_share", "history_dropout")),
            figures.amount(told.get("learning_rate")),
            figures.size(one["bytes"]), figures.percent(one["epochs_share"]), findings.reached(one),
        ])  # fmt: skip
    return "\n".join(aligned(rows))
