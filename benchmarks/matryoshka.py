"""Claim: the first numbers of a nested student rank like a student that was trained at that size alone.

    python benchmarks/matryoshka.py [--log ml-1m-lcfn] [--dim 64] [--nested 16 32] [--seeds 3] [--trials N]

A two-tower teaches all of them by the default; each chooses its settings on valid, the nested one by its whole vectors.
Every seed is written as it is done. `of_alone` is NDCG@20 on test, a prefix's over the student's of that size.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

from common import log_path, write

import recdistill as rd
from recdistill.data import splits
from recdistill.evaluation.evaluator import evaluate_scorer
from recdistill.serving.bag import BagScorer

METRICS = ("ndcg@20", "recall@20")


def one_seed(
    split: rd.Split, seed: int, dim: int, nested: tuple[int, ...], settings: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """By size: the prefix of one nested student, and a student alone."""
    sizes = (*nested, dim)
    teacher = rd.TwoTower().fit(split.train, split.valid, seed=seed)
    knowledge = rd.Knowledge.extract(teacher, split.train)
    together, seconds = student(knowledge, split, seed, dim=dim, nested=nested, **settings)
    assert isinstance(together.scorer, BagScorer)
    found: dict[str, dict[str, Any]] = {"teacher": measured(teacher.scorer, split)}
    found["nested"] = {"seconds": seconds, "chosen": together.chosen}
    for size in sizes:
        alone, took = student(knowledge, split, seed, dim=size, **settings)
        found[str(size)] = {
            "prefix": measured(together.scorer.prefix(size), split),
            "alone": {**measured(alone.scorer, split), "seconds": took, "chosen": alone.chosen},
        }
        print(seed, size, found[str(size)], flush=True)
    return found


def student(knowledge: rd.Knowledge, split: rd.Split, seed: int, **settings: Any) -> tuple[rd.TwoTower, float]:
    start = time.perf_counter()
    fresh = rd.TwoTower(user_id=False, **settings)
    model = rd.distill(knowledge, student=fresh, on=split.train, valid=split.valid, seed=seed)
    return model, round(time.perf_counter() - start, 1)


def measured(scorer: Any, split: rd.Split) -> dict[str, Any]:
    assert split.valid is not None
    return {
        "valid": evaluate_scorer(scorer, split, split.valid, metrics=METRICS).metrics,
        "test": evaluate_scorer(scorer, split, split.test, metrics=METRICS).metrics,
        "bytes": scorer.nbytes,
    }


def summary(seeds: list[dict[str, dict[str, Any]]], sizes: tuple[int, ...]) -> dict[str, Any]:
    def mean(size: int, model: str, part: str) -> float:
        return statistics.fmean(one[str(size)][model][part]["ndcg@20"] for one in seeds)

    return {
        str(size): {
            **{f"{model}_{part}": round(mean(size, model, part), 5)
               for model in ("prefix", "alone") for part in ("valid", "test")},
            "of_alone": round(mean(size, "prefix", "test") / mean(size, "alone", "test"), 4),
        }
        for size in sizes
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", default="ml-1m-lcfn")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--nested", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, help="candidate settings of each student; all of the rule's without it")
    options = parser.parse_args()
    split = splits.given(rd.read_interactions(log_path(options.log), split_column="split"))
    split = split if split.valid is not None else split.selection()
    nested = tuple(options.nested)
    seeds: list[dict[str, dict[str, Any]]] = []
    for seed in range(options.seeds):
        seeds.append(one_seed(split, seed, options.dim, nested, {"trials": options.trials}))
        means = summary(seeds, (*nested, options.dim))
        print(options.log, seed, means, flush=True)
        write("matryoshka", {"log": options.log, "trials": options.trials, "mean": means, "by_seed": seeds})
