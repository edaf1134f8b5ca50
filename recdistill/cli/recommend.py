"""`recdistill recommend FOLDER`: what an artifact recommends to a person with this history."""

from __future__ import annotations

import argparse

HELP = "ask an artifact for recommendations (without torch)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="an artifact, for instance runs/demo/artifacts/student")
    parser.add_argument(
        "--history",
        action="append",
        default=[],
        metavar="ITEM",
        help="an item that the person used; may be given again",
    )
    parser.add_argument("--user", metavar="ID", help="a user known to the model, where it has a user table")
    parser.add_argument("--k", type=int, default=10, help="how many items (default 10)")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def main(options: argparse.Namespace) -> int:
    import json
    import sys

    from recdistill.serving.recommender import Recommender

    recommender = Recommender.load(options.folder)
    answer = recommender.recommend(history=options.history, user=options.user, k=options.k, with_scores=True)
    unknown = recommender.unknown(options.history)
    if unknown:
        print(f"not in the catalogue, skipped: {', '.join(map(str, unknown))}", file=sys.stderr)
    if options.user is not None and recommender.users is None:
        print("this model has no user table: --user is not used", file=sys.stderr)
    if options.history and len(unknown) == len(options.history):
        print("nothing of the history is known: this is what the model shows a stranger", file=sys.stderr)
    if options.json:
        print(
            json.dumps(
                [{"item_id": a.item_id, "score": float(a.score), "rank": a.rank} for a in answer],
                ensure_ascii=False,
                default=str,
            )
        )
        return 0
    if not options.history and options.user is None:
        print("No history given: what the model shows a stranger. Add --history 'ITEM' (once for each item used).")
    for a in answer:
        print(f"{a.rank:3}  {a.score:8.3f}  {a.item_id}")
    return 0
