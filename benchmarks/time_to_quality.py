"""Claim: the two-tower is as good as implicit's ALS in at most twice its time; LightGCN's epoch takes under a second.

    python benchmarks/time_to_quality.py [--turns 3]

On ml-1m-lcfn: seconds of training until NDCG@20 on valid reaches .2500, by the fewest epochs (of a schedule of that
length) and the fewest ALS iterations that reach it, both at d = 64; implicit with regularisation 20, as a user would
call it. Trained in turns in one process; the search for the fewest is not counted. Then an epoch of LightGCN, d = 64.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from common import log_path, write

from recdistill.data import splits
from recdistill.data.interactions import HeldOut, Interactions
from recdistill.data.readers import read_interactions
from recdistill.models.als import fit_als
from recdistill.models.base import valid_ndcg
from recdistill.models.lightgcn import LightGCN
from recdistill.models.two_tower import TwoTower

LEVEL = 0.25
DIM, REGULARIZATION = 64, 20.0
TRIES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30)


def two_tower(train: Interactions, effort: int) -> Any:
    return TwoTower(dim=DIM, epochs=effort).fit(train, seed=0, device="cpu").scorer


def als(train: Interactions, effort: int) -> Any:
    return fit_als(train.csr(), dim=DIM, regularization=REGULARIZATION, alpha=1.0, iterations=effort, seed=0)


def fewest(way: Callable[[Interactions, int], Any], train: Interactions, valid: HeldOut) -> tuple[int, float]:
    for effort in TRIES:
        reached = valid_ndcg(way(train, effort), train, valid)
        print(way.__name__, effort, round(reached, 4), flush=True)
        if reached >= LEVEL:
            return effort, reached
    raise SystemExit(f"{way.__name__} does not reach {LEVEL} in {TRIES[-1]}")


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    split = splits.given(read_interactions(log_path("ml-1m-lcfn"), split_column="split"))
    train, valid = split.train, split.valid
    assert valid is not None
    efforts = {way: fewest(way, train, valid) for way in (als, two_tower)}
    turns: dict[str, list[float]] = {way.__name__: [] for way in efforts}
    for _ in range(options.turns):
        for way, (effort, _) in efforts.items():
            turns[way.__name__].append(seconds(lambda way=way, effort=effort: way(train, effort)))
    ratios = [ours / theirs for ours, theirs in zip(turns["two_tower"], turns["als"], strict=True)]
    once = seconds(lambda: LightGCN(dim=DIM, epochs=1).fit(train, seed=0, device="cpu"))
    more = seconds(lambda: LightGCN(dim=DIM, epochs=6).fit(train, seed=0, device="cpu"))
    result = {
        "level": LEVEL,
        "dim": DIM,
        "effort": {way.__name__: effort for way, (effort, _) in efforts.items()},
        "valid_ndcg@20": {way.__name__: round(reached, 4) for way, (_, reached) in efforts.items()},
        "seconds": {name: [round(one, 2) for one in found] for name, found in turns.items()},
        "two_tower_of_als": round(statistics.median(ratios), 2),
        "lightgcn_epoch_seconds": round((more - once) / 5, 2),
    }
    print(result)
    write("time_to_quality", result)


if __name__ == "__main__":
    main()
