"""`recdistill index ARTIFACT`: an index for a large catalogue, at a recall that is measured."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recdistill.data.vocab import Vocab
    from recdistill.serving.histories import Histories

HELP = "build an index into an artifact, so that large catalogues are not read whole for each answer"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="ARTIFACT", help="an artifact, for instance runs/demo/artifacts/student")
    parser.add_argument(
        "--kind",
        default="auto",
        help="auto (the quickest that holds the recall), flat, sq8, ivf_flat, ivf_sq8, ivf_pq, hnsw, "
        "or a factory string of FAISS (default auto)",
    )
    parser.add_argument("--recall", type=float, default=0.99, help="of the k best, how many must come (default .99)")
    parser.add_argument("--k", type=int, default=20, help="at which k that is measured (default 20)")
    parser.add_argument("--log", metavar="FILE", help="take the histories in this log to measure with")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print what was measured as JSON")


def main(options: argparse.Namespace) -> int:
    import json

    from recdistill.artifact import load
    from recdistill.artifact.index import add_index, items_of
    from recdistill.retrieval.auto import built, made_up_histories
    from recdistill.retrieval.retriever import Retriever

    found = load(options.folder)
    items = items_of(found.scorer)
    k = min(options.k, len(items))
    if options.log is None:
        bags, source = made_up_histories(items, 1000, options.seed), "made up from the items (--log FILE: real ones)"
    else:
        bags, source = _histories(options.log, found.items, options.seed), f"of people in {options.log}"
    queries = found.scorer.queries(bags)
    got = built(
        items, kind=options.kind, queries=queries, k=k, recall=options.recall, seed=options.seed, threads=None,
        source=source,
    )  # fmt: skip
    retriever = Retriever(items, got.index, got.settings, kind=got.kind, measured=got.measured)
    add_index(options.folder, retriever)
    print(json.dumps(got.measured.as_dict()) if options.json else f"{got.measured}\n\nwritten: {options.folder}/index")
    return 0


def _histories(path: str, items: Vocab, seed: int) -> Histories:
    """Of at most a thousand people in the log who have used something that the model knows."""
    import numpy as np

    from recdistill.data.readers import read_interactions
    from recdistill.errors import DataError
    from recdistill.serving.histories import Histories

    log = read_interactions(path)
    rows = items.rows(log.items.ids())[log.item_rows]
    known = np.flatnonzero(rows >= 0)
    if log.times is not None:
        known = known[np.argsort(log.times[known], kind="stable")]
    bags = Histories.from_pairs(log.user_rows[known], rows[known], len(log.users), ordered=log.times is not None)
    known = np.flatnonzero(bags.lengths)
    if not len(known):
        raise DataError(f"{path}: none of its items is in the artifact. Give a log of the same catalogue.")
    chosen = np.random.default_rng(seed).permutation(known)[:1000]
    return bags.take(chosen)
