"""What every benchmark shares: where the logs are, running a command with its time and memory, writing the result."""

from __future__ import annotations

import json
import os
import platform
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOGS = Path(os.environ.get("RECDISTILL_LOGS", ROOT.parent / "shared" / "data"))
"""Folder of the logs named in benchmarks/README.md; they are not part of this project."""
RESULTS = ROOT / "benchmarks" / "results"
WORK = ROOT / "runs" / "benchmarks"


def log_path(name: str) -> Path:
    path = LOGS / name / "interactions.parquet"
    if not path.is_file():
        raise SystemExit(f"{path}: not there; put the logs beside the checkout or name their folder in RECDISTILL_LOGS")
    return path


def recdistill(*words: str | Path) -> dict[str, Any]:
    """Run one command line; wall seconds, and the highest resident memory of all such so far in bytes."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "recdistill.cli.main", *map(str, words)], text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"recdistill {' '.join(map(str, words))}: exit {done.returncode}\n{done.stderr}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return {"seconds": round(time.perf_counter() - start, 1), "peak_resident_bytes": peak, "output": done.stdout}


def machine() -> dict[str, Any]:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def write(name: str, result: dict[str, Any]) -> None:
    """`benchmarks/results/<name>.json`, with the command that made it; of paths what stands below `runs`."""
    words = [Path(sys.argv[0]).name, *(re.sub(r"^/.*/(?=runs/)", "", word) for word in sys.argv[1:])]
    result = {"command": f"python benchmarks/{' '.join(words)}", "machine": machine(), **result}
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    print(f"written: {path.relative_to(ROOT)}")


def figures(report: dict[str, Any]) -> dict[str, Any]:
    """Of a run's report what a reader of the result wants: no lists, no ids."""
    kept = (
        "metrics",
        "spread",
        "valid_metrics",
        "bytes",
        "parameters",
        "dimension",
        "queries_per_second",
        "latency_ms",
        "seconds",
    )
    models = {
        name: {key: model[key] for key in kept} | {"chosen": model.get("chosen")}
        for name, model in report["models"].items()
    }
    return {
        "data": report["data"],
        "protocol": report["protocol"],
        "cut": report["cut"],
        "models": models,
        "comparisons": [row for row in report["comparisons"] if row["metric"] in ("ndcg@20", "recall@20")],
        "agreement": report["agreement"],
    }
