"""What every verb takes that reads a log: where it is, what is left out, how it is split."""

from __future__ import annotations

import argparse

SPLITS = ("global-time", "ratio", "per-user", "leave-last-n", "random", "user-folds", "given")
"""The registered splits, spelled as options are, so that help needs no import of what splits."""


def add_log_arguments(parser: argparse.ArgumentParser, *, many: bool = False) -> None:
    """An option's `dest` is the setting it stands for, section and name. `many`: --log may come again, with a name."""
    log = parser.add_argument_group("the log")
    log.add_argument(
        "--log",
        dest="data.log",
        action="append" if many else "store",
        metavar="NAME=PATH" if many else "PATH",
        help="CSV, TSV, Parquet, JSON lines, a MovieLens or RecBole layout, gz, zst or zip of these, a folder, SQLite",
    )
    log.add_argument("--dataset", dest="data.dataset", metavar="NAME", help="a data set by name: recdistill data list")
    log.add_argument(
        "--columns", metavar="OURS=YOURS,…", help="for instance user_id=buyer,item_id=sku; usual names are recognised"
    )
    log.add_argument("--query", dest="data.query", metavar="SQL", help="what to ask a database file for")
    log.add_argument("--items", dest="data.items", metavar="FILE", help="table of what is known of items, by item_id")
    log.add_argument("--users", dest="data.users", metavar="FILE", help="the same of users, by user_id")
    log.add_argument(
        "--drop-null",
        dest="data.drop_null",
        action="store_true",
        default=None,
        help="leave out rows with an empty id, time or rating",
    )
    log.add_argument(
        "--no-cache", dest="data.cache", action="store_false", default=None, help="do not keep the encoded log"
    )


def add_filter_arguments(parser: argparse.ArgumentParser) -> None:
    kept = parser.add_argument_group("what of it is used")
    kept.add_argument(
        "--min-rating", dest="filter.min_rating", type=float, metavar="R", help="leave out rows rated below R"
    )
    kept.add_argument(
        "--core", dest="filter.core", type=int, metavar="K", help="users and items with at least K rows in the log"
    )
    kept.add_argument(
        "--duplicates",
        dest="filter.duplicates",
        choices=("last", "first", "sum"),
        help="what counts where a user and an item come again (default last)",
    )
    kept.add_argument("--since", dest="filter.since", metavar="DATE", help="leave out what is earlier, 2015-01-31")
    kept.add_argument("--until", dest="filter.until", metavar="DATE", help="leave out what is from that day on")


def add_split_arguments(parser: argparse.ArgumentParser) -> None:
    split = parser.add_argument_group("how it is split")
    split.add_argument(
        "--split",
        dest="split.name",
        choices=SPLITS,
        help="default: the split column if one is named, else by time, else per user",
    )
    _add_given_parts(split)
    hidden = ("train", "train+valid")
    split.add_argument(
        "--history", dest="split.history", choices=hidden, help="what a user is made of when test is scored"
    )
    split.add_argument(
        "--exclude", dest="split.exclude", choices=hidden, help="what may not be recommended when test is scored"
    )


def add_given_split_arguments(parser: argparse.ArgumentParser) -> None:
    """For verbs that look at every split: that of the log's own."""
    _add_given_parts(parser.add_argument_group("how it is split"))


def _add_given_parts(split: argparse._ArgumentGroup) -> None:
    split.add_argument(
        "--split-column",
        dest="data.split_column",
        metavar="NAME",
        help="column with train|valid|test or 0|2|1 (0 train, 1 test, 2 valid)",
    )
    split.add_argument("--test", dest="data.test_log", metavar="FILE", help="the test rows, where --log holds train")
    split.add_argument("--valid", dest="data.valid_log", metavar="FILE", help="the valid rows, beside --test")
