"""Claim: training grows with the log, not faster: 10^4 to 10^6 users, and a catalogue of 10^6 items.

    python benchmarks/growth.py [--epochs 1]

A generated log of 20 rows a user (lengths log-normal, items by Zipf's law) for each size, trained by a two-tower with
ids of users, d = 64, in a process of its own. Seconds of an epoch are without the start; memory is the most that was
resident, the log included. The exponent is the slope of log seconds over log users.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np
from common import write

SIZES = ((10_000, 20_000), (100_000, 20_000), (1_000_000, 20_000), (1_000_000, 1_000_000))
"""(users, items)"""
ROWS_A_USER = 20
DIM = 64


def generated(users: int, items: int) -> Any:
    """A training log in memory; the same for the same sizes."""
    from recdistill.data.interactions import Interactions, first_of_each
    from recdistill.data.vocab import Vocab

    draw = np.random.default_rng(users + items)
    lengths = draw.lognormal(0, 1, users)
    lengths = np.maximum(1, lengths * ROWS_A_USER * 1.15 / lengths.mean()).astype(np.int64)
    ends = np.cumsum(1 / (np.arange(items) + 30.0))
    keys = np.repeat(np.arange(users), lengths) * items
    keys += np.minimum(np.searchsorted(ends, draw.random(len(keys)) * ends[-1]), items - 1)
    keys.sort()
    keys = keys[first_of_each(keys)]
    return Interactions(Vocab(np.arange(users)), Vocab(np.arange(items)), keys // items, keys % items)


class Clock:
    """A progress that notes when each epoch ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def named(self, name: str, seed: int | None = None) -> Clock:
        return self

    def task(self, name: str, total: int) -> Clock:
        return self

    def say(self, line: str) -> None: ...

    def __enter__(self) -> Clock:
        self.ends.append(time.perf_counter())
        return self

    def __exit__(self, *_: object) -> None: ...

    def advance(self, steps: int = 1, *, valid_ndcg: float | None = None) -> None:
        self.ends.append(time.perf_counter())


def one(users: int, items: int, epochs: int) -> dict[str, Any]:
    """Train on one size in this process."""
    from recdistill.models.two_tower import TwoTower
    from recdistill.models.two_tower_rules import LogFacts, plan

    log = generated(users, items)
    clock = Clock()
    started = time.perf_counter()
    model = TwoTower(dim=DIM, epochs=epochs).fit(log, seed=0, device="cpu", progress=clock)
    return {
        "users": users,
        "items": items,
        "rows": log.n_rows,
        "epoch_seconds": round(float(np.mean(np.diff(clock.ends))), 2),
        "fit_seconds": round(time.perf_counter() - started, 2),
        "peak_resident_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "negatives": plan(model.config, LogFacts.of(log), distilled=False).negatives,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--one", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(*options.one, options.epochs)))
        return
    rows = []
    for users, items in SIZES:
        words = [sys.executable, __file__, "--epochs", str(options.epochs), "--one", str(users), str(items)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
        write("growth", result(rows))  # the last ones take minutes; what is measured is kept


def result(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The sizes, and the exponent over those that differ in users alone."""
    grown = [row for row in rows if row["items"] == SIZES[0][1]]
    users, seconds = ([row[name] for row in grown] for name in ("users", "epoch_seconds"))
    slope = float(np.polyfit(np.log(users), np.log(seconds), 1)[0]) if len(grown) > 1 else None
    return {"dim": DIM, "exponent": None if slope is None else round(slope, 3), "sizes": rows}


if __name__ == "__main__":
    main()
