"""Claim: a two-tower and EASE together are a better teacher than either, weights chosen on valid.

    python benchmarks/ensemble.py ml-1m-lcfn lastfm-lightgcn

Every seed is written as it is done; where a log has no valid rows the weights are chosen on a tenth of the train rows
and kept for the fit on all of them.
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

METRICS = ("recall@20", "ndcg@20")
MEMBERS = ("two_tower", "ease")


def one_seed(split: rd.Split, seed: int) -> dict[str, Any]:
    part = split if split.valid is not None else split.selection()
    start = time.perf_counter()
    model = rd.Ensemble(members=MEMBERS).fit(part.train, part.valid, seed=seed)
    settings = model.settings()
    found = {"weights": settings["weights"], "group_ends": settings.get("group_ends", ())}
    found["valid"] = evaluate_scorer(model.scorer, part, part.valid, metrics=METRICS).metrics
    if split.valid is None:
        model = rd.Ensemble(**settings).fit(split.train, seed=seed)
    found["seconds"] = round(time.perf_counter() - start, 1)
    found["test"] = evaluate_scorer(model.scorer, split, split.test, metrics=METRICS).metrics
    found["first_member_test"] = evaluate_scorer(model.scorer.members[0], split, split.test, metrics=METRICS).metrics
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    for log in options.logs:
        split = splits.given(rd.read_interactions(log_path(log), split_column="split"))
        seeds: list[dict[str, Any]] = []
        for seed in range(options.seeds):
            seeds.append(one_seed(split, seed))
            means = {
                of: {name: round(statistics.fmean(one[of][name] for one in seeds), 5) for name in METRICS}
                for of in ("valid", "test", "first_member_test")
            }
            print(log, seed, means, flush=True)
            write(f"ensemble-{log}", {"log": log, "members": MEMBERS, "mean": means, "by_seed": seeds})
