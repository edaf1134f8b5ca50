"""Claim: a finished student loses next to nothing in 8 bits and little in 4.

    python benchmarks/post_training.py ml-1m-lcfn [--dim 64] [--seeds 3] [--codecs int8 int4 pq16]

The default student alone, without a user table, stored by one codec after the other: bytes, NDCG@20 on valid and on
test, and the mean difference to the floats that it was trained in.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from common import log_path, write

from recdistill.compression.convert import compress
from recdistill.data import splits
from recdistill.data.readers import read_interactions
from recdistill.data.split import Split
from recdistill.evaluation.evaluate import evaluate
from recdistill.models.base import Ranker
from recdistill.models.two_tower import TwoTower

CODECS = (
    "fp16", "bf16", "int8", "int4", "int3", "int2", "binary", "int4_row", "int4_group32", "int4_uniform", "pq8", "pq16",
    "pq32", "rq8", "rq16", "svd32", "sparse16", "sparse32", "qr56",
)  # fmt: skip
METRIC = "ndcg@20"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--codecs", nargs="+", default=CODECS)
    options = parser.parse_args()
    split = splits.given(read_interactions(log_path(options.log), split_column="split"))
    assert split.valid is not None
    found = []
    for seed in range(options.seeds):
        start = time.perf_counter()
        student = TwoTower(dim=options.dim, user_id=False).fit(split.train, split.valid, seed=seed)
        print(f"seed {seed}: trained in {time.perf_counter() - start:.0f} s", flush=True)
        found.append({codec: measured(student, codec, split) for codec in ("fp32", *options.codecs)})
    rows = {codec: summed([one[codec] for one in found], [one["fp32"] for one in found]) for codec in found[0]}
    for codec, row in rows.items():
        print(f"{codec:14} {row['bytes']:9,} B  valid {row['valid']:.4f} {row['valid_difference']:+.4f}  "
              f"test {row['test']:.4f} {row['test_difference']:+.4f}")  # fmt: skip
    name = "" if options.dim == 64 else f"-d{options.dim}"
    write(f"post-training-{options.log}{name}", {"dim": options.dim, "seeds": options.seeds, "codecs": rows})


def measured(student: Ranker, codec: str, split: Split) -> dict[str, float]:
    start = time.perf_counter()
    small = compress(student, codec=codec)
    seconds = time.perf_counter() - start
    values = {part: evaluate({"it": small}, split, [METRIC], held).metrics["it"][METRIC]
              for part, held in (("valid", split.valid), ("test", split.test))}  # fmt: skip
    return {"bytes": small.scorer.nbytes, "seconds": seconds, **values}


def summed(runs: list[dict[str, float]], floats: list[dict[str, float]]) -> dict[str, Any]:
    """Means over seeds, and of the differences to the floats of the same seed."""
    row: dict[str, Any] = {"bytes": runs[0]["bytes"], "seconds": round(float(np.mean([r["seconds"] for r in runs])), 3)}
    for part in ("valid", "test"):
        differences = [one[part] - other[part] for one, other in zip(runs, floats, strict=True)]
        row[part] = round(float(np.mean([one[part] for one in runs])), 5)
        row[f"{part}_difference"] = round(float(np.mean(differences)), 5)
        row[f"{part}_differences"] = [round(one, 5) for one in differences]
    return row


if __name__ == "__main__":
    main()
