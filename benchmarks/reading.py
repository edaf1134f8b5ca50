"""Claim: a log of 20 M rows is read and encoded in at most twice the time that Arrow takes to parse it alone.

python benchmarks/reading.py [ROWS ...]     (default 1000000 5000000 20000000; writes about 2.5 GB under runs/)

A log with the shape of MovieLens' largest (138,000 users who rated 20 films or more each, 27,000 films of which few are
seen by many, steps of half a star, in the order of time) is generated and read from CSV and Parquet into rows and a CSR
matrix. Each way runs by turns with Arrow alone, in one process that keeps its memory, and in new processes; the highest
memory is theirs. The encoded log is not kept between runs.
"""

from __future__ import annotations

import json
import math
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import WORK, write

SIZES, REPEATS = (1_000_000, 5_000_000, 20_000_000), 5
USERS, ITEMS, FULL = 138_000, 27_000, 20_000_000
OWN_REPEATS = 2
LEAST = 20
"""Rows drawn for the shortest history."""
KEEPS_MEMORY = {
    "MIMALLOC_PURGE_DELAY": "-1",
    "GLIBC_TUNABLES": ":".join(
        f"glibc.malloc.{name}={value}"
        for name, value in {"mmap_threshold": 1 << 33, "trim_threshold": 1 << 34, "arena_max": 1}.items()
    ),
}
"""Neither Arrow nor NumPy gives memory back between two runs: on a virtual machine that hands free memory to its host,
touching 100 MB anew takes up to .4 s, and by chance the one or the other."""
SPARE = 1.6
"""Drawn for each row that is wanted: what is drawn twice counts once."""


