"""Claim: a finished student loses next to nothing in 8 bits and little in 4, and less where it is trained through them.

    python benchmarks/post_training.py ml-1m-lcfn [--dim 64] [--seeds 3] [--codecs int8 int4 pq16] [--through int4]
    python benchmarks/post_training.py ml-1m-lcfn --seeds 1 --families     # every other codec, cast and trained through

A student without a user table, distilled by the default from a two-tower of seed 0, in one table and with the settings
that students within a budget begin with: in floats, these stored by one codec after the other, and trained anew through
some of them. Bytes, NDCG@20 on valid and on test, and the mean difference to the floats of the same seed.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from common import log_path, write

from recdistill.compression.convert import compress
from recdistill.compression.trials import DISTILLED
from recdistill.data import splits
from recdistill.data.readers import read_interactions
from recdistill.data.split import Split
from recdistill.evaluation.evaluate import evaluate
from recdistill.knowledge.distill import distill
from recdistill.knowledge.store import Knowledge
from recdistill.models.base import Ranker
from recdistill.models.two_tower import TwoTower

CODECS = (
    "fp16", "bf16", "int8", "int4", "int3", "int2", "binary", "int4_row", "int4_group32", "int4_uniform", "pq8", "pq16",
    "pq32", "rq8", "rq16", "svd32", "sparse16", "sparse32", "qr56",
)  # fmt: skip
METRIC = "ndcg@20"


THROUGH = ("int8", "int4", "int3")
FAMILIES = (
    "bf16", "int4_row", "int4_group32", "int4_uniform", "mixed10_4_2", "fp16_dims10_16", "int4_dims10_16", "pq8",
    "pq16", "rq8", "svd32", "qr56", "hash256",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--codecs", nargs="+", default=CODECS)
    parser.add_argument("--through", nargs="+", default=THROUGH)
    parser.add_argument("--families", action="store_true")
    options = parser.parse_args()
    if options.families:
        options.codecs = options.through = FAMILIES
    split = splits.given(read_interactions(log_path(options.log), split_column="split"))
    assert split.valid is not None
    known = Knowledge.extract(TwoTower().fit(split.train, split.valid, seed=0), split.train)
    settings = {"dim": options.dim, "user_id": False, "table": "tied", **DISTILLED[0]}
    found = []
    for seed in range(options.seeds):
        start = time.perf_counter()
        student = distill(known, student=TwoTower(**settings), on=split.train, seed=seed)
        print(f"seed {seed}: trained in {time.perf_counter() - start:.0f} s", flush=True)
        found.append({codec: measured(student, codec, split) for codec in ("fp32", *options.codecs)})
        for codec in options.through:
            through = distill(known, student=TwoTower(**settings, codec=codec), on=split.train, seed=seed)
            found[-1][f"through {codec}"] = measured(through, None, split)
    rows = {codec: summed([one[codec] for one in found], [one["fp32"] for one in found]) for codec in found[0]}
    for codec, row in rows.items():
        print(f"{codec:14} {row['bytes']:9,} B  valid {row['valid']:.4f} {row['valid_difference']:+.4f}  "
              f"test {row['test']:.4f} {row['test_difference']:+.4f}")  # fmt: skip
    name = ("" if options.dim == 64 else f"-d{options.dim}") + ("-families" if options.families else "")
    told = {"dim": options.dim, "seeds": options.seeds, "settings": settings, "codecs": rows}
    write(f"post-training-{options.log}{name}", told)


def measured(student: Ranker, codec: str | None, split: Split) -> dict[str, float]:
    """Cast to a codec; None: as it is."""
    start = time.perf_counter()
    small = student if codec is None else compress(student, codec=codec)
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
