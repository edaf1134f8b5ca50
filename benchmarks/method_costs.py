"""Claim: an epoch of a student that is taught costs at most 3 times that of the student alone (DE, HTD, FreqD 6).

    python benchmarks/method_costs.py [--epochs 5] [--turns 3] [--only rrd de …]

On ml-1m-lcfn, d = 32, knowledge of a two-tower of d = 256 ready: processor seconds of an epoch on one thread, refreshes
of the student's lists included, in one process: in each turn every method and, beside it, the student alone. An epoch
is what a training of `epochs` takes beyond one of a single epoch, so that what is done once is not counted. Soft labels
over all items are measured from vectors (at most 2.5 times) and from lists (1.5 times).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from common import RESULTS, log_path, write

from recdistill.data import splits
from recdistill.data.readers import read_interactions
from recdistill.distillation.default import SOFT_LABELS
from recdistill.knowledge.distill import distill
from recdistill.knowledge.store import Knowledge
from recdistill.models.two_tower import TwoTower
from recdistill.objectives.registry import OBJECTIVES

DIM, TEACHER_DIM, TOP_K = 32, 256, 200
LIMITS = {"soft labels, vectors": 2.5, "soft labels, lists": 1.5, "de": 6.0, "htd": 6.0, "freqd": 6.0}
ALIASES = {"hard_labels_softplus", "hetcomp_ranking", "pckd_list"}
LABELS = {"softmax", "sampled_softmax", "bpr", "bce", "bsl"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=11)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--only", nargs="+")
    options = parser.parse_args()
    torch.set_num_threads(1)
    train = splits.given(read_interactions(log_path("ml-1m-lcfn"), split_column="split")).train
    early, late = (TwoTower(dim=TEACHER_DIM, epochs=epochs).fit(train, device="cpu") for epochs in (2, 4))
    known = Knowledge.extract(late, train, top_k=TOP_K).with_item_lists(train)
    known = known.with_trajectory([Knowledge.extract(early, train, top_k=TOP_K)])
    lists = replace(known, user_vectors=None, item_vectors=None, item_bias=None)

    def student(epochs: int) -> TwoTower:
        return TwoTower(dim=DIM, user_id=False, epochs=epochs)

    def taught(source: Knowledge, method: str | None) -> Callable[[int], Any]:
        return lambda epochs: distill(source, student=student(epochs), on=train, method=method, device="cpu")

    ways: dict[str, Callable[[int], Any]] = {
        "soft labels, vectors": taught(known, SOFT_LABELS), "soft labels, lists": taught(lists, SOFT_LABELS),
    }  # fmt: skip
    ways |= {name: taught(known, name) for name in OBJECTIVES if name not in ALIASES and name not in LABELS}
    ways = {name: way for name, way in ways.items() if not name.startswith("mutual")}
    if options.only:
        ways = {name: ways[name] for name in options.only}
    alone: list[float] = []
    taken: dict[str, list[float]] = {name: [] for name in ways}
    result: dict[str, Any] = {"log": "ml-1m-lcfn", "dim": DIM, "epochs": options.epochs, "turns": options.turns}
    earlier: dict[str, Any] = {}
    if options.only and (RESULTS / "method_costs.json").is_file():  # the others stay as they were measured
        earlier = json.loads((RESULTS / "method_costs.json").read_text())["methods"]
    for turn in range(options.turns):
        for name, way in ways.items():
            mine = epoch_of(lambda epochs: student(epochs).fit(train, device="cpu"), options.epochs)
            alone.append(mine)
            taken[name].append(epoch_of(way, options.epochs) / mine)
            print(turn, name, round(taken[name][-1], 2), f"alone {mine:.3f} s", flush=True)
        result["epoch_alone_seconds"] = round(statistics.median(alone), 4)
        found_now = {
            name: {
                "ratio": round(statistics.median(found), 2),
                "limit": LIMITS.get(name, 3.0),
                "holds": statistics.median(found) <= LIMITS.get(name, 3.0),
            }
            for name, found in taken.items()
            if found
        }
        result["methods"] = earlier | found_now
        write("method_costs", result)


def epoch_of(train: Callable[[int], Any], epochs: int) -> float:
    """CPU seconds of one epoch: other work on the machine is not counted."""
    seconds = []
    for count in (1, epochs):
        start = time.process_time()
        train(count)
        seconds.append(time.process_time() - start)
    return max(1e-9, (seconds[1] - seconds[0]) / (epochs - 1))


if __name__ == "__main__":
    main()
