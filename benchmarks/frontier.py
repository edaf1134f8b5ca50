"""Claim: at equal bytes no way to so small a model ranks above a distilled student that was trained through its codes.

    python benchmarks/frontier.py lastfm-lightgcn [--budgets 50kB 100kB] [--seeds 3] [--teacher ensemble]
    python benchmarks/frontier.py amazon-book-kgat --budgets 1MB       # hours
    python benchmarks/frontier.py amazon-book-15k                      # 15,000 of its users, as many bytes an item
    python benchmarks/frontier.py path/to/log.csv --budgets 20kB        # any log; split as `recdistill run` splits it

One `recdistill run`, then one `recdistill frontier` for each budget; after each the result's file is whole, so that
budgets may be measured in several calls; other seeds than the log's own make a result of their own. A call that was
stopped goes on where it was, as the commands do; seconds are of the calls that ended. Codec, dimension and settings are
chosen on valid as `compress` does, rivals with seed 0; test only stands beside. A way that can make no model within the
bytes is impossible. NDCG@20; differences are over users and seeds (two standard errors, the same sign in every seed).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import LOGS, RESULTS, WORK, log_path, recdistill, write
from compare import SAMPLE, sampled

METRICS = ("ndcg@20", "recall@20")
KEPT = (
    "budget", "limit", "way", "what", "possible", "bytes", "parameters", "dimension", "valid", "latency_ms",
    "multiply_adds", "bytes_moved", "microjoules",
)  # fmt: skip
MEASURED = ("points", "comparisons", "verdicts", "seconds", "effort", "teacher", "two_tower")
EFFORT = ("search.codecs=", "search.finalists=", "search.candidates=")
"""Settings of what is tried within a budget; a result tells them for each of its budgets."""
ENSEMBLE = ("teacher.kind=ensemble", "teacher.members=two_tower,ease", "baselines=two_tower,popularity")
QUICK = ("search.trials=1", "baselines=popularity", "compress=int8")
"""The run's own float student is not what is measured here."""
CHEAP = ("search.codecs=int4,int2,mixed20_4_1", "search.finalists=2", "search.candidates=1")
"""Three short trainings and two whole ones decide, of the distilled and of the alone alike. One whole one would not do:
short trainings flatter the fewest bits. In 1 MB, NDCG@20 on valid after .3 and .6 of the epochs: mixed20_4_1 .1345,
.1337, int2 .1344, .1343."""


@dataclass(frozen=True)
class Plan:
    budgets: tuple[str, ...]
    seeds: int
    settings: tuple[str, ...] = ()
    teacher: str = "two_tower"
    minutes: int = 600
    """Above what is needed: nothing is cut for time."""


PLANS = {
    "ml-1m-lcfn": Plan(("30kB", "60kB", "125kB", "250kB"), 3, teacher="ensemble"),
    "lastfm-lightgcn": Plan(("50kB", "100kB", "200kB", "400kB"), 3),
    "amazon-book-kgat": Plan(("250kB", "1MB", "4MB"), 1, CHEAP),
    SAMPLE: Plan(("240kB", "960kB"), 1, ("search.candidates=1",)),
}
OTHER = Plan(("20kB", "60kB"), 1)


def point(one: dict[str, Any]) -> dict[str, Any]:
    """Of a way at a budget what a reader of the result wants."""
    found = {name: one[name] for name in KEPT if name in one}
    if one["possible"]:
        for name in ("metrics", "spread"):
            found[name] = {metric: one[name][metric] for metric in METRICS if metric in one[name]}
        found["by_seed"] = [{metric: row[metric] for metric in METRICS} for row in one["metrics_by_seed"]]
    return found


def verdict(told: dict[str, Any], budget: str) -> dict[str, Any]:
    """How the distilled student stands to each rival of its size."""
    rows = [row for row in told["comparisons"] if row["budget"] == budget]
    ways = {one["way"]: one["possible"] for one in told["points"] if one["budget"] == budget}
    above = [row["b"] for row in rows if row["beyond_spread"] and row["difference"] > 0]
    return {
        "budget": budget,
        "above_beyond_the_spread": above,
        "not_above": [row["b"] for row in rows if row["b"] not in above],
        "impossible": [way for way, possible in ways.items() if not possible],
        "holds": len(above) == len(rows),
    }