def generated(rows: int) -> Any:
    """An Arrow table of distinct (user, item) in the order of time; users grow with the rows, items do not."""
    import pyarrow as pa

    draw = np.random.default_rng(rows)
    n_users = max(round(USERS * rows / FULL), 2)
    lengths = draw.lognormal(0, 1.2, n_users)
    lengths = LEAST + lengths * (rows / n_users - LEAST) / lengths.mean()
    lengths = np.minimum(np.floor(lengths), ITEMS // 3).astype(np.int64)
    likely = 1 / (np.arange(ITEMS) + 30.0) ** 1.1
    ends = np.cumsum(likely / likely.sum())
    users = np.repeat(np.arange(n_users), np.ceil(lengths * SPARE).astype(np.int64))
    items = np.minimum(np.searchsorted(ends, draw.random(len(users))), ITEMS - 1)
    keys = np.unique(users * ITEMS + items)  # the longest histories repeat most and come out shorter
    keys = draw.choice(keys, min(rows, len(keys)), replace=False, shuffle=False)
    place = np.sort(draw.integers(789_652_009, 1_427_784_002, len(keys)))
    draw.shuffle(keys)
    names = draw.permutation(ITEMS * 5)[:ITEMS] + 1  # films are numbered with gaps
    return pa.table(
        {
            "userId": keys // ITEMS + 1,
            "movieId": names[keys % ITEMS],
            "rating": (draw.integers(1, 11, len(keys)) / 2).astype(np.float32),
            "timestamp": place,
        }
    )


def path_of(rows: int, kind: str) -> Path:
    return WORK / "reading" / f"{rows}.{kind}"


def make(rows: int) -> None:
    """CSV with integer ids, the same with string ids, Parquet."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv, parquet

    if path_of(rows, "parquet").exists():
        return
    path_of(rows, "csv").parent.mkdir(parents=True, exist_ok=True)
    table, plain = generated(rows), csv.WriteOptions(quoting_style="none")
    csv.write_csv(table, path_of(rows, "csv"), plain)
    for at, (name, prefix) in enumerate((("userId", "user"), ("movieId", "movie"))):
        spelled = pc.binary_join_element_wise(prefix, table[name].cast(pa.string()), "-")
        table = table.set_column(at, name, spelled)
    csv.write_csv(table, path_of(rows, "strings.csv"), plain)
    parquet.write_table(csv.read_csv(path_of(rows, "csv"), convert_options=typed("int64")), path_of(rows, "parquet"))


def typed(ids: str) -> Any:
    from pyarrow import csv

    return csv.ConvertOptions(
        column_types={"userId": ids, "movieId": ids, "rating": "float32", "timestamp": "int64"},
    )


def arrow(rows: int, kind: str) -> Callable[[], Any]:
    from pyarrow import csv, parquet

    path = path_of(rows, kind)
    if kind == "parquet":
        return lambda: parquet.read_table(path)
    return lambda: csv.read_csv(path, convert_options=typed("string" if kind == "strings.csv" else "int64"))


def ours(rows: int, kind: str) -> Callable[[], Any]:
    from recdistill.data.readers import read_interactions

    path = path_of(rows, kind)

    def work() -> Any:
        log = read_interactions(path)
        return log, log.csr()

    return work


def filtered(rows: int, kind: str) -> Callable[[], Any]:
    from recdistill.data import filters, splits
    from recdistill.data.readers import read_interactions

    log = read_interactions(path_of(rows, kind))
    return lambda: splits.SPLITS["global_time"](filters.core(log, 5))


def cached(rows: int, kind: str) -> Callable[[], Any]:
    from recdistill.data.readers import read_interactions

    return lambda: read_interactions(path_of(rows, kind), cache=True)


WAYS = {"arrow": arrow, "ours": ours, "filtered": filtered, "cached": cached}


def measured(way: str, rows: int, kind: str) -> dict[str, float]:
    """Seconds and the highest resident bytes of one run in this process."""
    os.environ["RECDISTILL_CACHE"] = str(WORK / "reading" / "cache") if way == "cached" else "off"
    work = WAYS[way](rows, kind)
    start = time.perf_counter()
    kept = work()
    seconds = time.perf_counter() - start
    del kept
    return {"seconds": seconds, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def in_a_process(way: str, rows: int, kind: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--measure", way, str(rows), kind], check=True, text=True, stdout=subprocess.PIPE
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def by_turns(rows: int, kind: str) -> dict[str, list[float]]:
    """Seconds of Arrow alone and of the whole way in this process, one after the other, each once before it counts."""
    os.environ["RECDISTILL_CACHE"] = "off"
    ways = {way: WAYS[way](rows, kind) for way in ("arrow", "ours")}
    found: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(1 + REPEATS):
        for way, work in ways.items():
            start = time.perf_counter()
            kept = work()
            found[way].append(time.perf_counter() - start)
            del kept
    return {way: seconds[1:] for way, seconds in found.items()}


def medians(rows: int, kind: str) -> dict[str, Any]:
    """By turns in one process; and, with the highest memory, each in a process of its own.

    The turns keep their memory; a new process also pays for memory that nobody has touched yet.
    """
    words = [sys.executable, __file__, "--by-turns", str(rows), kind]
    settings = os.environ | KEEPS_MEMORY
    turns = json.loads(subprocess.run(words, check=True, text=True, stdout=subprocess.PIPE, env=settings).stdout)
    own: dict[str, list[dict[str, float]]] = {"arrow": [], "ours": []}
    for _ in range(OWN_REPEATS):
        for way, found in own.items():
            found.append(in_a_process(way, rows, kind))
    middle = {way: statistics.median(seconds) for way, seconds in turns.items()}
    alone = {way: statistics.median(run["seconds"] for run in found) for way, found in own.items()}
    ratios = [ours / arrow for arrow, ours in zip(turns["arrow"], turns["ours"], strict=True)]
    return {
        "seconds": {way: round(value, 3) for way, value in middle.items()},
        "ratio": round(middle["ours"] / middle["arrow"], 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
        "in_new_processes": {
            "seconds": {way: round(value, 3) for way, value in alone.items()},
            "ratio": round(alone["ours"] / alone["arrow"], 2),
        },
        "peak_bytes": {way: max(run["peak_bytes"] for run in found) for way, found in own.items()},
    }


def exponent(found: dict[str, Any], kind: str, what: str) -> float:
    """Of the growth from the smallest log to the largest."""
    sizes = sorted(map(int, found))
    values = [found[str(rows)][kind][what]["ours"] for rows in (sizes[0], sizes[-1])]
    return round(math.log(values[1] / values[0]) / math.log(sizes[-1] / sizes[0]), 3)


def main(sizes: list[int]) -> None:
    result: dict[str, Any] = {}
    for rows in sizes:
        subprocess.run([sys.executable, __file__, "--make", str(rows)], check=True)
        result[str(rows)] = {kind: medians(rows, kind) for kind in ("csv", "strings.csv", "parquet")}
        print(rows, json.dumps(result[str(rows)]), flush=True)
    largest = sizes[-1]
    runs = [in_a_process("filtered", largest, "csv") for _ in range(REPEATS)]
    core = {"rows": largest, "seconds": round(statistics.median(run["seconds"] for run in runs), 2)}
    shutil.rmtree(WORK / "reading" / "cache", ignore_errors=True)
    again = [in_a_process("cached", largest, "csv")["seconds"] for _ in range(1 + REPEATS)]
    kept = {"first": round(again[0], 2), "again": round(statistics.median(again[1:]), 2)}
    grown = {
        kind: {what: exponent(result, kind, what) for what in ("seconds", "peak_bytes")}
        for kind in ("csv", "strings.csv", "parquet")
    }
    exponents = grown if len(sizes) > 1 else {}
    write("reading", {"rows": result, "core_and_split": core, "cached_seconds": kept, "exponents": exponents})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--by-turns"]:
        print(json.dumps(by_turns(int(sys.argv[2]), sys.argv[3])))
    elif sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measured(sys.argv[2], int(sys.argv[3]), sys.argv[4])))
    elif sys.argv[1:2] == ["--make"]:
        make(int(sys.argv[2]))
    else:
        main([int(word) for word in sys.argv[1:]] or list(SIZES))
