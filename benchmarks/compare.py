"""Claim: over the logs the default is above every single method, and on none below the student alone.

    python benchmarks/compare.py dense sizes sparse sparse-seeds amazon

The pieces of one comparison, in `benchmarks/compare/`: every finished cell is a file there, and a piece that is run
again takes those that are still right. Settings are searched on ml-1m-lcfn with students of 32 numbers an item, which
therefore come first in every piece. `dense`: ml-1m-lcfn and lastfm-lightgcn, all methods, three seeds. `sizes`: 16 and
64 numbers on ml-1m-lcfn, the default and its controls. `sparse`: citeulike-t-derrd-loo, all methods, one seed;
`sparse-seeds`: the default, the student alone and the three methods that are best on valid over the logs, three seeds.
`amazon`: these and the controls on 15,000 drawn users of amazon-book-kgat, one seed. One cell again: take its file away
and run its piece.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from common import ROOT, WORK, log_path

from recdistill import files
from recdistill.cli.main import main as recdistill

OUT = ROOT / "benchmarks" / "compare"
SEARCHED, LASTFM, CITEULIKE, AMAZON = "ml-1m-lcfn", "lastfm-lightgcn", "citeulike-t-derrd-loo", "amazon-book-kgat"
SAMPLE, SAMPLE_USERS, SAMPLE_SEED = "amazon-book-15k", 15_000, 0
CONTROLS = ("default", "alone", "teacher_svd", "shuffled", "single")
BEST = 3


def sampled(name: str = AMAZON, users: int = SAMPLE_USERS, seed: int = SAMPLE_SEED) -> Path:
    """A log with all rows of so many drawn users of another; it is made once, below `runs`."""
    path = WORK / SAMPLE / "interactions.parquet"
    if not path.is_file():
        rows = pq.read_table(log_path(name))
        known = np.sort(np.unique(rows["user_id"].to_numpy()))
        drawn = np.random.default_rng(seed).choice(known, users, replace=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.whole_file(path) as unfinished:
            pq.write_table(rows.filter(pc.is_in(rows["user_id"], value_set=pa.array(drawn))), unfinished)
    return path


def best_methods(count: int = BEST) -> list[str]:
    """Those with the highest NDCG@20 on valid, the mean over the logs that all methods were on; no controls."""
    rows = files.read_json(OUT / "table.json", "the comparison; run the pieces before it")["rows"]
    rows = [row for row in rows if row["method"] not in CONTROLS and row["dim"] == 32 and row["log"] != SAMPLE]
    reached: dict[str, list[float]] = {}
    for row in rows:
        if row.get("valid"):
            reached.setdefault(row["method"], []).append(row["valid"]["ndcg@20"])
    whole = {name: sum(each) for name, each in reached.items() if len(each) == len({row["log"] for row in rows})}
    return sorted(whole, key=lambda name: -whole[name])[:count]


def piece(logs: Iterable[str], methods: Iterable[str], *more: str) -> int:
    paths = {name: sampled() if name == SAMPLE else log_path(name) for name in (SEARCHED, *logs)}
    named = [word for name, path in paths.items() for word in ("--log", f"{name}={path}")]
    words = [*named, "--split-column", "split", "--methods", ",".join(methods), "--out", str(OUT), *more]
    return recdistill(["compare", *words, "--work", str(WORK / "compare"), "--resume"])


def run(name: str) -> int:
    if name == "dense":
        return piece([LASTFM], ["all"], "--seeds", "3")
    if name == "sizes":
        return piece([], CONTROLS, "--dims", "32,16,64", "--seeds", "3")
    if name == "sparse":
        return piece([CITEULIKE], ["all"], "--seeds", "1")
    if name == "sparse-seeds":
        return piece([CITEULIKE], ["default", "alone", "teacher_svd", *best_methods()], "--seeds", "3")
    return piece([SAMPLE], [*CONTROLS, *best_methods()], "--seeds", "1")


PIECES = ("dense", "sizes", "sparse", "sparse-seeds", "amazon")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pieces", nargs="+", choices=PIECES)
    for name in parser.parse_args().pieces:
        if run(name):
            sys.exit(2)