def merged(result: dict[str, Any], told: dict[str, Any], budget: str) -> dict[str, Any]:
    """The result with what was measured at a budget in the place of what stood there."""
    found = dict(result)
    for name, new in (
        ("points", [point(one) for one in told["points"]]),
        ("comparisons", told["comparisons"]),
        ("verdicts", [verdict(told, budget)]),
    ):
        old = [one for one in result.get(name, []) if one["budget"] != budget]
        rows = [*old, *(one for one in new if one["budget"] == budget)]
        found[name] = sorted(rows, key=lambda one: _size(one["budget"]))
    return found


def _size(budget: str) -> int:
    from recdistill.compression.sizes import size_in_bytes

    return size_in_bytes(budget)


def begun(path: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """The result of earlier calls that asked for the same run; else an empty one."""
    if path.is_file() and (old := json.loads(path.read_text())).get("asked") == asked:
        return {name: value for name, value in old.items() if name in MEASURED}
    return {}


def measure(log: str, options: argparse.Namespace) -> None:
    plan, name = PLANS.get(log, OTHER), Path(log).stem if Path(log).is_file() else log
    seeds = options.seeds or plan.seeds
    if seeds != plan.seeds:  # a result of its own
        name += f"-{seeds}-seeds"
    together = ENSEMBLE if (options.teacher or plan.teacher) == "ensemble" else ()
    settings = [*QUICK, *plan.settings, *together, *options.set]
    split_column = [] if Path(log).is_file() else ["--split-column", "split"]
    source = sampled() if log == SAMPLE else log if Path(log).is_file() else log_path(log)
    words = [word for one in settings for word in ("--set", one)]
    out = options.run or WORK / f"frontier-{name}"
    tried = [one for one in settings if one.startswith(EFFORT)]
    asked = {"seeds": seeds, "settings": [one for one in settings if one not in tried]}
    effort = list({one.partition("=")[0]: one for one in tried}.values())  # what is given last holds
    path = RESULTS / f"frontier-{name}.json"
    result = begun(path, asked)
    seconds = result.get("seconds", {})
    if options.run is None:
        command = ["run", "--log", source, *split_column, "--out", out, "--quiet", "--seeds", seeds]
        done = recdistill(*command, "--minutes", plan.minutes, *words)
        seconds.setdefault("run", done["seconds"])
    for budget in options.budgets or plan.budgets:
        done = recdistill("frontier", out, "--budgets", budget, "--quiet")
        told = json.loads((out / "frontier.json").read_text())
        result = merged(result, told, budget)
        seconds.setdefault(budget, done["seconds"])
        efforts = result.get("effort", {}) | {budget: effort}
        head = {"log": name, "asked": asked, "effort": efforts, "data": told["data"], "seconds": seconds}
        head["teacher"] = told["teacher"]
        models = json.loads((out / "report.json").read_text())["models"]
        if "two_tower" in models:  # the best single teacher beside an ensemble
            head["two_tower"] = {one: models["two_tower"][one] for one in ("bytes", "metrics", "metrics_by_seed")}
        result |= head
        write(path.stem, {**head, **{key: result[key] for key in ("verdicts", "points", "comparisons")}})
        print(done["output"], flush=True)
        print(json.dumps(verdict(told, budget)), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", help=f"{', '.join(PLANS)}, another in {LOGS.name}/, or a file")
    parser.add_argument("--budgets", nargs="+", help="of the log's; each is kept in the result when it is measured")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--teacher", choices=("two_tower", "ensemble"), help="default: the log's; ensemble: with EASE")
    parser.add_argument("--run", type=Path, help="a finished run to take in place of one of its own")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE",
        help="of the run, also how much is tried: search.codecs=int4,int2, search.finalists=1, search.candidates=1",
    )  # fmt: skip
    options = parser.parse_args()
    measure(options.log, options)
