"""Claim: the recommender answers nearly as fast as the same work written by hand in numpy, and faster than implicit.

python benchmarks/recommender.py ARTIFACTS [--small | --large] [--items N] [--no-index]

ARTIFACTS is a run's folder of artifacts for ml-1m-lcfn (runs/benchmarks/ml-1m-lcfn/artifacts). Every way answers the
same people in turns, in one process; k = 20, what was used is left out. By hand: a dictionary of ids, one sum of
float32 rows, one product, `argpartition`, or FAISS' flat index, the best of all counts. implicit gets rows, users that
it knows and sliced CSR rows; the time of slicing is not counted. The large catalogue is that of `catalogue.py`, of a
million items.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from common import log_path, write

K = 20
PEOPLE = 1024
TURNS = 45
Way = Callable[[int], list[Any]]
BatchWay = Callable[[], list[list[Any]]]


class ByHand:
    """What one would write for this model alone; nothing but the arithmetic of the answer."""

    def __init__(self, scorer: Any, ids: list[Any]) -> None:
        weights = scorer.history_weight
        bags = (scorer.history_table or scorer.item_table).matrix()
        self.bags = bags if weights is None else bags * weights.astype(np.float32)[:, None]
        self.vectors = np.ascontiguousarray(scorer.item_vectors().T)
        bias = scorer.item_bias
        self.bias = np.zeros(len(ids), np.float32) if bias is None else bias.astype(np.float32)
        self.power, self.normalize = scorer.history_power, scorer.normalize
        self.row_of = {one: row for row, one in enumerate(ids)}
        self.ids = np.array(ids)

    def rows(self, rows: np.ndarray) -> np.ndarray:
        user = self.bags.take(rows, axis=0).sum(axis=0)
        user /= np.float32(np.sqrt(user @ user) if self.normalize else len(rows) ** self.power)
        scores = user @ self.vectors
        scores += self.bias
        scores[rows] = -np.inf
        best = np.argpartition(scores, len(scores) - K)[len(scores) - K :]
        return best[np.argsort(-scores[best])]

    def one(self, history: list[Any]) -> list[Any]:
        rows = np.fromiter(map(self.row_of.__getitem__, history), np.int64, len(history))
        return self.ids[self.rows(rows)].tolist()

    def batch(self, histories: Sequence[list[Any]], sparse: bool, chunk: int, pool: Any = None) -> list[list[Any]]:
        lengths = np.array([len(one) for one in histories])
        flat = [one for history in histories for one in history]
        rows = np.fromiter(map(self.row_of.__getitem__, flat), np.int64, len(flat))
        ends = np.concatenate([[0], np.cumsum(lengths)])
        if sparse:
            from scipy.sparse import csr_matrix

            ones = np.ones(len(rows), np.float32)
            users = csr_matrix((ones, rows, ends), shape=(len(lengths), len(self.ids))) @ self.bags
        else:
            users = np.stack([self.bags[rows[a:b]].sum(axis=0) for a, b in pairwise(ends)])
        users /= (
            np.sqrt((users * users).sum(axis=1, keepdims=True)) if self.normalize else lengths[:, None] ** self.power
        )
        found = np.empty((len(lengths), K), np.int64)

        def fill(start: int) -> None:
            stop = min(start + chunk, len(lengths))
            scores = users[start:stop] @ self.vectors
            scores += self.bias
            who = np.repeat(np.arange(stop - start), lengths[start:stop])
            scores[who, rows[ends[start] : ends[stop]]] = -np.inf
            best = np.argpartition(scores, scores.shape[1] - K, axis=1)[:, -K:]
            order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1)
            found[start:stop] = np.take_along_axis(best, order, axis=1)

        starts = range(0, len(lengths), chunk)
        list(map(fill, starts) if pool is None else pool.map(fill, starts))
        return self.ids[found].tolist()


def faiss_by_hand(hand: ByHand) -> Callable[[list[Any]], list[Any]]:
    """The same with a flat index that holds the bias as one more number, asked for the history's length more."""
    import faiss

    index = faiss.IndexFlatIP(len(hand.vectors) + 1)
    index.add(np.ascontiguousarray(np.vstack([hand.vectors, hand.bias]).T))
    faiss.omp_set_num_threads(1)

    def one(history: list[Any]) -> list[Any]:
        rows = np.fromiter(map(hand.row_of.__getitem__, history), np.int64, len(history))
        user = hand.bags.take(rows, axis=0).sum(axis=0)
        user /= np.float32(np.sqrt(user @ user) if hand.normalize else len(rows) ** hand.power)
        _, found = index.search(np.append(user, np.float32(1))[None], K + len(rows))
        used = set(rows.tolist())
        return hand.ids[[row for row in found[0].tolist() if row not in used][:K]].tolist()

    return one


