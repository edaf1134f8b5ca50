"""Claim: a run that is killed (SIGKILL) at random moments and started again ends with the report of one that was not.

    python benchmarks/killed.py [--kills 10] [--log FILE --split-column split]

The moments are spread over the time that an undisturbed run takes. Times, speeds and dates are left out of the
comparison; everything else must be equal. A third run, undisturbed, shows that the same command twice agrees to 1e-6.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from common import WORK, write

VOLATILE = {"created", "command", "seconds", "queries_per_second", "latency_ms"}


def timeless(value: Any) -> Any:
    """The report without what a clock put in."""
    if isinstance(value, dict):
        return {key: timeless(inner) for key, inner in value.items() if key not in VOLATILE}
    return [timeless(inner) for inner in value] if isinstance(value, list) else value


def largest_difference(a: Any, b: Any) -> float:
    """Between two reports of the same shape; infinite where anything that is not a number differs."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return max((largest_difference(a[key], b[key]) for key in a), default=0.0)
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return max((largest_difference(x, y) for x, y in zip(a, b, strict=True)), default=0.0)
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b)
    return 0.0 if a == b else float("inf")


def start(words: list[str], out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "recdistill.cli.main", *words, "--out", str(out), "--quiet"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def read(out: Path) -> Any:
    return timeless(json.loads((out / "report.json").read_text()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", help="default: the demo's log")
    parser.add_argument("--split-column")
    parser.add_argument("--set", action="append", default=[], help="as for recdistill run, to make each run shorter")
    options = parser.parse_args()
    words = ["demo"] if not options.log else ["run", "--log", options.log]
    words += ["--split-column", options.split_column] if options.split_column else []
    words += [word for setting in options.set for word in ("--set", setting)]
    outs = {name: WORK / f"killed-{name}" for name in ("whole", "again", "killed")}
    for out in outs.values():
        shutil.rmtree(out, ignore_errors=True)
    began = time.perf_counter()
    assert start(words, outs["whole"]).wait() == 0
    seconds = time.perf_counter() - began
    assert start(words, outs["again"]).wait() == 0
    draw = random.Random(options.seed)
    killed_at = []
    while len(killed_at) < options.kills:
        run = start(words, outs["killed"])
        moment = draw.uniform(0.02, 1.0) * seconds / (1 if not killed_at else 3)
        try:
            run.wait(timeout=moment)
            shutil.rmtree(outs["killed"])  # it ended before its moment: begin anew, so that every kill hits a run
        except subprocess.TimeoutExpired:
            run.kill()
            run.wait()
            killed_at.append(round(moment, 2))
    assert start(words, outs["killed"]).wait() == 0
    whole = read(outs["whole"])
    twice, resumed = largest_difference(whole, read(outs["again"])), largest_difference(whole, read(outs["killed"]))
    left = [str(path.name) for path in outs["killed"].rglob("*.tmp")]
    print(f"largest difference, same command twice: {twice:g}; killed {options.kills} times: {resumed:g}; left: {left}")
    write(
        "killed",
        {
            "seconds_undisturbed": round(seconds, 1),
            "killed_after_seconds": killed_at,
            "largest_difference_same_command_twice": twice,
            "largest_difference_after_kills": resumed,
            "half_written_files_left": left,
        },
    )
    if max(twice, resumed) > 1e-6 or left:
        sys.exit("the reports differ")


if __name__ == "__main__":
    main()
