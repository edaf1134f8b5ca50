"""Claim: importing the package takes at most .3 s and no torch; the serving half answers in a small process.

python benchmarks/light.py ARTIFACT     (for instance runs/demo/artifacts/student)
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from common import write

PROBE = """
import json, resource, sys, time
start = time.perf_counter()
import recdistill
imported = time.perf_counter() - start
if len(sys.argv) > 1:
    recommender = recdistill.Recommender.load(sys.argv[1])
    recommender.recommend(history=[recommender.items.ids()[0]], k=10)
answered = time.perf_counter() - start
heavy = [name for name in ("torch", "pandas", "pyarrow", "scipy", "faiss") if name in sys.modules]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"imported_seconds": imported, "answered_seconds": answered, "resident_bytes": peak, "heavy": heavy}))
"""


def probe(*words: str) -> dict[str, float]:
    """Median of five fresh processes."""
    runs = []
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", PROBE, *words], capture_output=True, text=True, check=True)
        runs.append(json.loads(done.stdout))
    assert all(not run["heavy"] for run in runs), runs
    return {name: round(statistics.median(run[name] for run in runs), 4) for name in runs[0] if name != "heavy"}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    result = {"import": probe(), "load_and_answer": probe(sys.argv[1])}
    print(result)
    write("light", result)
