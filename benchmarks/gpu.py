"""Claim: the same command on CUDA gives the numbers of the CPU within 1e-3, and how much faster it trains.

    python benchmarks/gpu.py [--log FILE --split-column split]

Needs a CUDA device; writes benchmarks/results/gpu.json with the device's name.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys

from common import WORK, recdistill, write


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", help="default: the demo's log")
    parser.add_argument("--split-column")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no CUDA device here")
    words = ["demo"] if not options.log else ["run", "--log", options.log]
    words += ["--split-column", options.split_column] if options.split_column else []
    reports = {}
    for device in ("cpu", "cuda"):
        out = WORK / f"gpu-{device}"
        shutil.rmtree(out, ignore_errors=True)
        recdistill(*words, "--device", device, "--out", out)
        reports[device] = json.loads((out / "report.json").read_text())
    models = {}
    for name, on_cpu in reports["cpu"]["models"].items():
        on_gpu = reports["cuda"]["models"][name]
        models[name] = {
            "ndcg@20": {"cpu": on_cpu["metrics"]["ndcg@20"], "cuda": on_gpu["metrics"]["ndcg@20"]},
            "seconds": {"cpu": on_cpu["seconds"], "cuda": on_gpu["seconds"]},
        }
        print(name, models[name])
    worst = max(abs(row["ndcg@20"]["cpu"] - row["ndcg@20"]["cuda"]) for row in models.values())
    write("gpu", {"device": torch.cuda.get_device_name(), "largest_difference_ndcg@20": worst, "models": models})


if __name__ == "__main__":
    main()
