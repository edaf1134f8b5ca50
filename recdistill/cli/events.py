"""`recdistill events export STATE --out FILE`: what people did while the service ran, as a log for the next run."""

from __future__ import annotations

import argparse

HELP = "make the events of a service into a log for the next run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="sub_verb", metavar=" | ".join(SUB_VERBS), required=True)
    for name, (about, add, run) in SUB_VERBS.items():
        child = verbs.add_parser(name, help=about, description=about)
        child.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
        )
        add(child)
        child.set_defaults(run=run)


def main(options: argparse.Namespace) -> int:
    code: int = options.run(options)
    return code


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


SUB_VERBS = {
    "export": ("write what people did as Parquet or CSV, while the service runs", _add_export, _export),
}
"""Name to what it is for, its options, and what it does."""