def implicit_model(vectors: np.ndarray, queries: np.ndarray) -> Any:
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(factors=vectors.shape[1])
    model.item_factors, model.user_factors = vectors, queries
    return model


def one_by_one(ways: dict[str, Way], people: int, turns: int) -> dict[str, dict[str, float]]:
    """Microseconds: median, p99 and mean of the quietest third of turns, since the machine is at times twice as slow;
    the median of all turns' medians stands beside them."""
    times: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, way in ways.items():
            spent = np.empty(people)
            for person in range(people):
                start = time.perf_counter_ns()
                way(person)
                spent[person] = time.perf_counter_ns() - start
            times[name].append(spent / 1000)
    found = {}
    for name, rounds in times.items():
        medians = [float(np.median(one)) for one in rounds]
        quiet = sorted(rounds, key=lambda one: float(one.sum()))[: max(1, turns // 3)]
        found[name] = {
            "p50_us": round(float(np.median(np.concatenate(quiet))), 1), "p50_us_least": round(min(medians), 1),
            "p50_us_of_all_turns": round(statistics.median(medians), 1),
            "p99_us": round(float(np.percentile(np.concatenate(quiet), 99)), 1),
            "mean_us": round(float(np.mean(quiet)), 1),
        }  # fmt: skip
    return found


def in_batches(ways: dict[str, BatchWay], people: int, turns: int) -> dict[str, dict[str, float]]:
    """Microseconds a person, of the turns the median and the least."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            times[name].append((time.perf_counter() - start) / people * 1e6)
    return {name: {"us": round(statistics.median(t), 2), "us_least": round(min(t), 2)} for name, t in times.items()}


def equal_share(ours: list[list[Any]], theirs: list[list[Any]]) -> float:
    """Of the lists that are equal item by item."""
    return round(float(np.mean([a == b for a, b in zip(ours, theirs, strict=True)])), 4)


def ratio(measured: dict[str, dict[str, float]], a: str, b: str, figure: str) -> float:
    """How many times as fast a is as b."""
    return round(measured[b][figure] / measured[a][figure], 3)


def small(folder: Path, turns: int) -> dict[str, Any]:
    from threadpoolctl import ThreadpoolController, threadpool_limits

    from recdistill.cores import cores
    from recdistill.serving import Recommender
    from recdistill.serving.histories import Histories

    ours, coded = Recommender.load(folder / "student"), Recommender.load(folder / "student_int8")
    histories = people_of("ml-1m-lcfn")[:PEOPLE]
    hand, ids = ByHand(ours.scorer, ours.items.ids().tolist()), ours.items.ids()
    sorted_rows = [np.sort(ours.items.rows(one)) for one in histories]
    by_faiss = faiss_by_hand(hand)
    ways: dict[str, Way] = {
        "recommender": lambda p: ours.recommend(histories[p], k=K),
        "recommender_int8": lambda p: coded.recommend(histories[p], k=K),
        "by_hand": lambda p: hand.one(histories[p]),
        "by_hand_faiss": lambda p: by_faiss(histories[p]),
        "rows": lambda p: ours.recommend_rows_of_one(sorted_rows[p], k=K),  # type: ignore[dict-item, return-value]
        "rows_by_hand": lambda p: hand.rows(sorted_rows[p]),  # type: ignore[dict-item, return-value]
    }
    bags = Histories.from_lists(sorted_rows)
    from scipy.sparse import csr_matrix

    used = csr_matrix((np.ones(len(bags.items), np.float32), bags.items, bags.indptr), shape=(len(bags), len(ids)))
    model = implicit_model(ours.scorer.item_vectors(), ours.scorer.user_vectors(bags))
    sliced = [used[person] for person in range(PEOPLE)]
    ways["implicit"] = lambda p: model.recommend(p, sliced[p], N=K, filter_already_liked_items=True)
    answers = {
        name: [ways[name](person) for person in range(200)] for name in ("recommender", "by_hand", "by_hand_faiss")
    }
    checks = {name: equal_share(answers["recommender"], answers[name]) for name in ("by_hand", "by_hand_faiss")}
    assert min(checks.values()) > 0.98, checks
    batch = ours.recommend_batch(histories, k=K)
    assert batch == [ours.recommend(one, k=K) for one in histories]
    checks["batch_by_hand"] = equal_share(batch, hand.batch(histories, True, 128))
    assert checks["batch_by_hand"] > 0.98, checks
    with threadpool_limits(1):
        single = one_by_one(ways, PEOPLE, turns)
    everyone = np.arange(PEOPLE)
    batches: dict[str, BatchWay] = {
        "recommender": lambda: ours.recommend_batch(histories, k=K),
        "recommender_int8": lambda: coded.recommend_batch(histories, k=K),
        "by_hand": lambda: hand.batch(histories, False, 128),
        "by_hand_scipy": lambda: hand.batch(histories, True, 128),
        "by_hand_scipy_whole": lambda: hand.batch(histories, True, PEOPLE),
        "implicit": lambda: model.recommend(everyone, used, N=K, filter_already_liked_items=True),
    }
    blas = ThreadpoolController()
    with ThreadPoolExecutor(cores()) as pool:

        def one_thread(way: BatchWay) -> BatchWay:
            """As implicit asks for: its own threads, and one for each product."""

            def limited() -> list[list[Any]]:
                with blas.limit(limits=1, user_api="blas"):
                    return way()

            return limited

        batches["implicit_blas_1"] = one_thread(batches["implicit"])
        batches["by_hand_scipy_threads"] = one_thread(lambda: hand.batch(histories, True, 128, pool))
        together = in_batches(batches, PEOPLE, turns)
    hands = min((name for name in single if name.startswith("by_hand")), key=lambda name: single[name]["mean_us"])
    batch_hands = min((name for name in together if name.startswith("by_hand")), key=lambda name: together[name]["us"])
    implicit = min(("implicit", "implicit_blas_1"), key=lambda name: together[name]["us"])
    return {
        "equal_lists": checks,
        "one_by_one": single,
        "batches_of_1024": together,
        "bars": {
            "one_p50_us (<= 60)": single["recommender"]["p50_us"],
            "one_p99_us (<= 1000)": single["recommender"]["p99_us"],
            "one_of_by_hand (>= .5)": ratio(single, "recommender", hands, "mean_us"),
            "rows_of_by_hand (>= .7)": ratio(single, "rows", "rows_by_hand", "mean_us"),
            "one_int8_of_float (>= .95)": ratio(single, "recommender_int8", "recommender", "mean_us"),
            "batch_of_by_hand (>= .8)": ratio(together, "recommender", batch_hands, "us"),
            "batch_int8_of_float (>= .95)": ratio(together, "recommender_int8", "recommender", "us"),
            "batch_of_implicit (>= 1)": ratio(together, "recommender", implicit, "us"),
            "one_of_implicit (>= .667)": ratio(single, "recommender", "implicit", "p50_us"),
        },
    }


def large(n_items: int, turns: int, index: bool) -> dict[str, Any]:
    from catalogue import catalogue
    from scipy.sparse import csr_matrix
    from threadpoolctl import threadpool_limits

    from recdistill.data.vocab import Vocab
    from recdistill.serving import Recommender

    people, alone = 128, 16
    made = catalogue(n_items, 64, users=people)
    ids = Vocab(np.arange(n_items) * 3 + 1)
    ours = Recommender(made.scorer(), ids)
    bags = made.histories
    histories = [ids.ids(bags.items[a:b]).tolist() for a, b in pairwise(bags.indptr)]
    # the bias is one more number of each vector, so that both give the same answers
    vectors = np.hstack([made.vectors, made.bias.astype(np.float32)[:, None]])
    queries = np.hstack([made.queries, np.ones((people, 1), np.float32)])
    model = implicit_model(vectors, queries)
    used = csr_matrix((np.ones(len(bags.items), np.float32), bags.items, bags.indptr), shape=(people, n_items))
    sliced = [used[person] for person in range(alone)]
    everyone = np.arange(people)
    ways: dict[str, Way] = {
        "recommender": lambda p: ours.recommend(histories[p], k=K),
        "implicit": lambda p: model.recommend(p, sliced[p], N=K, filter_already_liked_items=True),
    }
    batches: dict[str, BatchWay] = {
        "recommender": lambda: ours.recommend_batch(histories, k=K),
        "implicit": lambda: model.recommend(everyone, used, N=K, filter_already_liked_items=True),
    }
    theirs = [ids.ids(one).tolist() for one in batches["implicit"]()[0]]
    exact = ours.recommend_batch(histories, k=K)
    checks = {"implicit": equal_share(exact, theirs)}
    indexed = with_index(ours, made) if index else None
    result: dict[str, Any] = {"items": n_items, "dimension": 64}
    if indexed is not None:
        ways["recommender_index"] = lambda p: indexed.recommend(histories[p], k=K)
        batches["recommender_index"] = lambda: indexed.recommend_batch(histories, k=K)
        found = indexed.recommend_batch(histories, k=K)
        recall = np.mean([len(set(a) & set(b)) / K for a, b in zip(exact, found, strict=True)])
        result["index"] = {"kind": indexed.retriever.kind, "recall": round(float(recall), 4)}
    with threadpool_limits(1, "blas"):  # as implicit asks for
        single, together = one_by_one(ways, alone, turns), in_batches(batches, people, max(2, turns // 3))
    best = "recommender_index" if indexed is not None else "recommender"
    return result | {
        "equal_lists": checks,
        "one_by_one": single,
        f"batches_of_{people}": together,
        "bars": {
            "batch_exact_of_implicit": ratio(together, "recommender", "implicit", "us"),
            "one_exact_of_implicit": ratio(single, "recommender", "implicit", "p50_us"),
            "batch_of_implicit (>= 2)": ratio(together, best, "implicit", "us"),
            "one_of_implicit (>= 3)": ratio(single, best, "implicit", "p50_us"),
        },
    }


def with_index(ours: Any, made: Any) -> Any:
    """The same recommender with the index that `auto` takes, where indexes are there."""
    try:
        from recdistill.retrieval.retriever import Retriever
    except ImportError:
        return None
    from recdistill.serving import Recommender

    index = Retriever.build(made.vectors, bias=made.bias, kind="auto", queries=made.queries, k=K, recall=0.95)
    return Recommender(ours.scorer, ours.items, retriever=index)


RESIDENT = """
import json, os, sys
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
from recdistill.serving import Recommender
recommender = Recommender.load(sys.argv[1])
ids = recommender.items.ids().tolist()
for start in range(200):
    recommender.recommend(ids[start : start + 60], k=20)
one = resident()
recommender.recommend_batch([ids[start : start + 60] for start in range(1000)], k=20)
heavy = [name for name in ("torch", "pandas", "pyarrow", "scipy", "faiss") if name in sys.modules]
print(json.dumps({
    "after_one_by_one": one, "after_batches": resident(), "model": recommender.scorer.nbytes, "heavy": heavy
}))
"""


def memory(folder: Path) -> dict[str, Any]:
    """Bytes of a fresh process that answers."""
    done = subprocess.run(
        [sys.executable, "-c", RESIDENT, str(folder / "student")], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def people_of(name: str) -> list[list[Any]]:
    """The train histories of a log, in no order that matters."""
    log = pq.read_table(log_path(name)).to_pandas()
    train = log[log["split"].isin(["train", 0])]
    histories = [one.tolist() for _, one in train.groupby("user_id")["item_id"]]
    return [histories[place] for place in np.random.default_rng(0).permutation(len(histories))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifacts", type=Path)
    parser.add_argument("--small", action="store_true", help="the 3,043 films alone")
    parser.add_argument("--large", action="store_true", help="the large catalogue alone")
    parser.add_argument("--items", type=int, default=1_000_000, help="of the large catalogue")
    parser.add_argument("--no-index", action="store_true", help="no index beside the exact search")
    parser.add_argument("--turns", type=int, default=TURNS)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="OpenBLAS is configured")
    result: dict[str, Any] = {"load": os.getloadavg()[0]}
    if not options.large:
        result |= {"memory": memory(options.artifacts), "ml-1m-lcfn": small(options.artifacts, options.turns)}
    if not options.small:
        result["large"] = large(options.items, options.turns, not options.no_index)
    print(json.dumps(result, indent=1))
    whole = not (options.small or options.large or options.no_index) and options.items == 1_000_000
    write("recommender" if whole else "recommender_part", result)


if __name__ == "__main__":
    main()
