"""Claim: the networks of a re-ranker and of a deep tower lose nothing in eight bits, weights and inputs alike.

    python benchmarks/reranker_bytes.py [--log ml-1m-lcfn] [--dim 64] [--kinds reranked reranked_taught deep_tower]

A re-ranker whose epochs are chosen on valid, where none may be best, so one of six epochs beside it; results of kinds
that are not named stay. Each model is fitted once and stored in several ways: bytes of the whole and of its network, µs
of one user at a time (the best median of three turns) and of the network alone for one user, NDCG@20 on valid and test,
and how many of the test users' top 20 stay. "dynamic": inputs by the range of each row; "static": by ranges measured on
train. svd and sparse: the network's weights in those codecs, all else in int8.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from common import RESULTS, log_path, write

from recdistill.compression.convert import compress
from recdistill.data import splits
from recdistill.data.known import known_histories
from recdistill.data.readers import read_interactions
from recdistill.data.split import Split
from recdistill.evaluation.evaluator import evaluate_scorer
from recdistill.evaluation.footprint import footprint
from recdistill.models.base import Ranker
from recdistill.models.deep_tower import DeepTower
from recdistill.models.reranked import Reranked
from recdistill.retrieval.exact import top_k
from recdistill.serving.perceptron import Perceptron
from recdistill.serving.scorers import DeepBagScorer, RerankedScorer, Scorer

TAUGHT_EPOCHS = 6
METRIC, K, TURNS, OVERLAP_USERS = "ndcg@20", 20, 3, 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", default="ml-1m-lcfn")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--kinds", nargs="+", default=["reranked", "reranked_taught", "deep_tower"])
    options = parser.parse_args()
    split = splits.given(read_interactions(log_path(options.log), split_column="split"))
    tower = {"dim": options.dim, "user_id": False}
    made: dict[str, Callable[[], Ranker]] = {
        "reranked": lambda: Reranked(base_settings=tower),
        "reranked_taught": lambda: Reranked(base_settings=tower, epochs=TAUGHT_EPOCHS),
        "deep_tower": lambda: DeepTower(**tower),
    }
    path = RESULTS / f"reranker-bytes-{options.log}.json"
    found: dict[str, Any] = json.loads(path.read_text())["models"] if path.is_file() else {}
    for kind in options.kinds:
        start = time.process_time()
        model = made[kind]().fit(split.train, split.valid, device="cpu")
        print(f"{kind}: {model.chosen}, {time.process_time() - start:.0f} s", flush=True)
        found[kind] = {"chosen": model.chosen, "ways": measured(model, split)}
        write(path.stem, {"dim": options.dim, "seed": 0, "models": found})


def measured(model: Ranker, split: Split) -> dict[str, Any]:
    scorers = ways(model, split)
    if isinstance(model.scorer, RerankedScorer):
        scorers = {"base alone": model.scorer.base, **scorers}
    whole = lists(model.scorer, split)
    rows: dict[str, Any] = {}
    for name, scorer in scorers.items():
        rows[name] = {"bytes": scorer.nbytes}
        network = getattr(scorer, "network", None)
        if network is not None:
            rows[name]["network_bytes"] = sum(array.nbytes for array in network.arrays().values())
        for part, held in (("valid", split.valid), ("test", split.test)):
            value = evaluate_scorer(scorer, split, held, metrics=[METRIC]).metrics[METRIC]
            rows[name][part] = round(float(value), 5)
        rows[name]["top_20_kept"] = round(float((lists(scorer, split)[..., None] == whole[:, None]).any(-1).mean()), 4)
    times: dict[str, list[float]] = {name: [] for name in scorers}
    for _ in range(TURNS):
        for name, scorer in scorers.items():
            times[name].append(footprint(scorer, split, split.test, seconds=1.0).latency_ms["p50"])
    for name, scorer in scorers.items():
        rows[name]["microseconds"] = round(1000 * min(times[name]), 1)
        network = getattr(scorer, "network", None)
        if network is not None:
            depth = scorer.depth if isinstance(scorer, RerankedScorer) else 1
            rows[name]["network_microseconds"] = alone(network, depth)
        print(name, rows[name], flush=True)
    return rows


def ways(model: Ranker, split: Split) -> dict[str, Scorer]:
    int8 = compress(model, codec="int8").scorer
    found: dict[str, Scorer] = {"fp32": model.scorer, "fp16": compress(model, codec="fp16").scorer, "int8": int8}
    found["int8 dynamic"] = compress(model, codec="int8", inputs="dynamic").scorer
    found["int8 static"] = compress(model, codec="int8", inputs="static", on=split.train).scorer
    assert isinstance(int8, RerankedScorer | DeepBagScorer)
    assert isinstance(model.scorer, RerankedScorer | DeepBagScorer)
    for codec in ("svd16", "svd4", "sparse16"):
        found[f"int8, network {codec}"] = replace(int8, network=model.scorer.network.quantized(codec))
    return found


def lists(scorer: Scorer, split: Split) -> np.ndarray:
    """(users, K) of the first test users."""
    histories = known_histories(split.test, split.train, ordered=scorer.ordered)
    histories = histories.take(slice(0, OVERLAP_USERS))
    return top_k(scorer, histories, split.test.user_rows[:OVERLAP_USERS], K, histories)[0]


def alone(network: Perceptron, rows: int) -> float:
    """µs of the network for one user, the best of many."""
    given = np.random.default_rng(0).standard_normal((rows, network.inputs)).astype(np.float32)
    taken = []
    for _ in range(300):
        start = time.perf_counter()
        network(given)
        taken.append(time.perf_counter() - start)
    return round(1e6 * min(taken), 1)


if __name__ == "__main__":
    main()
