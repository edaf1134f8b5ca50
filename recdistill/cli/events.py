"""`recdistill events export STATE --out FILE`: what people did while the service ran, as a log for the next run."""

from __future__ import annotations

import argparse

from recdistill.cli.sub_verbs import SubVerb, add_sub_verbs, run_sub_verb

HELP = "make the events of a service into a log for the next run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_sub_verbs(parser, SUB_VERBS)


def main(options: argparse.Namespace) -> int:
    return run_sub_verb(options)


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "state", metavar="STATE", help="the service's state folder, the artifact that it serves, or events.sqlite"
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="a new .parquet or .csv")
    parser.add_argument("--log", metavar="LOG", help="the log that the model was trained on: its rows come first")
    parser.add_argument("--value", type=float, metavar="N", help="the rating of events that have none")


def _export(options: argparse.Namespace) -> int:
    from recdistill.serving.replay import export_events

    rows = export_events(options.state, options.out, log=options.log, value=options.value)
    told = " and ".join(f"{count:,} {'rows of the log' if name == 'log' else name}" for name, count in rows.items())
    print(f"{told} written: recdistill run --log {options.out} --out runs/next")
    return 0


SUB_VERBS: dict[str, SubVerb] = {
    "export": ("write what people did as Parquet or CSV, while the service runs", _add_export, _export),
}
"""Name to what it is for, its options, and what it does."""
