"""`recdistill explain default`: what distilling without further words does, and why."""

from __future__ import annotations

import argparse

from recdistill.cli.log_options import add_filter_arguments, add_log_arguments, add_split_arguments

HELP = "say in five lines what the default does, and why; for a log if one is given"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", type=_what, metavar="default", help="what is explained")
    parser.add_argument("--dim", type=int, default=32, metavar="D", help="of the student (default %(default)s)")
    add_log_arguments(parser)
    add_filter_arguments(parser)
    add_split_arguments(parser)


def _what(word: str) -> str:
    if word != "default":
        raise argparse.ArgumentTypeError(
            f"{word!r}: only default can be explained here. Why a model names an item say Recommender.load({word!r})"
            ".explain(…) in Python and POST /explain of `recdistill serve`"
        )
    return word


def main(options: argparse.Namespace) -> int:
    from recdistill.comparison.explaining import explain_default
    from recdistill.models.two_tower_rules import LogFacts
    from recdistill.runs import inputs
    from recdistill.runs.config import RunConfig, sections
    from recdistill.settings import from_mapping

    facts = None
    given = sections(options)
    if given.get("data", {}).get("log") or given.get("data", {}).get("dataset"):
        config = from_mapping(RunConfig, given)
        split = inputs.make_split(inputs.read_log(config.data, config.filter), config)
        facts = LogFacts.of(split.train, split.valid)
    print("\n".join(explain_default(facts, dim=options.dim)))
    return 0
