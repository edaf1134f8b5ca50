"""Claim: full-ranking evaluation, everything in it, takes at most twice what a bare search of the same size takes.

    python benchmarks/evaluation.py

Exact, the user's own items excluded, all default metrics per user, histories pooled to vectors first. Beside it, in the
same process and by turns: FAISS' flat inner-product search for vectors that are there already ("faiss": k = 20, nothing
excluded; "faiss, excluded": k + the longest history, in groups of similar length, and what is seen taken out), and a
tiled product with the history masked and torch's top-k. `ratio` is against the bare search where histories are short,
and against the fastest of those that exclude where they are long; `ratio_to_bare` is against the bare search in both.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from common import write
from scipy.sparse import csr_matrix

K, DIMENSION, REPEATS = 20, 64, 5
SHAPES = {
    "sparse": {"users": 29_858, "items": 40_981, "mean": 27, "longest": 800},
    "dense": {"users": 6_022, "items": 3_043, "mean": 132, "longest": 1_500},
}


def problem(shape: str) -> tuple[Any, Any]:
    """A split and a scorer of random vectors: users by history alone, as a student sees them."""
    from recdistill.data.interactions import HeldOut, Interactions
    from recdistill.data.splits import Split
    from recdistill.data.vocab import Vocab
    from recdistill.serving.scorers import BagScorer
    from recdistill.tables.codecs import CodedTable

    size, generator = SHAPES[shape], np.random.default_rng(0)
    n_users, n_items = size["users"], size["items"]
    lengths = generator.lognormal(0, 1, n_users)
    lengths = np.clip(np.round(lengths * size["mean"] / lengths.mean()), 2, size["longest"]).astype(int)
    likely = 1 / (np.arange(n_items) + 50.0)
    users = np.repeat(np.arange(n_users), np.round(lengths * 1.6).astype(int))
    items = generator.choice(n_items, len(users), p=likely / likely.sum())
    keys = np.unique(users * n_items + items)
    held = generator.random(len(keys)) < 0.2
    users, items = keys // n_items, keys % n_items
    train = Interactions(Vocab(np.arange(n_users)), Vocab(np.arange(n_items)), users[~held], items[~held])
    ones = np.ones(int(held.sum()), np.float32)
    relevant = csr_matrix((ones, (users[held], items[held])), shape=(n_users, n_items))
    relevant.sort_indices()
    test = HeldOut(np.arange(n_users), np.arange(n_users), relevant, np.diff(relevant.indptr).astype(np.int64))
    vectors = generator.standard_normal((2, n_items, DIMENSION)).astype(np.float32) / 8
    tables = [CodedTable.of(part, "fp32") for part in vectors]
    scorer = BagScorer(item_table=tables[0], history_table=tables[1], history_power=0.5)
    return Split(train, None, test, "generated"), scorer


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def times(shape: str) -> dict[str, Any]:
    """Median seconds of each way, taken by turns."""
    import faiss
    import torch

    from recdistill.evaluation.evaluator import evaluate_scorer
    from recdistill.serving.histories import Histories

    split, scorer = problem(shape)
    histories = Histories.from_csr(split.train.csr())
    queries, items = scorer.queries(histories), scorer.item_vectors()
    index = faiss.IndexFlatIP(DIMENSION)
    index.add(items)

    def tiled() -> None:
        step = max(1, 4_000_000 // len(items))
        tile, table = torch.empty((step, len(items))), torch.from_numpy(items).T
        for start in range(0, len(queries), step):
            part = histories.take(slice(start, min(start + step, len(queries))))
            scores = torch.matmul(torch.from_numpy(queries[start : start + step]), table, out=tile[: len(part)])
            scores[torch.from_numpy(part.users), torch.from_numpy(part.items.astype(np.int64))] = -torch.inf
            scores.topk(K)

    by_length = np.argsort(histories.lengths, kind="stable")
    seen_keys = histories.users * len(items) + histories.items

    def excluding() -> None:
        for start in range(0, len(queries), 512):
            users = by_length[start : start + 512]
            asked = min(K + int(histories.lengths[users].max()), len(items))
            _, found = index.search(queries[users], asked)
            keys = users[:, None] * len(items) + found
            place = np.searchsorted(seen_keys, keys).clip(max=len(seen_keys) - 1)
            free = seen_keys[place] != keys
            first = np.argsort(~free, axis=1, kind="stable")[:, :K]
            np.take_along_axis(found, first, axis=1)

    ways = {
        "evaluation": lambda: evaluate_scorer(scorer, split),
        "faiss": lambda: index.search(queries, K),
        "faiss, excluded": excluding,
        "tiled": tiled,
    }
    if shape == "sparse":  # three times as slow as what it is compared with there
        del ways["faiss, excluded"]
    found: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(REPEATS):
        for name, way in ways.items():
            found[name].append(seconds(way))
    medians = {name: statistics.median(values) for name, values in found.items()}
    bare = medians["faiss"]
    rival = bare if shape == "sparse" else min(medians["faiss, excluded"], medians["tiled"])
    lengths = histories.lengths
    return {
        **SHAPES[shape],
        "history_mean": round(float(lengths.mean()), 1),
        "history_longest": int(lengths.max()),
        "seconds": {name: round(value, 3) for name, value in medians.items()},
        "ratio": round(medians["evaluation"] / rival, 2),
        "ratio_to_bare": round(medians["evaluation"] / bare, 2),
    }


def memory(shape: str) -> int:
    """Bytes that the evaluation adds to the highest that making its inputs took."""
    from recdistill.evaluation.evaluator import evaluate_scorer

    split, scorer = problem(shape)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    evaluate_scorer(scorer, split)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024


if __name__ == "__main__":
    if len(sys.argv) == 3:  # one measurement in a process of its own
        print(json.dumps({"times": times, "memory": memory}[sys.argv[1]](sys.argv[2])))
    else:
        result: dict[str, Any] = {}
        for name in SHAPES:
            for what in ("times", "memory"):
                done = subprocess.run(
                    [sys.executable, __file__, what, name], check=True, text=True, stdout=subprocess.PIPE
                )
                found = json.loads(done.stdout)
                result.setdefault(name, {}).update(found if what == "times" else {"added_bytes": found})
            print(name, result[name], flush=True)
        write("evaluation", result)
