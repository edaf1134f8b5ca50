"""Claim: a teacher that knows the order in time makes a better student than one that does not, also a student that
answers for a set of ids without any order.

    python benchmarks/privileged.py

On s3rec-beauty, whose test part is what people used next: two teachers by default, with and without order, and from
each the same student of d = 32, without order; beside them the student that keeps it, and both alone. Settings are the
defaults without a search; every seed is written as it is done.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np
from common import log_path, write

import recdistill as rd
from recdistill.data import splits
from recdistill.evaluation.evaluator import Evaluation, evaluate_scorer

METRICS = ("ndcg@10", "hit@10")
LOG = "s3rec-beauty"


def split() -> rd.Split:
    log = rd.read_interactions(log_path(LOG), columns={"timestamp": "pos"}, split_column="split")
    return splits.given(log)


def one_seed(at_valid: rd.Split, seed: int, dim: int) -> dict[str, tuple[Evaluation, dict[str, float], float]]:
    at_test = replace(at_valid, history="train+valid", exclude="train+valid")
    found = {}

    def keep(name: str, model: rd.Ranker, start: float) -> None:
        seconds = round(time.perf_counter() - start, 1)
        valid = evaluate_scorer(model.scorer, at_valid, at_valid.valid, metrics=METRICS).metrics
        test = evaluate_scorer(model.scorer, at_test, at_test.test, metrics=METRICS)
        found[name] = (test, valid, seconds)
        print(seed, name, seconds, "s", valid, test.metrics, flush=True)

    for kind, order in (("with order", True), ("without order", False)):
        start = time.perf_counter()
        teacher = rd.TwoTower(dim=dim, order=order).fit(at_valid.train, seed=seed)
        keep(f"teacher {kind}", teacher, start)
        known = rd.Knowledge.extract(teacher, at_valid.train)
        for own in (True, False):
            if own and not order:
                continue
            start = time.perf_counter()
            student = rd.TwoTower(dim=32, user_id=False, order=own)
            name = f"student {'in order' if own else 'of a set'}, teacher {kind}"
            keep(name, rd.distill(known, student=student, on=at_valid.train, seed=seed), start)
    for own in (True, False):
        start = time.perf_counter()
        student = rd.TwoTower(dim=32, user_id=False, order=own).fit(at_valid.train, seed=seed)
        keep(f"student {'in order' if own else 'of a set'}, alone", student, start)
    return found


PAIRS = (
    ("student of a set, teacher with order", "student of a set, teacher without order"),
    ("student of a set, teacher with order", "student of a set, alone"),
    ("student in order, teacher with order", "student in order, alone"),
    ("student in order, teacher with order", "student of a set, teacher with order"),
)


def result(seeds: list[dict[str, tuple[Evaluation, dict[str, float], float]]], dim: int) -> dict[str, Any]:
    models = {
        name: {
            "test": [seed[name][0].metrics for seed in seeds],
            "valid": [seed[name][1] for seed in seeds],
            "seconds": [seed[name][2] for seed in seeds],
        }
        for name in seeds[0]
    }
    compared = []
    for one, other in PAIRS:
        differences = np.stack(
            [seed[one][0].per_user["ndcg@10"] - seed[other][0].per_user["ndcg@10"] for seed in seeds]
        )
        per_user, by_seed = differences.mean(axis=0), differences.mean(axis=1)
        error = float(per_user.std(ddof=1) / len(per_user) ** 0.5)
        compared.append(
            {
                "a": one,
                "b": other,
                "metric": "ndcg@10",
                "difference": round(float(per_user.mean()), 5),
                "standard_error": round(error, 5),
                "beyond_spread": bool(
                    abs(per_user.mean()) > 2 * error and (np.sign(by_seed) == np.sign(by_seed[0])).all()
                ),
            }
        )
    return {"log": LOG, "teacher_dim": dim, "student_dim": 32, "models": models, "comparisons": compared}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--dim", type=int, default=256, help="of the teachers")
    options = parser.parse_args()
    done = []
    for seed in range(options.seeds):
        done.append(one_seed(split(), seed, options.dim))
        write("privileged", result(done, options.dim))
