"""`recdistill recommend FOLDER`: what an artifact recommends to a person with this history."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recdistill.serving.recommender import Recommender

HELP = "ask an artifact for recommendations (without torch)"
SIMILAR = 3
"""Titles that are shown for one that is not known."""
COMPARED = 5_000
"""Items up to which a title that is not known is compared with each: some tenths of a second."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="an artifact, for instance runs/demo/artifacts/student")
    parser.add_argument(
        "--history",
        action="append",
        default=[],
        metavar="ITEM",
        help="an item that the person used, by its id or its exact title; may be given again",
    )
    parser.add_argument("--user", metavar="ID", help="a user known to the model, where it has a user table")
    parser.add_argument("--k", type=int, default=10, help="how many items (default 10)")
    parser.add_argument("--find", metavar="TEXT", help="list the items whose title holds TEXT instead")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def main(options: argparse.Namespace) -> int:
    import sys

    from recdistill.serving.recommender import Recommender

    recommender = Recommender.load(options.folder)
    if options.find is not None:
        return _find(recommender, options)
    answer = recommender.recommend(history=options.history, user=options.user, k=options.k, with_scores=True)
    unknown = recommender.unknown(options.history)
    if unknown:
        print(f"not in the catalogue, skipped: {', '.join(map(str, unknown))}", file=sys.stderr)
    for one in unknown:
        if similar := recommender.find(one)[:SIMILAR] or _spelled_like(recommender, one):
            print(f"  like {one!r}: {', '.join(_called(*pair) for pair in similar)}", file=sys.stderr)
    if options.user is not None and recommender.users is None:
        print("this model has no user table: --user is not used", file=sys.stderr)
    elif options.user is not None and recommender.users is not None and recommender.users.rows([options.user])[0] < 0:
        print(f"user {options.user} is not known to this model: answered by the history alone", file=sys.stderr)
    if options.history and len(unknown) == len(options.history):
        print("nothing of the history is known: this is what is popular", file=sys.stderr)
    if options.json:
        return _print_json(
            [{"item_id": a.item_id, "title": a.title, "score": float(a.score), "rank": a.rank} for a in answer]
        )
    if not options.history and options.user is None:
        print("No history given: this is what is popular. Add --history 'ITEM' (once for each item used).")
    width = max((len(str(a.item_id)) for a in answer), default=0)
    for a in answer:
        known = (
            f"{_printable(str(a.item_id)):<{width}}  {_printable(a.title)}" if a.title else _printable(str(a.item_id))
        )
        print(f"{a.rank:3}  {a.score:8.3f}  {known}")
    return 0


def _spelled_like(recommender: Recommender, text: str) -> list[tuple[Any, str | None]]:
    """The items whose title, or id of letters, is nearest to `text`, whatever the case; none of a large catalogue."""
    if len(recommender.items) > COMPARED:
        return []
    import difflib

    ids = recommender.items.ids().tolist()
    named: dict[str, tuple[Any, str | None]] = {}
    for item_id, title in zip(ids, recommender.titles(ids), strict=True):
        if title or isinstance(item_id, str):
            named.setdefault((title or item_id).casefold(), (item_id, title))
    return [named[name] for name in difflib.get_close_matches(text.casefold(), named, n=SIMILAR)]


def _find(recommender: Recommender, options: argparse.Namespace) -> int:
    found = recommender.find(options.find)
    if options.json:
        return _print_json([{"item_id": item_id, "title": title} for item_id, title in found])
    for pair in found:
        print(_called(*pair))
    if not found:
        print(f"no item has {options.find!r} in its title")
    return 0


def _called(item_id: Any, title: str | None) -> str:
    return _printable(f"{item_id}  {title}" if title else str(item_id))


def _printable(text: str) -> str:
    """No control characters from a user's file reach the terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def _print_json(rows: list[dict[str, Any]]) -> int:
    import json

    print(json.dumps(rows, ensure_ascii=False, default=str))
    return 0
