"""Claim: a two-tower and EASE together are a better teacher than either, weights chosen on valid.

    python benchmarks/ensemble.py ml-1m-lcfn lastfm-lightgcn
    python benchmarks/ensemble.py amazon-book-kgat --seeds 1 --run runs/benchmarks/amazon-book-kgat --full 20 60 200

Every seed is written as it is done; where a log has no valid rows the weights are chosen on a tenth of the train rows
and kept for the fit on all of them. With --run the two-tower is the teacher that a run (of quality.py) fitted, on those
nine tenths and on all rows, which here takes half an hour each; --full is the λ that EASE with a weight for every pair
of items is tried with, which it is not by itself on so many items.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

from common import log_path, write

import recdistill as rd
from recdistill.comparison.blend import blended, chosen_blend
from recdistill.data import splits
from recdistill.evaluation.evaluator import evaluate_scorer
from recdistill.models.base import valid_ndcg
from recdistill.models.fitted import FittedRanker
from recdistill.training.progress import NullProgress

METRICS = ("recall@20", "ndcg@20")
MEMBERS = ("two_tower", "ease")


def one_seed(split: rd.Split, seed: int) -> dict[str, Any]:
    part = split if split.valid is not None else split.selection()
    start = time.perf_counter()
    model = rd.Ensemble(members=MEMBERS).fit(part.train, part.valid, seed=seed)
    settings = model.settings()
    found = {"weights": settings["weights"], "group_ends": settings.get("group_ends", ())}
    found["valid"] = evaluate_scorer(model.scorer, part, part.valid, metrics=METRICS).metrics
    if split.valid is None:
        model = rd.Ensemble(**settings).fit(split.train, seed=seed)
    found["seconds"] = round(time.perf_counter() - start, 1)
    found["test"] = evaluate_scorer(model.scorer, split, split.test, metrics=METRICS).metrics
    found["first_member_test"] = evaluate_scorer(model.scorer.members[0], split, split.test, metrics=METRICS).metrics
    return found


def of_run(split: rd.Split, run: Path, regularizations: list[float]) -> dict[str, Any]:
    """The teacher of a run and EASE, fitted on the same rows as it was."""
    part = split.selection()
    towers = {fitted_on_all(step): FittedRanker.load(step.parent / "artifact") for step in steps_of(run)}
    start = time.perf_counter()
    eases = {}
    for value in regularizations:
        fitted = rd.EASE(regularization=value, form="full").fit(part.train)
        eases[value] = valid_ndcg(fitted.scorer, part.train, part.valid)
        print(f"EASE, {value:g}: valid NDCG@20 {eases[value]:.4f}", flush=True)
        if eases[value] == max(eases.values()):
            best = fitted
        del fitted
    chosen = max(eases, key=lambda value: eases[value])
    members = {"two_tower": towers[False], "ease": as_fitted(best)}
    blend = chosen_blend(members, part.train, part.valid, progress=NullProgress())
    model = blended(members, blend, part.train)
    found = {"weights": blend["weights"], "group_ends": blend["group_ends"], "ease_valid": eases}
    found["valid"] = evaluate_scorer(model.scorer, part, part.valid, metrics=METRICS).metrics
    del best, members, model
    final = {
        "two_tower": towers[True],
        "ease": as_fitted(rd.EASE(regularization=chosen, form="full").fit(split.train)),
    }
    found["ease_test"] = evaluate_scorer(final["ease"].scorer, split, split.test, metrics=METRICS).metrics
    found["first_member_test"] = evaluate_scorer(towers[True].scorer, split, split.test, metrics=METRICS).metrics
    whole = blended(final, blend, split.train)
    found["seconds"] = round(time.perf_counter() - start, 1)
    found["test"] = evaluate_scorer(whole.scorer, split, split.test, metrics=METRICS).metrics
    return found


def steps_of(run: Path) -> list[Path]:
    return sorted(run.glob("steps/teacher/*/step.json"))


def fitted_on_all(step: Path) -> bool:
    inputs = json.loads(step.read_text())["inputs"]
    assert inputs["kind"] == "two_tower", "the run's teacher is no two-tower"
    return not inputs["part"].endswith("held out")


def as_fitted(model: rd.EASE) -> FittedRanker:
    return FittedRanker.of(model, model.scorer, kind=model.kind)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--run", type=Path, help="a finished run on the log, whose teacher is a two-tower")
    parser.add_argument("--full", nargs="+", type=float, default=[60.0], help="λ of EASE, with --run")
    options = parser.parse_args()
    for log in options.logs:
        split = splits.given(rd.read_interactions(log_path(log), split_column="split"))
        seeds: list[dict[str, Any]] = []
        for seed in range(options.seeds):
            seeds.append(of_run(split, options.run, options.full) if options.run else one_seed(split, seed))
            means = {
                of: {name: round(statistics.fmean(one[of][name] for one in seeds), 5) for name in METRICS}
                for of in ("valid", "test", "first_member_test")
            }
            print(log, seed, means, flush=True)
            write(f"ensemble-{log}", {"log": log, "members": MEMBERS, "mean": means, "by_seed": seeds})
