"""Claim: a million vectors are coded in stated time and memory, and coded models answer about as fast as floats.

    python benchmarks/codecs.py [--items 1000000] [--dim 64] [--codecs int4 pq8] [--serve]

Each codec in a process of its own: seconds to encode and to decode the whole table tile by tile, bytes, and what the
process holds at most. With `--serve` instead: a model of 3,043 items answers one by one and in batches by each codec in
turns with floats.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from itertools import pairwise
from typing import Any

import numpy as np
from common import ROOT, write

CODECS = ("fp32", "fp16", "bf16", "int8", "int4", "int3", "int2", "binary", "int4_row", "int4_group32", "int4_uniform",
          "int4_dims10_16", "pq8", "pq16", "rq4", "sparse16", "int4_sparse16", "qr1000", "hash1000")  # fmt: skip
TILE = 8192
SERVED = 3043


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--codecs", nargs="+", default=CODECS)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        print(json.dumps(coded(options.items, options.dim, options.codecs[0])))
    elif options.serve:
        write("codecs-served", {"items": SERVED, "dim": options.dim, "codecs": served(options.dim, options.codecs)})
    else:
        found = {codec: in_a_process(options.items, options.dim, codec) for codec in options.codecs}
        write("codecs", {"items": options.items, "dim": options.dim, "codecs": found})


def in_a_process(items: int, dim: int, codec: str) -> dict[str, Any]:
    words = [sys.executable, __file__, "--alone", "--items", str(items), "--dim", str(dim), "--codecs", codec]
    found: dict[str, Any] = json.loads(subprocess.run(words, check=True, capture_output=True, cwd=ROOT).stdout)
    print(codec, found, flush=True)
    return found


def coded(items: int, dim: int, codec: str) -> dict[str, Any]:
    from recdistill.tables.codecs import CodedTable

    matrix = np.random.default_rng(0).standard_normal((items, dim), np.float32)
    before = peak()
    start = time.perf_counter()
    table = CodedTable.of(matrix, codec)
    encoded = time.perf_counter()
    for first in range(0, items, TILE):
        table.tile(first, first + TILE)
    decoded = time.perf_counter()
    return {
        "bytes": table.nbytes,
        "encode_seconds": round(encoded - start, 3),
        "decode_seconds": round(decoded - encoded, 3),
        "matrix_and_python_bytes": before,
        "peak_bytes_beside": peak() - before,
    }


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def served(dim: int, codecs: list[str]) -> dict[str, Any]:
    """How many times as fast as floats: one by one, and in a batch of all."""
    from catalogue import catalogue
    from recommender import in_batches, one_by_one, ratio

    from recdistill.data.vocab import Vocab
    from recdistill.serving import Recommender

    made = catalogue(SERVED, dim, users=512)
    ids = Vocab(np.arange(SERVED) * 3 + 1)
    bags = made.histories
    histories = [ids.ids(bags.items[a:b]).tolist() for a, b in pairwise(bags.indptr)]
    models = {codec: Recommender(made.scorer().quantized(codec), ids) for codec in dict.fromkeys(["fp32", *codecs])}
    ways = {codec: lambda p, it=model: it.recommend(histories[p], k=20) for codec, model in models.items()}
    batches = {codec: lambda it=model: it.recommend_batch(histories, k=20) for codec, model in models.items()}
    single = one_by_one(ways, len(histories), 15)  # type: ignore[arg-type]
    together = in_batches(batches, len(histories), 15)  # type: ignore[arg-type]
    return {
        codec: {
            "bytes": models[codec].scorer.nbytes,
            "one_us": single[codec]["mean_us"],
            "one_of_float": ratio(single, codec, "fp32", "mean_us"),
            "batch_us": together[codec]["us"],
            "batch_of_float": ratio(together, codec, "fp32", "us"),
        }
        for codec in models
    }


if __name__ == "__main__":
    main()
