"""Verbs under a verb, such as `recdistill data fetch`: a table of them becomes parsers, and the chosen one is run."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

SubVerb = tuple[str, Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]]
"""What it is for, its options, and what it does."""


def add_sub_verbs(parser: argparse.ArgumentParser, sub_verbs: Mapping[str, SubVerb]) -> None:
    verbs = parser.add_subparsers(dest="sub_verb", metavar=" | ".join(sub_verbs), required=True)
    for name, (about, add, run) in sub_verbs.items():
        child = verbs.add_parser(name, help=about, description=about)
        child.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
        )
        add(child)
        child.set_defaults(run=run)


def run_sub_verb(options: argparse.Namespace) -> int:
    code: int = options.run(options)
    return code
