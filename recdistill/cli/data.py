"""`recdistill data …`: data sets by name, what is in a log, and the cache of encoded logs."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from recdistill.cli.log_options import add_filter_arguments, add_given_split_arguments, add_log_arguments
from recdistill.cli.sub_verbs import SubVerb, add_sub_verbs, run_sub_verb

if TYPE_CHECKING:
    from collections.abc import Callable

    from recdistill.data.log import Log

HELP = "fetch data sets by name, describe a log, look after the cache"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_sub_verbs(parser, SUB_VERBS)


def main(options: argparse.Namespace) -> int:
    return run_sub_verb(options)


def _add_fetch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a data set, for instance ml-1m; see recdistill data list")
    parser.add_argument("--from", dest="source", metavar="ZIP_OR_FOLDER", help="take it from here: no network is used")
    parser.add_argument("--mirror", action="append", metavar="URL", help="ask URL/FILE; may be given again")
    parser.add_argument(
        "--folder", metavar="FOLDER", help="put it there (default RECDISTILL_DATA, else the user's data)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress on the terminal")


def _fetch(options: argparse.Namespace) -> int:
    import sys

    from recdistill.data.datasets import CATALOGUE, fetch

    entry = CATALOGUE[options.name]
    print(f"{entry.title}\nLicence    {entry.licence} {entry.licence_url}\nTo cite    {entry.citation}", flush=True)
    source, folder = (None if given is None else Path(given) for given in (options.source, options.folder))
    with _bar(entry.file, options.quiet) as progress:
        path = fetch(
            entry,
            source=source,
            folder=folder,
            mirrors=options.mirror,
            progress=progress,
            say=lambda line: print(line, file=sys.stderr),
        )
    print(f"File       {path}")
    if folder is None:
        print(f"\nTry next\n  recdistill data describe --dataset {entry.name}")
        print(f"  recdistill run --dataset {entry.name} --out runs/{entry.name}")
    return 0


@contextmanager
def _bar(file: str, quiet: bool) -> Iterator[Callable[[int, int | None], None]]:
    """A bar of bytes that may jump back where a download begins again."""
    from tqdm import tqdm

    with tqdm(unit="B", unit_scale=True, desc=file, leave=False, disable=True if quiet else None) as bar:

        def show(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


def _add_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", metavar="FOLDER", help="look there (default RECDISTILL_DATA, else the user's data)")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def _list(options: argparse.Namespace) -> int:
    import json
    from dataclasses import asdict

    from recdistill.data.datasets import CATALOGUE
    from recdistill.data.datasets.fetch import is_fetched
    from recdistill.data.datasets.place import data_folder
    from recdistill.report.figures import count
    from recdistill.report.table import aligned

    folder = Path(options.folder) if options.folder else data_folder()
    entries = [CATALOGUE[name] for name in CATALOGUE]
    if options.json:
        told = [asdict(entry) | {"fetched": is_fetched(entry, folder)} for entry in entries]
        print(json.dumps(told, indent=2))
        return 0
    rows = [
        [
            entry.name,
            count(entry.users),
            count(entry.items),
            count(entry.rows),
            "yes" if is_fetched(entry, folder) else "",
        ]
        for entry in entries
    ]
    head, rule, *lines = aligned([["name", "users", "items", "rows", "fetched"], *rows])
    print(f"{head}  licence\n{rule}")
    for entry, line in zip(entries, lines, strict=True):
        print(f"{line:{len(rule)}}  {entry.terms}")
    print(f"\nThey are kept in {folder}. Licences are summed up; recdistill data fetch NAME names the text.")
    return 0


def _add_describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", metavar="FILE", help="a log; whatever recdistill run --log takes")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.add_argument("--out", metavar="PAGE.html", help="draw a page with plots")
    add_log_arguments(parser)
    add_filter_arguments(parser)
    add_given_split_arguments(parser)


def _describe(options: argparse.Namespace) -> int:
    import json

    from recdistill.data.describe import describe
    from recdistill.report.describe_page import write_page
    from recdistill.report.describe_text import describe_text

    told = describe(_log(options))
    if options.out:
        write_page(told, Path(options.out))
    if options.json:
        print(json.dumps(told.to_json(), indent=2, ensure_ascii=False))
        return 0
    print(describe_text(told))
    if options.out:
        print(f"\nPage       {options.out}")
    return 0


def _log(options: argparse.Namespace) -> Log:
    from recdistill.errors import ConfigError
    from recdistill.runs.config import sections
    from recdistill.runs.data_config import DataConfig, FilterConfig
    from recdistill.runs.inputs import read_log
    from recdistill.settings import from_mapping

    given = sections(options)
    data = given.get("data", {})
    if len([one for one in (options.file, data.get("log"), data.get("dataset")) if one]) != 1:
        raise ConfigError("give either FILE or --dataset NAME; recdistill data list names the data sets")
    if options.file:
        data["log"] = options.file
    return read_log(from_mapping(DataConfig, data), from_mapping(FilterConfig, given.get("filter", {})))


def _add_cache(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clear", action="store_true", help="remove every encoded log; the next run reads them again")


def _cache(options: argparse.Namespace) -> int:
    from recdistill.data.cache import cache_folder, clear
    from recdistill.report.figures import size

    folder = cache_folder()
    if folder is None:
        print("No cache: it is switched off, or there is no place for it.")
        return 0
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []
    held = sum(path.stat().st_size for path in files)
    if options.clear:
        clear()
    print(f"{'Removed' if options.clear else 'Encoded logs'}: {size(held)} in {folder}")
    return 0


SUB_VERBS: dict[str, SubVerb] = {
    "fetch": ("bring a data set onto this machine, by its name", _add_fetch, _fetch),
    "list": ("the data sets that can be had by name", _add_list, _list),
    "describe": ("what is in a log, and what each split makes of it", _add_describe, _describe),
    "cache": ("where encoded logs are kept for the next run", _add_cache, _cache),
}
"""Name to what it is for, its options, and what it does."""
