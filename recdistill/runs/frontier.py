"""Quality against bytes: at each budget the student trained through its codes, beside every rival of its size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recdistill import files
from recdistill.compression.rivals import CAST_TO, RIVALS
from recdistill.compression.sizes import size_in_bytes, widest_shape
from recdistill.evaluation.compare import compare
from recdistill.runs.evaluations import load_evaluation
from recdistill.runs.limited import within
from recdistill.runs.pipeline import Made, make, without_shape
from recdistill.runs.run import Done, Run
from recdistill.runs.steps import Workshop

if TYPE_CHECKING:
    from recdistill.evaluation.evaluator import Evaluation
    from recdistill.runs.config import RunConfig
    from recdistill.training.progress import Progress

DISTILLED, ALONE = "distilled", "alone"
WAYS = (DISTILLED, ALONE, *RIVALS)
SCHEMA_VERSION = 1


def frontier(
    config: RunConfig, out: str | Path, budgets: tuple[str, ...], *, progress: Progress | None = None
) -> dict[str, Any]:
    """Do, or go on with, every way at every budget in the folder of a run; returns frontier.json as a mapping.

    The distilled students are added to the run's report, as `recdistill compress` does it.
    """
    from recdistill.report.frontier_page import write_page
    from recdistill.training.progress import NullProgress

    config = config.with_limits(*budgets)
    folder = Run(out)
    with folder.open():
        made = make(Workshop(folder, config.device, progress or NullProgress()), config)
        report = made.published()
        told = _measured(made, budgets)
        kept = ("data", "protocol", "environment", "created")
        told |= {name: report[name] for name in kept}
        told["teacher"] = {name: report["models"]["teacher"][name] for name in ("kind", "bytes", "metrics", "spread")}
        with files.whole_file(folder.folder / "frontier.html") as path:
            write_page(told, path)
        with files.whole_file(folder.folder / "frontier.json") as path:
            files.write_json(path, told)
    return told


def _measured(made: Made, budgets: tuple[str, ...]) -> dict[str, Any]:
    points, comparisons = [], []
    with made.workshop.progress.task("frontier", total=len(budgets) * len(WAYS)) as bar:
        for budget in budgets:
            tests: dict[str, Mapping[int, Evaluation]] = {}
            for way in WAYS:
                what, steps = _steps(made, budget, way)
                point, tests[way] = _point(made, steps)
                points.append({"budget": budget, "limit": size_in_bytes(budget), "way": way, "what": what, **point})
                bar.advance(1)
            comparisons += [{"budget": budget, **row} for row in _comparisons(made, tests)]
    return {
        "schema_version": SCHEMA_VERSION,
        "budgets": list(budgets),
        "ways": list(WAYS),
        "metrics": list(made.metrics),
        "points": points,
        "comparisons": comparisons,
    }


def _steps(made: Made, budget: str, way: str) -> tuple[str | None, dict[int, Done]]:
    """What the way's model is, and the step of each seed; none where it is impossible."""
    distilled = made.chosen[f"student_{budget}"].settings
    if way == DISTILLED:
        return _shape(distilled), made.models[f"student_{budget}"].steps
    if way == ALONE:
        return _alone(made, budget)
    return _rival(made, budget, way, {**distilled, "codec": None})


def _alone(made: Made, budget: str) -> tuple[str, dict[int, Done]]:
    workshop, config = made.workshop, made.config
    given = made.plan.student_settings(config.model("student")[1])
    if made.chosen["teacher"].step.result.get("ordered"):
        given.setdefault("order", True)
    found = within(workshop, None, without_shape(given), budget, made.selection, config)
    settings = found.result["settings"]
    steps = {}
    for seed in range(config.seeds):
        first = made.final.choose and seed == 0
        steps[seed] = found if first else workshop.fit("alone", "two_tower", settings, made.final, seed)
    return _shape(settings), steps


def _rival(made: Made, budget: str, way: str, wide: dict[str, Any]) -> tuple[str | None, dict[int, Done]]:
    """Chosen with seed 0 on valid, made the same way of every seed's models."""
    workshop, limit, distil = made.workshop, size_in_bytes(budget), made.config.distil
    wide = {name: value for name, value in wide.items() if value is not None}
    teacher, student = made.chosen["teacher"].step, made.chosen["student"].step
    knowledge = workshop.extract(teacher, made.selection, distil, None)
    sources = {"teacher": teacher, "student": student}
    shapes = {"wide": wide, **_castable(made, limit, wide)}
    sources |= {name: workshop.distil(knowledge, one, made.selection, 0, distil) for name, one in shapes.items()}
    found = workshop.rival(way, limit, sources, made.selection, None)
    what = found.result["what"]
    if what is None:
        return None, {}
    steps = {}
    for seed in range(made.config.seeds):
        if made.final.choose and seed == 0:
            steps[seed] = found
            continue
        sources = {name: made.models[name].steps[seed] for name in ("teacher", "student")}
        extract = made.models["teacher"].extracts[seed]
        sources |= {name: workshop.distil(extract, one, made.final, seed, distil) for name, one in shapes.items()}
        steps[seed] = workshop.rival(way, limit, sources, made.final, what)
    return what, steps


def _castable(made: Made, limit: int, wide: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Of a student in floats that is cast well; none where nothing fits, or where the wide one is as wide."""
    shape = widest_shape(made.selection.split.train.n_items, CAST_TO, limit, ordered=bool(wide.get("order")))
    return {"castable": {**wide, "dim": shape.dim}} if shape is not None and shape.dim != wide["dim"] else {}


def _shape(settings: Mapping[str, Any]) -> str:
    return f"d={settings['dim']}, {settings['codec']}"


def _point(made: Made, steps: Mapping[int, Done]) -> tuple[dict[str, Any], dict[int, Evaluation]]:
    """What was measured of a way at a budget, and the evidence by seed."""
    if not steps:
        return {"possible": False}, {}
    workshop, split = made.workshop, made.final.split
    done = {seed: workshop.evaluate(step, made.final, made.metrics, on="test") for seed, step in steps.items()}
    tests = {seed: load_evaluation(step.folder, split.test) for seed, step in done.items()}
    by_seed = [{name: tests[seed].metrics[name] for name in made.metrics} for seed in sorted(tests)]
    cost = workshop.footprint(steps[0], made.final).result
    kept = ("bytes", "parameters", "dimension", "queries_per_second", "latency_ms")
    spread = {n: float(np.std([row[n] for row in by_seed], ddof=1)) for n in made.metrics} if len(by_seed) > 1 else {}
    return {
        "possible": True,
        **{name: cost[name] for name in kept},
        "index_bytes": 0,
        **cost["account"],
        "valid": steps[0].result["valid"],
        "metrics": {name: float(np.mean([row[name] for row in by_seed])) for name in made.metrics},
        "metrics_by_seed": by_seed,
        "spread": spread,
    }, tests


def _comparisons(made: Made, tests: Mapping[str, Mapping[int, Evaluation]]) -> list[dict[str, Any]]:
    """The distilled student against each rival, user by user."""
    metric = "ndcg@20" if "ndcg@20" in made.metrics else made.metrics[0]
    values = {way: np.stack([one.per_user[metric] for one in found.values()]) for way, found in tests.items() if found}
    return [
        compare(values[DISTILLED], values[way]).as_row(DISTILLED, way, metric) for way in values if way != DISTILLED
    ]
