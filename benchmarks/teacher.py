"""Claim: by its defaults the teacher alone is above the best published, in minutes on two cores.

    python benchmarks/teacher.py amazon-book-kgat

One fit on all train rows, nothing else running: seconds, the most memory that was resident, and test.
"""

from __future__ import annotations

import argparse
import resource
import time

from common import log_path, write

import recdistill as rd
from recdistill.data import splits
from recdistill.evaluation.evaluator import evaluate_scorer

METRICS = ("recall@20", "ndcg@20")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", nargs="+")
    options = parser.parse_args()
    for log in options.logs:
        split = splits.given(rd.read_interactions(log_path(log), split_column="split"))
        start = time.perf_counter()
        teacher = rd.TwoTower().fit(split.train, seed=0)
        seconds = time.perf_counter() - start
        metrics = evaluate_scorer(teacher.scorer, split, split.test, metrics=METRICS).metrics
        print(log, round(seconds, 1), metrics, flush=True)
        write(
            f"teacher-{log}",
            {
                "log": log,
                "settings": teacher.settings(),
                "seconds": round(seconds, 1),
                "peak_resident_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                "test": metrics,
            },
        )
