"""Progressive compression against the direct way, with the same epochs in all.

    python benchmarks/progressive.py [--log ml-1m-lcfn] [--budget 60kB] [--seeds 3]

Bits: a student of 2 bits trained through them from the start, and one that is trained as long in floats, in 8, in 4 and
in 2 bits, each phase going on from the one before. Sizes: a small student taught by the ensemble all the time, and one
that is taught by a middle student, which the ensemble taught for a third of the epochs (teacher assistants; Mirzadeh et
al., 2020). The knowledge is that of benchmarks/combinations.py. The same command goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from combinations import Bench, fitting
from common import RESULTS, WORK, log_path, write

import recdistill as rd
from recdistill.compression.sizes import size_in_bytes
from recdistill.compression.trials import DISTILLED
from recdistill.data import splits

PHASES: tuple[dict[str, Any], ...] = ({}, {"codec": "int8"}, {"codec": "int4"}, {"codec": "int2"})
SETTINGS: dict[str, Any] = {"user_id": False, "table": "tied", **DISTILLED[0]}
MIDDLE = {"dim": 128, "epochs_share": 1 / 3}
REST = {"epochs_share": 2 / 3}


def direct(bench: Bench, seed: int, shape: dict[str, Any]) -> dict[str, Any]:
    return bench.measured(bench.student("distilled", seed, {**SETTINGS, **shape}).scorer)


def through_bits(bench: Bench, seed: int, shape: dict[str, Any]) -> list[dict[str, Any]]:
    """After each phase; all take as many epochs as the direct way."""
    found, before = [], None
    for phase in PHASES:
        student = rd.TwoTower(**SETTINGS, **phase, dim=shape["dim"], epochs_share=1 / len(PHASES))
        if before is not None:
            student.go_on_from(before)
        before = rd.distill(bench.knowledge, student=student, on=bench.split.train, seed=seed)
        found.append(bench.measured(before.scorer))
    return found


def through_a_middle(bench: Bench, seed: int, shape: dict[str, Any]) -> list[dict[str, Any]]:
    """The middle student, and the small one that it taught."""
    train = bench.split.train
    middle = rd.distill(bench.knowledge, student=rd.TwoTower(**SETTINGS, **MIDDLE), on=train, seed=seed)
    known = rd.Knowledge.extract(middle, train)
    small = rd.distill(known, student=rd.TwoTower(**SETTINGS, **shape, **REST), on=train, seed=seed)
    return [bench.measured(one.scorer) for one in (middle, small)]


def mean(rows: list[dict[str, Any]]) -> dict[str, Any]:
    parts = {part: round(statistics.fmean(row[part] for row in rows), 5) for part in ("valid", "test")}
    return {"bytes": rows[0]["bytes"], **parts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", default="ml-1m-lcfn")
    parser.add_argument("--budget", default="60kB")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    folder: Path = WORK / f"combinations-{options.log}"
    if not (folder / "knowledge").is_dir():
        raise SystemExit(f"{folder}: no knowledge; begin with python benchmarks/combinations.py --log {options.log}")
    work = WORK / f"progressive-{options.log}"
    work.mkdir(parents=True, exist_ok=True)
    split = splits.given(rd.read_interactions(log_path(options.log), split_column="split"))
    kept = RESULTS / f"progressive-{options.log}.cells.json"
    done = json.loads(kept.read_text()) if kept.is_file() else {}
    bench = Bench(split, work, kept, done, folder / "knowledge")
    limit = size_in_bytes(options.budget)
    two, three = (fitting({"codec": codec}, split.train.n_items, limit) for codec in ("int2", "int3"))
    ways = {
        "2 bits": (direct, two), "8, 4, 2 bits": (through_bits, two),
        "small": (direct, three), "middle, small": (through_a_middle, three),
    }  # fmt: skip
    rows: dict[str, list[Any]] = {name: [] for name in ways}
    for seed in range(options.seeds):
        for name, (way, shape) in ways.items():
            key = f"{options.budget} {name} seed {seed}"
            rows[name].append(bench.once(key, lambda way=way, shape=shape, seed=seed: way(bench, seed, shape)))  # type: ignore[misc]
    last = {name: [one[-1] if isinstance(one, list) else one for one in found] for name, found in rows.items()}
    result = {"log": options.log, "budget": options.budget, "shapes": {"bits": two, "sizes": three}}
    means = {name: mean(found) for name, found in last.items()}
    write(f"progressive-{options.log}", {**result, "mean": means, "by_seed": rows})


if __name__ == "__main__":
    main()
