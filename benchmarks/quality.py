"""Claim: with defaults, teacher and student reach the published quality.

    python benchmarks/quality.py ml-1m-lcfn lastfm-lightgcn amazon-book-kgat

Two runs for each log: the time and memory of one seed of the default command, then all seeds with the baselines.
"""

from __future__ import annotations

import argparse
import json
import shutil

from common import WORK, figures, log_path, recdistill, write

# Best published values known to us for these splits, all items ranked, train items masked: (Recall@20, NDCG@20).
PUBLISHED = {
    "ml-1m-lcfn": {
        "NGCF": (0.2513, 0.2511),
        "LightGCN": (0.2576, 0.2427),
        "UltraGCN": (0.2787, 0.2642),
        "SimpleX": (0.2802, 0.2670),
        "MF, softmax loss": (0.2809, 0.2662),
        "MF, bilateral softmax loss": (0.2804, 0.2681),
    },
    "amazon-book-kgat": {"BPR-MF": (0.1395, 0.0736), "KGAT": (0.1440, 0.0766)},
    "lastfm-lightgcn": {},
    "s3rec-beauty": {"SASRec": (0.0605, 0.0318), "S3-Rec": (0.0647, 0.0327)},
}
"""Of s3rec-beauty HR@10 and NDCG@10, histories with their valid rows."""
BASELINES = {
    "ml-1m-lcfn": "ease,als,popularity",
    "lastfm-lightgcn": "ease,als,popularity",
    "amazon-book-kgat": "als,popularity",
    "s3rec-beauty": "als,popularity",
}
MORE = {
    "s3rec-beauty": ["--columns", "timestamp=pos", "--history", "train+valid", "--exclude", "train+valid"],
}
METRICS = {"s3rec-beauty": ("hit@10", "ndcg@10")}
SEEDS = {"ml-1m-lcfn": 3, "lastfm-lightgcn": 3, "amazon-book-kgat": 1, "s3rec-beauty": 1}


def measure(name: str, minutes: float | None, trials: int | None, *, resume: bool) -> None:
    command = ["run", "--log", log_path(name), "--split-column", "split", *MORE.get(name, [])]
    command += ["--minutes", minutes] if minutes else []
    command += ["--set", f"search.trials={trials}"] if trials else []
    if not resume:
        shutil.rmtree(WORK / name, ignore_errors=True)
    one = recdistill(*command, "--out", WORK / name)
    full = recdistill(*command, "--seeds", SEEDS[name], "--set", f"baselines={BASELINES[name]}", "--out", WORK / name)
    print(full["output"], flush=True)
    report = json.loads((WORK / name / "report.json").read_text())
    metrics = METRICS.get(name, ("recall@20", "ndcg@20"))
    published = {who: dict(zip(metrics, values, strict=True)) for who, values in PUBLISHED[name].items()}
    write(
        f"quality-{name}",
        {
            "resumed": resume,
            "one_seed": {key: one[key] for key in ("seconds", "peak_resident_bytes")},
            "all_seeds": {key: full[key] for key in ("seconds", "peak_resident_bytes")},
            "published": published,
            **figures(report),
        },
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", nargs="+", choices=sorted(PUBLISHED))
    parser.add_argument(
        "--minutes", type=float, help="as for recdistill run; the result's `cut` says what it took away"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on where an earlier call stopped; seconds are of the rest"
    )
    parser.add_argument("--trials", type=int, help="candidate settings of the students; default: the plan's")
    options = parser.parse_args()
    for log in options.logs:
        measure(log, options.minutes, options.trials, resume=options.resume)
